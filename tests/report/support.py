"""A run that stands still: its context, counters and clock are set by hand."""

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import cast

from closeout.worker.api.client import Api
from closeout.worker.config.settings import Settings
from closeout.worker.domain.item import Outcome
from closeout.worker.domain.run import Run
from closeout.worker.ledger.protocol import Ledger
from closeout.worker.ledger.records import COLUMNS, Counts, EvalRuns
from closeout.worker.pace.limiter import Pace
from closeout.worker.policy.evaluation_lag import Lag
from closeout.worker.policy.none_grace import Grace
from closeout.worker.policy.verdict import Judge, Limits
from closeout.worker.runtime.context import Context
from closeout.worker.runtime.gate import Gate, Patience
from closeout.worker.runtime.progress import Progress
from closeout.worker.runtime.recorder import Recorder
from closeout.worker.runtime.result import RunResult
from closeout.worker.runtime.stop import Stop
from closeout.worker.support.clock import ServerClock
from tests.pace.support import MemoryBudget, at_rate

SESSION = "0190c1f2-0000-7000-8000-000000000001"

RUN = Run(
    id=1,
    name="k3m9x2pq",
    job="",
    source="sessions.csv",
    location="/data/sessions.csv",
    options="{}",
    state="finished",
    why=None,
    rows_read=100_000,
    duplicates=12,
    source_done=True,
    source_stat=None,
    digest=None,
    created_at=1_772_445_600_123,
    ended_at=1_772_447_600_999,
    seconds=2000.12345,
)
FRESH = replace(RUN, state="running", rows_read=0, duplicates=0, source_done=False, ended_at=None, seconds=0.0)
COUNTS = Counts(
    outcomes={Outcome.CLOSED: 99_940, Outcome.ALREADY_CLOSED: 40, Outcome.FAILED: 8},
    eval_status={"passed": 90_000, "failed": 9_980},
    unsettled=0,
    eval_runs=EvalRuns(300_000, 280_000, 20_000, 0, 120_000, 100_000, 20_000, 0),
    requests={"close": 100_100, "list": 500},
    throttled=3,
    retried=112,
)


def ended(run: Run = RUN, counts: Counts = COUNTS, exit_code: int = 1) -> RunResult:
    return RunResult(run, run.state, run.why, counts, exit_code)


def result_row(**values: object) -> tuple[object, ...]:
    """A row of the results, NULL where nothing is said."""
    return tuple(values.get(column) for column in COLUMNS)


@dataclass
class Clock:
    """Seconds, moved by hand."""

    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Standing:
    """A context that nothing works on."""

    settings: Settings = field(default_factory=Settings)
    run: Run = FRESH
    clock: Clock = field(default_factory=Clock)

    def __post_init__(self) -> None:
        self.progress = Progress(clock=self.clock)
        self.stop = Stop()
        rng = random.Random(1)
        self.store = MemoryBudget(self.clock, at_rate(self.settings.allowed_rate, self.clock()))
        self.pace = Pace(self.store, lambda: self.settings.allowed_rate, rng, self.clock)
        self.pace._budget = self.store.budget  # what this process would know after its first permit
        ledger = cast("Ledger", None)  # a display never asks the ledger nor the API, and records nothing
        api = cast("Api", None)
        judge = Judge(Limits(8, 600_000, 0), ServerClock(), wait=lambda _: 0, grace=Grace(15_000), settle=False)
        now: Callable[[], int] = lambda: int(self.clock() * 1000)  # noqa: E731
        gate = Gate(self.pace, Patience(64, 600_000), self.stop, self.progress, now)
        recorder = cast("Recorder", None)
        self.context = Context(
            self.run, self.settings, ledger, api, gate, judge, Lag(10_000), recorder, self.progress, self.stop, now
        )

    def busy(self) -> None:
        """In the middle of a run of 100,000 rows."""
        progress = self.progress
        progress.rows_read, progress.duplicates, progress.source_done = 100_012, 12, True
        progress.outcomes = Counter(
            {Outcome.CLOSED: 12_310, Outcome.ALREADY_CLOSED: 40, Outcome.FAILED: 3, Outcome.INVALID: 47}
        )
        progress.exchanges = Counter({("close", 200): 12_398, ("close", 429): 2, ("list", 200): 100})
        progress.in_flight = 64
        progress.settled, progress.to_settle = 11_000, 12_350
