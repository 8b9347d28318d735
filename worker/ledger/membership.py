"""The processes at work on one run, as one of them sees it.

Beside a file there is one at a time. On a server there may be several: one *leads*, which reads the source, looks up
doubts, settles, and ends the run; the others close.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

import anyio

from closeout.worker.domain.run import Run, RunState
from closeout.worker.support.clock import Millis
from closeout.worker.support.errors import LedgerError

UNFINISHED: frozenset[RunState] = frozenset({"running", "interrupted"})  # whoever comes goes on with such a run
_LOOK = 0.05  # seconds between looks whether a lease covers a request again


class LeaseLostError(LedgerError):
    """This process was not heard of for longer than its lease: others do its work by now."""


@dataclass(frozen=True, slots=True)
class RunEnd:
    """How one process's work on a run ended; ``seconds`` and, by cause, ``waited`` add to those of earlier ones."""

    state: RunState
    why: str | None
    seconds: float
    waited: Mapping[str, float] = field(default_factory=dict)


def ended_since(looked_at: Run, state: RunState, ended_at: Millis | None) -> bool:
    """Whether others have ended a run since it was looked at; one that they only interrupted goes on."""
    return state not in UNFINISHED and ended_at != looked_at.ended_at


@dataclass(frozen=True, slots=True)
class WorkerRow:
    """One process at work; what the ledger does not know of it is None. Ages, and what is left, are in seconds.

    ``claims`` is how many sessions it has claimed and not recorded, ``rate`` how many requests a second it sends.
    """

    run: str
    host: str | None
    pid: int | None
    leads: bool
    claims: int | None = None
    rate: float | None = None
    age: float | None = None
    heartbeat_age: float | None = None
    lease_left: float | None = None


async def _not_joined(_end: RunEnd, _now: Millis) -> None:
    raise AssertionError("nobody has joined the run")


class Membership:
    """What this process knows of its place; as it stands here it is alone, and leads.

    ``first``: nobody was at work when it joined. ``leading``: it leads now. ``lost``: it was not heard of for longer
    than its lease, and what it had claimed is in doubt by now; ``rejoin`` begins anew, and ``term`` counts how often.
    ``over``: others have ended the run, be it before this process joined. ``closing``: the lead has not ended closing
    before its time.
    ``failure``: the ledger has not been reached for as long as that is borne, and whoever waits is told so.

    What it tells the others, when asked: ``shares``, whether they may take up what was never tried; ``closes``, whether
    closing goes on; ``rate``, how many requests a second this process sends.
    """

    def __init__(self, end: Callable[[RunEnd, Millis], Awaitable[None]] = _not_joined) -> None:
        self.first = True
        self.leading = True
        self.lost = False
        self.over = False
        self.closing = True
        self.failure: LedgerError | None = None
        self.term = 0
        self.shares: Callable[[], bool] = lambda: False
        self.closes: Callable[[], bool] = lambda: True
        self.rate: Callable[[], float] = lambda: 0.0
        self._end = end
        self._changed = anyio.Event()

    def may_send(self) -> bool:
        """Whether a close that leaves now is surely over before anybody else may look after its session."""
        return True

    async def sendable(self) -> None:
        """Return once a close may leave. Raises LedgerError where the ledger stays out of reach."""
        while not self.may_send():
            self._expect_ledger()
            with anyio.move_on_after(_LOOK):
                await self._changed.wait()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Return once something that the ledger tells makes it true. Raises LedgerError where it stays out of reach."""
        while not condition():
            self._expect_ledger()
            await self._changed.wait()

    async def ready(self) -> None:
        """Return once the run has begun, by whichever process."""

    async def begin(self) -> None:
        """This process leads, and has made all ready: others may close."""

    async def rejoin(self) -> None:
        """Begin anew after the lease was lost. Nothing of this process may be in flight or unrecorded."""

    async def leave(self, end: RunEnd, now: Millis) -> bool:
        """End the run so; or, where others go on after an interruption, leave it to them. Whether it has ended now."""
        if self.over:
            return False
        await self._end(end, now)
        return True

    async def others(self) -> bool:
        """Whether anybody who was at work when this process left still is: what the ledger holds may change."""
        return False

    def _expect_ledger(self) -> None:
        if self.failure is not None:
            raise self.failure

    def _tell(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()
