"""One process leads a run, and does what only one may do; where there are others, one of them takes over from it."""

from collections.abc import Awaitable, Callable

import anyio

from closeout.worker.ledger.membership import LeaseLostError
from closeout.worker.policy.quota import Quota, canary_left
from closeout.worker.runtime.context import Context
from closeout.worker.stages.close import Closing
from closeout.worker.support.errors import HaltError

_ENDED = "ended by another process of the run"


async def keep_in_step(context: Context, closing: Closing | None, duties: Callable[[], Awaitable[None]]) -> None:
    """Do the duties of the lead for as long as this process is it; returns when the run is over or to be stopped.

    Where the lease was lost, what was claimed is let go, and all begins anew.
    """
    crew = context.crew
    while not context.stop.requested:
        with context.stop.interruptible():
            await crew.until(lambda: crew.leading or crew.lost or crew.over or not crew.closing)
        if context.stop.requested:
            return
        if crew.over:
            context.stop.request("finished", _ENDED, HaltError.exit_code)
        elif crew.lost:
            await _begin_anew(context, closing)
        elif crew.leading:
            await _lead(context, duties)
            if not crew.lost:
                return
        else:
            context.last_call.halt("the lead of the run has ended closing")
            with context.stop.interruptible():
                await crew.until(lambda: crew.leading or crew.lost or crew.over)


async def _lead(context: Context, duties: Callable[[], Awaitable[None]]) -> None:
    """Until all is done, the lease is lost, or another process has ended the run."""
    try:
        async with anyio.create_task_group() as leading:
            leading.start_soon(_watch, context, leading.cancel_scope)
            if not context.begun:
                await take_over(context)
            await duties()
            leading.cancel_scope.cancel()
    except* LeaseLostError:
        pass
    context.begun = False


async def _watch(context: Context, leading: anyio.CancelScope) -> None:
    crew = context.crew
    await crew.until(lambda: crew.lost or crew.over)
    if crew.lost:
        leading.cancel()
    else:
        context.stop.request("finished", _ENDED, HaltError.exit_code)


async def take_over(context: Context) -> None:
    """Begin a run, or go on where whoever led it before has left it: it is known from the ledger alone."""
    await context.ledger.start_run(context.run, context.settings.model_dump_json())
    context.quota = await _quota(context)
    context.led_from = context.progress.seconds
    context.begun = True
    context.crew.shares = lambda: context.quota.left is None and context.quota.canary is None
    context.crew.closes = lambda: not context.last_call.requested
    await context.crew.begin()


async def _quota(context: Context) -> Quota:
    """Cap and canary are those of the run: what earlier processes took up counts."""
    settings, ledger, run = context.settings, context.ledger, context.run
    if settings.limit is None and settings.canary is None:
        return Quota()
    taken = await ledger.taken_count(run)
    passed = (await ledger.find_run(run.name)).canary_passed
    canary = canary_left(settings.canary, taken, passed=passed)
    return Quota(
        left=None if settings.limit is None else settings.limit - taken,
        canary=canary,
        canaries=set() if canary is None else await ledger.attempted_open(run),
    )


async def _begin_anew(context: Context, closing: Closing | None) -> None:
    """Nothing of before may be in flight or unrecorded when this process joins again."""
    context.log.warning("lease expired (no heartbeat): other workers look up what was claimed")
    if closing is not None:
        await closing.let_go()
    await context.recorder.flush()
    await context.crew.rejoin()
