"""What the ledger tells of runs: whether one is at work, how it stands, and where a session is."""

import time
from collections.abc import Callable
from dataclasses import replace

from closeout.worker.domain.item import Outcome
from closeout.worker.domain.run import Run, with_actual_state, with_elapsed
from closeout.worker.ledger.protocol import Ledger
from closeout.worker.ledger.records import Found
from closeout.worker.sources import normalise_id, shown
from closeout.worker.support.clock import now_ms

_EVERY = 5.0  # seconds


async def as_it_is(ledger: Ledger, run: Run) -> Run:
    """A run that its process left as running, and that nobody holds, was interrupted."""
    return await standing(ledger, run, busy=run.state == "running" and await ledger.busy(run))


async def standing(ledger: Ledger, run: Run, *, busy: bool) -> Run:
    """The same where it is known whether a process works on it."""
    if run.state == "running" and busy:
        return with_elapsed(run, now_ms())
    if run.was is not None and (await ledger.counts(run)).outcomes[Outcome.IN_DOUBT]:
        run = replace(run, was=None)  # what was sent, and is in doubt, has come of it
    return with_actual_state(with_elapsed(run, await ledger.last_exchange(run)))


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


async def find_anywhere(ledger: Ledger, text: str, most: int) -> list[Found]:
    """The session with this id in the newest runs that hold it, or else invalid rows that read so."""
    session_id = normalise_id(text)
    found = await ledger.find_session(session_id, most) if session_id is not None else []
    return found or await ledger.find_invalid(shown(text), most)
