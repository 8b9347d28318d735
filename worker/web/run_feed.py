"""One run as it goes on, read from the ledger at little cost however long it is."""

import time
from collections.abc import Callable, Sequence

from closeout.worker.config.settings import Settings
from closeout.worker.domain.item import Outcome
from closeout.worker.domain.run import Run
from closeout.worker.engine.inspect import AtWork
from closeout.worker.ledger.protocol import Ledger
from closeout.worker.ledger.records import Counts
from closeout.worker.ledger.stores import Cause, Traffic
from closeout.worker.report.pace_now import pace_now
from closeout.worker.report.run_report import CAUSES_SHOWN, RunReport, width_for
from closeout.worker.support.clock import Millis, now_ms
from closeout.worker.web import pages

_COUNT_SHARE = 20  # of the time, one part is spent on counting
_COUNT_SOON = 1.0  # seconds between counts, at least
_SHOWN = 50  # of the newest runs
_AT_ONCE = 3  # runs that are counted between two looks: the list must not wait for all of them


class Following:
    """Tells the story of one run again and again.

    Exchanges are only added to a ledger, so those that are new are read and added up. Items are not: how they stand
    has to be counted anew, which takes a second for a million, so it is done the less often the longer it takes.
    """

    def __init__(self, name: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._name = name
        self._clock = clock
        self._width: Millis | None = None
        self._traffic: dict[tuple[Millis, str], Traffic] = {}
        self._last = 0
        self._counts = Counts()
        self._causes: Sequence[Cause] = ()
        self._counted: tuple[str, Millis | None] | None = None
        self._count_at = 0.0
        self._at_work = AtWork(clock)
        self.counted_at = 0.0

    async def story(self, ledger: Ledger) -> RunReport:
        """The run as it is now. Raises RunNotFoundError."""
        run = await self._at_work.as_it_is(ledger, await ledger.find_run(self._name))
        if self._width is None:
            self._width = width_for((run.ended_at or now_ms()) - run.created_at)
        self._add(await ledger.reports.traffic(run, self._width, after=self._last))
        await self._count(ledger, run)
        settings = Settings.model_validate_json(run.options)
        return RunReport(
            run=run,
            settings=settings,
            counts=self._counts,
            width=self._width,
            traffic=[self._traffic[key] for key in sorted(self._traffic)],
            paces=await ledger.reports.paces(run),
            causes=[cause for cause in self._causes if not _on_its_way(run, cause)],
            until=now_ms() if run.state == "running" else None,
            case=await pace_now(ledger, run, settings),
        )

    @property
    def age(self) -> float:
        """Seconds since the outcomes were counted."""
        return self._clock() - self.counted_at

    def _add(self, found: Sequence[Traffic]) -> None:
        for each in found:
            key = (each.at, each.kind)
            old = self._traffic.get(key)
            self._traffic[key] = each if old is None else _sum(old, each)
            self._last = max(self._last, each.last)

    async def _count(self, ledger: Ledger, run: Run) -> None:
        """Where nothing has changed since the last count of a run that has ended, none is needed."""
        now, standing = self._clock(), (run.state, run.ended_at)
        unchanged = standing == self._counted and run.state != "running"
        if unchanged or (self._counted is not None and standing == self._counted and now < self._count_at):
            return
        self._counts = await ledger.counts(run)
        self._causes = await ledger.reports.causes(run, CAUSES_SHOWN)
        self._counted, self.counted_at = standing, self._clock()
        self._count_at = self.counted_at + max(_COUNT_SOON, _COUNT_SHARE * (self.counted_at - now))


def _on_its_way(run: Run, cause: Cause) -> bool:
    """What was claimed and has no answer yet is no trouble while the run is at work."""
    return run.state == "running" and cause.outcome is Outcome.IN_DOUBT and cause.detail is None


def _sum(one: Traffic, other: Traffic) -> Traffic:
    return Traffic(
        one.at,
        one.kind,
        one.count + other.count,
        one.throttled + other.throttled,
        one.failed + other.failed,
        max(one.last, other.last),
    )


class RunList:
    """Makes the list again and again. A run that has ended is counted once; one at work shows what it has read."""

    def __init__(self) -> None:
        self._counts: dict[tuple[str, int | None], Counts] = {}
        self._at_work = AtWork()

    async def markup(self, ledger: Ledger) -> str:
        """The newest runs; how they ended is filled in bit by bit."""
        runs = await ledger.runs()
        shown = [await self._at_work.as_it_is(ledger, run) for run in runs[:_SHOWN]]
        missing = [run for run in shown if run.state != "running" and (run.name, run.ended_at) not in self._counts]
        for run in missing[:_AT_ONCE]:
            self._counts[run.name, run.ended_at] = await ledger.counts(run)
        return pages.run_list([(run, self._counts.get((run.name, run.ended_at))) for run in shown], len(runs))
