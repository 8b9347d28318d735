"""All that a report tells of one run, read from the ledger in bounded memory."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from math import ceil

from closeout.worker.config.settings import Settings
from closeout.worker.domain.item import Outcome
from closeout.worker.domain.run import Run
from closeout.worker.ledger.protocol import Ledger
from closeout.worker.ledger.records import COLUMNS, Counts
from closeout.worker.ledger.stores import Cause, LatencyCount, PaceSample, Traffic
from closeout.worker.pace.case import Case
from closeout.worker.report.formatting import WRONG, Fact
from closeout.worker.report.pace_now import pace_now
from closeout.worker.report.plan_summary import plan_facts
from closeout.worker.support.clock import Millis

ROWS_SHOWN = 5_000
CAUSES_SHOWN = 40
_FINE: Millis = 1_000
_HOURS_OF_FINE = 6 * 3_600_000  # of seconds: of longer runs coarser figures do, and take less memory
_COARSEST: Millis = 60_000


@dataclass(frozen=True, slots=True)
class Percentiles:
    """Of the answers to one kind of request, in milliseconds: so many percent took no longer."""

    count: int
    p50: int
    p90: int
    p99: int
    longest: int


def percentiles_of(counts: Iterable[LatencyCount]) -> dict[str, Percentiles]:
    """By kind. ``counts`` come by kind and milliseconds, in this order."""
    return {kind: _of_kind(list(found)) for kind, found in groupby(counts, key=lambda one: one.kind)}


def _of_kind(counts: Sequence[LatencyCount]) -> Percentiles:
    total = sum(one.count for one in counts)
    p50, p90, p99 = (_percentile(counts, ceil(total * share / 100)) for share in (50, 90, 99))
    return Percentiles(total, p50, p90, p99, counts[-1].ms)


def _percentile(counts: Sequence[LatencyCount], rank: int) -> int:
    """The milliseconds of the answer with this rank: the nearest-rank method."""
    for one in counts:
        rank -= one.count
        if rank <= 0:
            return one.ms
    raise ValueError("there are not so many")


@dataclass(frozen=True, slots=True)
class RunReport:
    """One run: its figures, and the rows that are shown (``complete``: all of them).

    ``plan`` is what closing would do, of a plan. ``until`` is the instant up to which a run at work is told; None where
    its last exchange is its end. ``case`` is what keeps a run at work below what it may send.
    """

    run: Run
    settings: Settings
    counts: Counts
    width: Millis
    traffic: Sequence[Traffic] = ()
    paces: Sequence[PaceSample] = ()
    latencies: Mapping[str, Percentiles] = field(default_factory=dict)
    causes: Sequence[Cause] = ()
    rows: Sequence[tuple[object, ...]] = ()
    complete: bool = True
    plan: Sequence[Fact] = ()
    until: Millis | None = None
    case: Case | None = None

    @property
    def running(self) -> bool:
        return self.run.state == "running"

    @property
    def sessions(self) -> int:
        """Rows read that are no duplicates."""
        return self.run.rows_read - self.run.duplicates

    @property
    def done(self) -> int:
        """Sessions that are closed, by our call or another's."""
        return self.count(Outcome.CLOSED) + self.count(Outcome.ALREADY_CLOSED)

    @property
    def wrong(self) -> int:
        """Sessions that did not end as asked."""
        return sum(self.count(outcome) for outcome in WRONG)

    @property
    def failures(self) -> list[Cause]:
        """What went wrong, or was odd."""
        return [cause for cause in self.causes if cause.outcome is not Outcome.SKIPPED]

    @property
    def skips(self) -> list[Cause]:
        """What guards, plans and caps left alone."""
        return [cause for cause in self.causes if cause.outcome is Outcome.SKIPPED]

    def count(self, outcome: Outcome) -> int:
        """How many have this outcome."""
        return self.counts.outcomes.get(outcome, 0)


def width_for(span: Millis) -> Millis:
    """How finely the exchanges of a run of that length are counted."""
    if span <= _HOURS_OF_FINE:
        return _FINE
    return 10 * _FINE if span <= 10 * _HOURS_OF_FINE else _COARSEST


async def read_run_report(ledger: Ledger, run: Run, now: Millis, rows_shown: int = ROWS_SHOWN) -> RunReport:
    """Read what a report of the run needs. ``now`` bounds a run that has not ended."""
    counts, reports = await ledger.counts(run), ledger.reports
    settings = Settings.model_validate_json(run.options)
    width = width_for((run.ended_at or now) - run.created_at)
    complete = run.rows_read - run.duplicates <= rows_shown
    rows = await _all_rows(ledger, run) if complete else await reports.wanting(run, rows_shown)
    return RunReport(
        run=run,
        settings=settings,
        counts=counts,
        width=width,
        traffic=await reports.traffic(run, width),
        paces=await reports.paces(run),
        latencies=percentiles_of(await reports.latencies(run)),
        causes=await reports.causes(run, CAUSES_SHOWN),
        rows=rows,
        complete=complete,
        plan=plan_facts(await ledger.plan_groups(run), settings, now) if run.state == "planned" else (),
        until=now if run.state == "running" else None,
        case=await pace_now(ledger, run, settings),
    )


async def _all_rows(ledger: Ledger, run: Run) -> list[tuple[object, ...]]:
    return [row async for batch in ledger.results(run) for row in batch]


def row_of(row: Sequence[object]) -> dict[str, object]:
    """A row of the results by column."""
    return dict(zip(COLUMNS, row, strict=True))
