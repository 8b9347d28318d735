"""How runs stand, asked seldom: asking takes a run's lock for an instant, in which nobody else gets it."""

import time
from collections.abc import Callable

from closeout.worker.ledger.protocol import Ledger
from closeout.worker.models import Run
from closeout.worker.standing import standing

_EVERY = 5.0  # seconds


class AtWork:
    """Remembers for a few seconds what it was told of each run."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._told: dict[int, tuple[float, bool]] = {}

    async def as_it_is(self, ledger: Ledger, run: Run) -> Run:
        """A run that its process left as running, and that nobody held a few seconds ago, was interrupted."""
        return await standing(ledger, run, busy=run.state == "running" and await self._busy(ledger, run))

    async def _busy(self, ledger: Ledger, run: Run) -> bool:
        asked_at, busy = self._told.get(run.id, (float("-inf"), False))
        if self._clock() - asked_at >= _EVERY:
            busy = await ledger.busy(run)
            self._told[run.id] = (self._clock(), busy)
        return busy
