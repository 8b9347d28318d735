"""The evaluators that start when a session closes: a pure function of the session and the time since then."""

from dataclasses import dataclass
from typing import NamedTuple

from closeout.worker.sandbox.config import SandboxConfig
from closeout.worker.sandbox.draws import draw


class EvalCounts(NamedTuple):
    """What ``eval_summary`` holds; the verdict sums up the critical runs alone."""

    eval_status: str = "none"
    total: int = 0
    succeeded: int = 0
    failed: int = 0
    pending: int = 0
    critical_total: int = 0
    critical_succeeded: int = 0
    critical_failed: int = 0
    critical_pending: int = 0


NO_EVALS = EvalCounts()
SKIPPED_EVALS = EvalCounts(eval_status="skipped")  # a verdict that no release has documented: drift


@dataclass(frozen=True, slots=True)
class EvalPlan:
    """The runs of one session in the order in which they end: True passes, False fails.

    ``critical_delay`` and ``other_delay`` are the seconds after which the last run of each kind has ended; with
    ``stalls`` the last critical run never does.
    """

    critical: tuple[bool, ...]
    others: tuple[bool, ...]
    critical_delay: float
    other_delay: float
    stalls: bool


def plan_evaluations(config: SandboxConfig, session_id: str) -> EvalPlan:
    """Draw the evaluations of a session from the seed and its id."""
    luck = draw(config.seed, "evaluations", session_id)
    low, high = config.eval_delay
    has_critical = luck[0] >= config.no_critical_share
    return EvalPlan(
        critical=_critical_runs(config, luck[1], luck[2]) if has_critical else (),
        others=tuple(luck[3] > 0.2 * run for run in range(1, 1 + int(luck[4] * 4))),
        critical_delay=low + (high - low) * luck[5],
        other_delay=low + (high - low) * luck[6],
        stalls=has_critical and luck[7] < config.unfinished_share,
    )


def _critical_runs(config: SandboxConfig, verdict: float, size: float) -> tuple[bool, ...]:
    count = 1 + int(size * 3)
    if verdict < config.failure_share:
        return (False,) * count
    if verdict < config.failure_share + config.partial_share:
        return (False,) + (True,) * count
    return (True,) * count


def count_evaluations(plan: EvalPlan, elapsed: float, *, may_stall: bool = True) -> EvalCounts:
    """Count the runs ``elapsed`` seconds after they were queued; infinity gives the final counts.

    ``may_stall`` is false for sessions whose evaluations are known to be done.
    """
    stalls = plan.stalls and may_stall
    passed, failed, pending = _count(plan.critical, elapsed, plan.critical_delay, stalls=stalls)
    other_passed, other_failed, other_pending = _count(plan.others, elapsed, plan.other_delay, stalls=False)
    return EvalCounts(
        eval_status=_verdict(passed, failed, pending),
        total=len(plan.critical) + len(plan.others),
        succeeded=passed + other_passed,
        failed=failed + other_failed,
        pending=pending + other_pending,
        critical_total=len(plan.critical),
        critical_succeeded=passed,
        critical_failed=failed,
        critical_pending=pending,
    )


def _count(runs: tuple[bool, ...], elapsed: float, delay: float, *, stalls: bool) -> tuple[int, int, int]:
    """Count the runs that succeeded, failed and are pending; they end evenly spread over ``delay``."""
    ended = sum(elapsed >= delay * run / len(runs) for run in range(1, len(runs) + 1))
    if stalls:
        ended = min(ended, len(runs) - 1)
    succeeded = sum(runs[:ended])
    return succeeded, ended - succeeded, len(runs) - ended


def _verdict(succeeded: int, failed: int, pending: int) -> str:
    if pending:
        return "pending"
    if not succeeded and not failed:
        return "none"
    if not failed:
        return "success"
    return "partial" if succeeded else "failure"
