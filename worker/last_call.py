"""The deadline: closing ends in time for what was closed to be settled."""

from closeout.worker.context import Context
from closeout.worker.deadline import closing_ends
from closeout.worker.units import format_duration
from closeout.worker.verdict import GOES_ON

_LOOK = 0.25


class LastCall:
    """Runs beside closing, and stops it when the time that is left is needed for settling."""

    def __init__(self, context: Context) -> None:
        self._context = context

    async def run(self) -> None:
        context, deadline = self._context, self._context.settings.deadline
        if deadline is None:
            return
        with context.stop.interruptible():
            while not context.closing_done.is_set():
                if context.progress.seconds >= self._ends(deadline):
                    context.last_call.halt(f"--deadline {format_duration(deadline)}: closing has ended{GOES_ON}")
                    return
                await context.idle(_LOOK)

    def _ends(self, deadline: float) -> float:
        settings, progress = self._context.settings, self._context.progress
        return closing_ends(
            deadline,
            settle=settings.settle,
            settle_for=settings.settle_for,
            first_look=self._context.lag.first_look / 1000,
            none_grace=self._context.judge.grace.value / 1000,
            unsettled=max(0, progress.to_settle - progress.settled),
            rate=self._context.gate.pace.rate,
        )
