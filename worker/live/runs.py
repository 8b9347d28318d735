"""The list of runs, as it changes."""

from closeout.worker.ledger.protocol import Ledger
from closeout.worker.ledger.records import Counts
from closeout.worker.live import pages
from closeout.worker.live.at_work import AtWork

_SHOWN = 50  # of the newest runs
_AT_ONCE = 3  # runs that are counted between two looks: the list must not wait for all of them


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
