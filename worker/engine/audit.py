"""Reads closed sessions again and compares them with the ledger; what a sample says of the rest."""

import math
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field

from closeout.worker.domain.item import ClosedItem
from closeout.worker.domain.run import Run
from closeout.worker.domain.session import SessionState
from closeout.worker.ledger.protocol import Ledger
from closeout.worker.lookup.session_lookup import Lookup, LookupResult
from closeout.worker.runtime.stop import Stop

_BATCH = 50_000
CONFIDENCE = 0.95


@dataclass
class Findings:
    """What came of it so far, in sessions: ``checked``, ``unread`` (nothing was told of them), ``wrong`` by kind."""

    checked: int = 0
    unread: int = 0
    wrong: Counter[str] = field(default_factory=Counter)


async def batches(ledger: Ledger, run: Run, sample: int | None) -> AsyncIterator[list[ClosedItem]]:
    """A random sample of a run's closed sessions; all of them, by their start, where ``sample`` is None."""
    if sample is not None:
        yield await ledger.closed_sample(run, sample)
        return
    last = None
    while batch := await ledger.closed_by_start(run, _BATCH, last):
        last = batch[-1].claim
        yield batch


class Verification:
    """Compares batch after batch. ``tell`` is called with a session id and what does not agree."""

    def __init__(self, lookup: Lookup, tell: Callable[[str, str], None], stop: Stop) -> None:
        self.findings = Findings()
        self._lookup = lookup
        self._stop = stop
        self._tell = tell
        self._items: dict[int, ClosedItem] = {}

    async def check(self, items: Sequence[ClosedItem]) -> None:
        """Look each of them up, once."""
        self._items = {item.claim.seq: item for item in items}
        await self._lookup.states([item.claim for item in items], self._compare)

    async def give_back(self) -> None:
        """Permits that were not used are free for others."""
        await self._lookup.gate.pace.give_back()

    async def _compare(self, sighting: LookupResult) -> None:
        for claim, session in sighting.seen:
            self.findings.checked += 1
            self._found(claim.session_id, disagreement(self._items[claim.seq], session))
        if sighting.unseen is None:
            return
        status = sighting.answer.api_status
        if status == 404:
            self.findings.checked += 1
            self._found(sighting.unseen.session_id, gone(self._items[sighting.unseen.seq]))
            return
        self.findings.unread += 1
        if status in (401, 403):
            self._stop.halt(f"the API answered {status}: the key may not read sessions")

    def _found(self, session_id: str, wrong: str | None) -> None:
        if wrong is not None:
            self.findings.wrong[wrong.partition(":")[0]] += 1
            self._tell(session_id, wrong)


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
