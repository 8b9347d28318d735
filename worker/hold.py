"""Whether closing is held, and which session probes whether it may go on. No clock."""

import anyio

from closeout.worker.models import NEVER, Change, Outcome

_GOOD = frozenset({Outcome.CLOSED, Outcome.ALREADY_CLOSED})


class Hold:
    """Held from ``engage`` to ``release``; meanwhile each ``allow_probe`` lets one close through.

    ``engaged`` is set while closing is held, ``concluded`` once it is known how the probe ended: ``went_well`` then.
    """

    def __init__(self) -> None:
        self.why: str | None = None
        self.engaged = anyio.Event()
        self.concluded = anyio.Event()
        self.went_well = False
        self._free = anyio.Event()
        self._probe: int | None = None

    def engage(self, why: str) -> None:
        if self.why is None:
            self.why = why
            self._free = anyio.Event()
            self.engaged.set()

    def allow_probe(self) -> None:
        self.concluded, self.went_well, self._probe = anyio.Event(), False, None
        self._free.set()

    def release(self) -> None:
        self.why, self._probe = None, None
        self.engaged = anyio.Event()
        self._free.set()

    @property
    def closed(self) -> bool:
        """Whether a close has to wait now."""
        return self.why is not None and not self._free.is_set()

    async def passage(self) -> None:
        """Return when a close may be sent."""
        await self._free.wait()

    def sent(self, seq: int) -> None:
        """Take in that the close of this item leaves: while closing is held, it is the probe, and the only one."""
        if self.why is not None:
            self._probe = seq
            self._free = anyio.Event()

    def not_sent(self, seq: int) -> None:
        """The close of this item has not left after all; if it was to be the probe, another one may be."""
        if seq == self._probe:
            self._probe = None
            self._free.set()

    def ended(self, change: Change) -> None:
        """Take in what became of a session; of the probe, anything but a close means that it did not go well.

        In doubt is no answer yet: it will be read, unless it is in doubt for ever.
        """
        if change.seq != self._probe or change.outcome is None:
            return
        if change.outcome is not Outcome.IN_DOUBT or (change.due_at or 0) >= NEVER:
            self._probe = None
            self.went_well = change.outcome in _GOOD
            self.concluded.set()
