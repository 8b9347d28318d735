"""Runs of a queue that a process left behind: who works on the queue closes what they hold.

A message is acknowledged once the ledger holds it. Where the process dies then and nobody starts it again, its
sessions would wait for as long as others work on.
"""

from collections.abc import Callable, Sequence
from functools import partial

import anyio

from closeout.worker.config.access import Access
from closeout.worker.config.settings import Settings
from closeout.worker.domain.run import Run
from closeout.worker.engine.execute import execute
from closeout.worker.engine.run import Watcher
from closeout.worker.ledger.protocol import Ledger
from closeout.worker.runtime.context import Context
from closeout.worker.runtime.stop import Stop
from closeout.worker.support.errors import CloseoutError, RunBusyError

_EVERY = 3.0  # seconds
_LOOK = 0.25


async def runs_of_queue(ledger: Ledger, name: str) -> list[Run]:
    """The unfinished runs of a queue, the newest first."""
    runs = await ledger.runs()
    return [run for run in runs if run.location == name and run.state not in ("finished", "planned")]


async def adopt_orphans(context: Context, *, access: Access, say: Callable[[str], None]) -> None:
    """Beside the work on a queue: end the runs of it that nobody works on any more, one after another.

    Those that were halted, or are of another host, are for a person to look at. One that is just being taken up is
    nobody's for a moment, so it must be found so twice.
    """
    before: set[int] = set()
    while True:
        await anyio.sleep(_EVERY)
        orphans = await _orphans(context)
        for run in (each for each in orphans if each.id in before):
            say(f"run {run.name} of this queue was left by its process: closing what it holds")
            try:
                await _close_what_it_holds(context, run, access)
            except RunBusyError:
                continue
            except CloseoutError as error:
                say(f"run {run.name}: {error}")
        before = {run.id for run in orphans}


async def _close_what_it_holds(context: Context, run: Run, access: Access) -> None:
    """Raises RunBusyError where its process, or another one, has taken it up meanwhile: then nothing is changed."""

    async def held(run: Run) -> Sequence[Watcher]:
        await context.ledger.source_done(run)
        return ()

    follow = partial(_follow, context.stop)
    await execute(
        context.ledger, run, context.settings, access, None, begun=held, interrupts=follow, alarms=context.alarms
    )


async def _orphans(context: Context) -> list[Run]:
    runs = await runs_of_queue(context.ledger, context.run.location or "")
    others = [run for run in runs if run.id != context.run.id and run.state != "halted"]
    return [run for run in others if _same_host(run, context.settings) and not await context.ledger.busy(run)]


def _same_host(run: Run, settings: Settings) -> bool:
    stored = Settings.model_validate_json(run.options)
    return (stored.base_url, stored.api) == (settings.base_url, settings.api)


async def _follow(leader: Stop, stop: Stop, _give_up: anyio.CancelScope) -> None:
    """What stops the work that adopted a run stops that run, too."""
    while leader.state is None:  # noqa: ASYNC110  # a stop has no event to wait for
        await anyio.sleep(_LOOK)
    stop.request(leader.state, leader.why or "", leader.exit_code)
