"""Whether the ledger still says of a session what the API says. Pure functions.

For a sample, the exact upper confidence bound on the share that disagrees: Clopper and Pearson, Biometrika 26 (1934)
404-413.
"""

import math

from closeout.worker.models import ClosedItem, SessionState

CONFIDENCE = 0.95


def disagreement(item: ClosedItem, session: SessionState) -> str | None:
    """What is not as the ledger says, or None.

    A verdict that was not final may have become so: that is no disagreement.
    """
    if session.live:
        return f"reopened: {item.final_status} in the ledger, {session.status} now"
    if session.status != item.final_status:
        return f"status: {item.final_status} in the ledger, {session.status} now"
    if item.eval_settled and session.evals.status != item.eval_status:
        return f"eval_status: {item.eval_status} in the ledger, {session.evals.status} now"
    return None


def gone(item: ClosedItem) -> str:
    """What it means that the API does not know the session any more."""
    return f"deleted: {item.final_status} in the ledger, unknown to the API now"


def upper_bound(wrong: int, checked: int, of: int) -> float:
    """The share of all ``of`` that disagree at most, with 95% confidence, where ``wrong`` of ``checked`` do.

    Exact for a small sample of many; for a large part of them it is on the safe side.
    """
    if checked == 0:
        return 1.0
    if checked >= of:
        return wrong / checked
    if wrong >= checked:
        return 1.0
    low, high = wrong / checked, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if _at_most(wrong, checked, middle) > 1 - CONFIDENCE else (low, middle)
    return high


def _at_most(wrong: int, checked: int, share: float) -> float:
    """How likely a sample has no more than so many, if that share of all has."""
    if share >= 1.0:
        return 0.0
    log, rest = math.log(share), math.log1p(-share)
    terms = (
        math.lgamma(checked + 1) - math.lgamma(k + 1) - math.lgamma(checked - k + 1) + k * log + (checked - k) * rest
        for k in range(wrong + 1)
    )
    return math.fsum(map(math.exp, terms))
