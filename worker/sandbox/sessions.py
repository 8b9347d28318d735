"""The sessions a sandbox holds, found by id and, in order of ``started_at``, by organisation."""

import gc
import random
from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

TERMINAL = frozenset({"closed", "expired", "error", "superseded"})


@dataclass(slots=True, eq=False)
class Session:
    """What can change in one session, and what it went through; the rest is derived from its id.

    Times with the suffix ``_us`` are microseconds on the server's clock. ``evals_from_us`` is when its evaluators
    started. ``closes_effective`` counts the closings that ended it here (0 or 1), ``closes_repeated`` those carried
    out on a session that had ended before. The ``nth`` counters number the requests that reached the session, which
    is what its faults are drawn by.
    """

    id: str
    organisation: str
    status: str
    started_us: int
    closed_us: int | None = None
    updated_us: int | None = None
    evals_from_us: int | None = None
    reason: str | None = None
    overrides: Mapping[str, object] | None = None
    skipped_evals: bool = False
    deleted: bool = False
    post_times: tuple[float, ...] = ()
    closes_effective: int = 0
    closes_repeated: int = 0
    nth_close: int = 0
    close_faults: int = 0
    reads: int = 0
    nth_read: int = 0
    read_faults: int = 0
    scripts: dict[str, list[str]] | None = None

    @property
    def terminal(self) -> bool:
        return self.status in TERMINAL

    def end(self, now_us: int, status: str = "closed", reason: str | None = None, *, stamp_us: int = 0) -> None:
        """End the session and start its evaluators; what is written of it is by so much later than now."""
        self.evals_from_us = now_us
        self.closed_us = self.updated_us = now_us + stamp_us
        self.reason = reason
        self.status = status  # last, so that another thread never sees it ended without a time


@dataclass(slots=True)
class Timeline:
    """The sessions of one organisation, oldest first by (started_at, id). ``ordered`` is replaced, never changed."""

    ordered: list[Session] = field(default_factory=list)

    def add(self, sessions: Sequence[Session]) -> None:
        self.ordered = sorted([*self.ordered, *sessions], key=_place)

    def bounds(
        self, ordered: Sequence[Session], after_us: int | None, before_us: int | None, cursor: tuple[int, str] | None
    ) -> tuple[int, int]:
        """Give the range of places in ``ordered`` that lies within the window and older than the cursor."""
        low, high = 0, len(ordered)
        if after_us is not None:
            low = bisect_left(ordered, after_us, key=_started)
        if before_us is not None:
            high = bisect_right(ordered, before_us, key=_started)
        if cursor is not None:
            high = min(high, bisect_left(ordered, cursor, key=_place))
        return low, high


def _place(session: Session) -> tuple[int, str]:
    return session.started_us, session.id


def _started(session: Session) -> int:
    return session.started_us


class Store:
    """All sessions of all organisations."""

    def __init__(self) -> None:
        self.by_id: dict[str, Session] = {}
        self._timelines: dict[str, Timeline] = {}

    def timeline(self, organisation: str) -> Timeline:
        return self._timelines.setdefault(organisation, Timeline())

    def add(self, sessions: Sequence[Session]) -> None:
        """Add sessions of one organisation."""
        if not sessions:
            return
        self.timeline(sessions[0].organisation).add(sessions)
        self.by_id.update((session.id, session) for session in sessions)


def make_sessions(
    luck: random.Random,
    count: int,
    *,
    organisation: str,
    statuses: Mapping[str, float],
    started_us: tuple[int, int],
    overrides: Mapping[str, object] | None,
) -> list[Session]:
    """Make ``count`` sessions; ids and statuses depend on ``luck`` alone, the times also on the range given."""
    ids = [_uuid4(luck.getrandbits(128)) for _ in range(count)]
    chosen = luck.choices(list(statuses), weights=list(statuses.values()), k=count)
    first, last = started_us
    span = last - first
    # A million small objects would set off the collector again and again, and none of them is garbage.
    collecting = gc.isenabled()
    gc.disable()
    try:
        return [
            Session(session_id, organisation, status, first + int(span * luck.random()), overrides=overrides)
            for session_id, status in zip(ids, chosen, strict=True)
        ]
    finally:
        if collecting:
            gc.enable()


def _uuid4(bits: int) -> str:
    text = f"{bits:032x}"
    variant = "89ab"[int(text[16], 16) & 3]
    return f"{text[:8]}-{text[8:12]}-4{text[13:16]}-{variant}{text[17:20]}-{text[20:]}"
