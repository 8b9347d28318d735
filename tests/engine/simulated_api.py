"""A small API that answers look-ups, in as awkward a way as it is told to."""

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import anyio.lowlevel

from closeout.worker.domain.exchange import Answer, Exchange, Kind
from closeout.worker.domain.session import Listing, SessionState
from closeout.worker.support.clock import Millis

LIMIT = 10_000  # requests; a look-up that needs more does not end


class EndlessError(AssertionError):
    """The look-up sends requests without end."""


@dataclass
class SimulatedApi:
    """Sessions by id, and faults.

    ``paging``: ``proper`` gives each page once, ``same`` repeats the first page under new cursors, ``loop`` leads back
    to the first cursor, ``cut`` ends after a page although there are more, ``empty`` gives no sessions but cursors
    for ever, ``strangers`` mixes in other organisations' sessions, ``twice`` names each session twice, ``broken``
    refuses every cursor, ``unbounded`` takes no notice of the window. ``order`` is that of the listing.
    """

    sessions: dict[str, SessionState]
    paging: str = "proper"
    order: str = "newest"
    page_size: int = 200
    list_status: int | None = 200
    throttle_first: int = 0
    read_trouble: float = 0.0
    omitted: frozenset[str] = frozenset()
    seed: int = 1
    requests: Counter[str] = field(default_factory=Counter)
    windows: set[tuple[Millis | None, Millis | None]] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._rng = random.Random(self.seed)
        listed = [each for each in self.sessions.values() if each.session_id not in self.omitted]
        listed.sort(key=lambda each: (each.started_at or 0, each.session_id), reverse=self.order == "newest")
        if self.order == "shuffled":
            self._rng.shuffle(listed)
        self._listed = listed

    async def read(self, session_id: str, *, rows: bool = False) -> Answer:  # noqa: ARG002  # there is no more to tell
        """One session, or what goes wrong."""
        await self._asked("read")
        if self._rng.random() < self.read_trouble:
            return self._answer("read", self._rng.choice([None, 404, 429, 500, 200]))
        session = self.sessions.get(session_id)
        found = self.state(session) if session else None
        return self._answer("read", 200, found) if found else self._answer("read", 404)

    def state(self, session: SessionState) -> SessionState | None:
        """How a session stands now; None: it is gone."""
        return session

    async def list_sessions(self, listing: Listing, cursor: str | None) -> Answer:
        """The same, as there is no more to tell of these sessions."""
        return await self.list_states(listing, cursor)

    async def list_states(self, listing: Listing, cursor: str | None) -> Answer:
        """One page."""
        await self._asked("list")
        first, last = listing.started_after, listing.started_before
        self.windows.add((first, last))
        if self.requests["list"] <= self.throttle_first:
            return self._answer("list", 429)
        if self.list_status != 200 or (self.paging == "broken" and cursor is not None):
            return self._answer("list", 400 if self.list_status == 200 else self.list_status)
        low, high = (0, 2**62) if self.paging == "unbounded" else (first or 0, 2**62 if last is None else last)
        within = [each for each in self._listed if low <= (each.started_at or 0) <= high]
        return self._page([each for each in within if listing.status in (None, each.status)], int(cursor or 0))

    def pages_of_all(self, first: Millis, last: Millis) -> int:
        """How many pages a plain list of everything in the window would take."""
        return -(-sum(first <= (each.started_at or 0) <= last for each in self._listed) // self.page_size)

    def _page(self, listed: Sequence[SessionState], at: int) -> Answer:
        following = at + self.page_size
        more = str(following) if following < len(listed) else None
        page = list(listed[at:following])
        match self.paging:
            case "same":
                page, more = list(listed[: self.page_size]), str(at + 1)
            case "loop":
                more = more or "0"
            case "cut":
                more = None
            case "empty":
                page, more = [], str(at + 1)
            case "twice":
                page += page
            case "strangers":
                page += [SessionState(f"stranger-{at}-{n}", "active") for n in range(3)]
        found = [state for each in page if (state := self.state(each)) is not None]
        return self._answer("list", 200, *found, cursor=more)

    async def _asked(self, kind: Kind) -> None:
        self.requests[kind] += 1
        if self.requests.total() > LIMIT:
            raise EndlessError
        await anyio.lowlevel.checkpoint()

    def now(self) -> Millis:
        """When an answer was asked for."""
        return 0

    def _answer(self, kind: Kind, status: int | None, *sessions: SessionState, cursor: str | None = None) -> Answer:
        error = None if status == 200 else "trouble"
        exchange = Exchange(self.now(), kind, status, error, 1)
        return Answer(exchange, sessions=sessions, cursor=cursor, from_api=status is not None)
