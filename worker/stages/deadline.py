"""Ends closing in time for what evaluations and a deadline need."""

import math

from closeout.worker.pace.forecast import lookups_for
from closeout.worker.policy.verdict import GOES_ON
from closeout.worker.runtime.context import Context
from closeout.worker.support.units import format_duration

_LOOK = 0.25
_MARGIN = 10.0  # seconds: the answers in flight, and a last look that comes late


class Deadline:
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
            rate=self._context.gate.pace.expected,
        )


def closing_ends(
    deadline: float,
    *,
    settle: bool,
    settle_for: float,
    first_look: float,
    none_grace: float,
    unsettled: int,
    rate: float,
) -> float:
    """Seconds after the start at which closing has to end; times in seconds, ``rate`` in requests per second.

    What the settling needs is kept free before the deadline: the wait until the last close may be looked at and
    believed, and the looks at the ``unsettled`` sessions. It is never more than ``settle_for``, as settling takes no
    longer, nor than half of the deadline, as closing is what the run is for.
    """
    if not settle:
        return deadline
    lookups = lookups_for(unsettled)
    looking = lookups / rate if rate > 0 else math.inf
    needed = first_look + none_grace + (looking if lookups else 0.0) + _MARGIN
    return deadline - min(needed, settle_for, deadline / 2)
