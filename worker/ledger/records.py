"""What a ledger takes and gives: the values of its methods."""

from dataclasses import dataclass, field

from closeout.worker.domain.exchange import Exchange
from closeout.worker.domain.item import Outcome
from closeout.worker.domain.run import Run
from closeout.worker.support.clock import Millis

COLUMNS = (
    "run", "session_id", "outcome", "detail", "final_status", "eval_status", "eval_settled", "reason", "attempts",
    "http_status", "error", "closed_at", "first_attempt_at", "recorded_at", "settled_at", "eval_total",
    "eval_succeeded", "eval_failed", "eval_pending", "critical_total", "critical_succeeded", "critical_failed",
    "critical_pending", "line", "job",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class NewRun:
    """What a run is made of; ``location`` and ``source_stat`` are None for a stream. ``made_by``: login and host.

    ``reading`` says how the ids of the source are found, where it has columns or the like.
    """

    source: str
    options: str
    job: str = ""
    location: str | None = None
    source_stat: str | None = None
    made_by: str | None = None
    reading: str | None = None


@dataclass(frozen=True, slots=True)
class NextDue:
    """When the next item of each kind of work is due; None where there is none."""

    pending: Millis | None = None
    doubt: Millis | None = None
    settle: Millis | None = None


@dataclass(frozen=True, slots=True)
class EvalRuns:
    """Runs of evaluators, summed over the closed sessions of a run: all, and the critical ones among them."""

    total: int = 0
    succeeded: int = 0
    failed: int = 0
    pending: int = 0
    critical_total: int = 0
    critical_succeeded: int = 0
    critical_failed: int = 0
    critical_pending: int = 0


@dataclass(frozen=True, slots=True)
class Counts:
    """What the ledger says of a run.

    ``requests`` by kind; ``throttled`` are those answered with 429. ``reopened`` are closed sessions that were
    live when they were last looked at. ``again`` are those of the ``outcomes`` that are to be attempted again.
    """

    outcomes: dict[Outcome, int] = field(default_factory=dict)
    again: dict[Outcome, int] = field(default_factory=dict)
    eval_status: dict[str, int] = field(default_factory=dict)
    unsettled: int = 0
    reopened: int = 0
    eval_runs: EvalRuns = field(default_factory=EvalRuns)
    requests: dict[str, int] = field(default_factory=dict)
    throttled: int = 0
    retried: int = 0


@dataclass(frozen=True, slots=True)
class AttemptedEnd:
    """How many of the items that were tried have this outcome, after this last answer to a close."""

    outcome: Outcome
    http_status: int | None
    error: str | None
    count: int


@dataclass(frozen=True, slots=True)
class RowFilter:
    """Which rows of the results are wanted: those with any of these outcomes and any of these verdicts; empty: all."""

    outcomes: frozenset[Outcome] = frozenset()
    eval_statuses: frozenset[str] = frozenset()


ALL_ROWS = RowFilter()


@dataclass(frozen=True, slots=True)
class Found:
    """One row wherever it was found: its run, its columns as in COLUMNS, and every exchange about it in time order."""

    run: Run
    row: tuple[object, ...]
    exchanges: tuple[Exchange, ...]


@dataclass(frozen=True, slots=True)
class InvalidKind:
    """Invalid rows of one kind: why they name no session, how many they are, and the line of the first, if known."""

    why: str
    count: int
    first_line: int | None


@dataclass(frozen=True, slots=True)
class PlanGroup:
    """Sessions of a plan that stand alike, how many they are, and when the first and the last of them started."""

    outcome: Outcome
    detail: str | None
    status: str | None
    channel: str | None
    count: int
    first_start: Millis | None
    last_start: Millis | None
