"""The holding stage: in work without an end the brake does not end it. Closing is held, and probed now and then."""

import anyio

from closeout.worker.policy.circuit_breaker import FailureWindow
from closeout.worker.runtime.context import Context
from closeout.worker.support.units import format_duration

ABOUT = "closing"
_LONGEST = 20  # times the first pause: so long the pauses grow


class BreakerProbe:
    """Runs until closing is done. Where the brake ends the run, it does nothing."""

    def __init__(self, context: Context) -> None:
        self._context = context

    async def run(self) -> None:
        context = self._context
        if context.alarms is None:
            return
        with context.stop.interruptible():
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._keep_watch)
                await context.closing_done.wait()
                tasks.cancel_scope.cancel()

    async def _keep_watch(self) -> None:
        while True:
            await self._context.hold.engaged.wait()
            await self._until_it_goes_well()

    async def _until_it_goes_well(self) -> None:
        """One session now and then, ever more rarely, until one is closed; then all goes on, counting anew."""
        context, hold = self._context, self._context.hold
        pause = context.settings.probe_every
        self._alarm(f"{hold.why}: closing is paused; one session is tried after {format_duration(pause)}")
        while True:
            await anyio.sleep(pause)
            hold.allow_probe()
            await hold.concluded.wait()
            if hold.went_well:
                break
            pause = min(2 * pause, _LONGEST * context.settings.probe_every)
            context.log.info("a session tried while closing is paused was not closed", next_after=pause)
        context.brake = FailureWindow(context.settings.failure_limit)
        hold.release()
        if context.alarms is not None:
            context.alarms.end(ABOUT, "a session was closed again: closing continues")

    def _alarm(self, text: str) -> None:
        if self._context.alarms is not None:
            self._context.alarms.begin(ABOUT, text)
