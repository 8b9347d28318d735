"""The state of many sessions, for few requests: listing pages of up to 200 where that is cheaper than single reads."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVarTuple

import anyio

from worker.api.client import PAGE_SIZE, Api
from worker.budget import Lane
from worker.gate import Gate
from worker.models import Answer, Claim, Millis, SessionState

_WORTH_A_PAGE = 2  # a page costs what one read costs: with fewer of ours in it, reading is as cheap
_READERS = 16


@dataclass(frozen=True, slots=True)
class Sighting:
    """One exchange and what it told: the sessions seen, and for a read that told nothing, the claim it was for."""

    answer: Answer
    seen: tuple[tuple[Claim, SessionState], ...] = ()
    unseen: Claim | None = None


_Args = TypeVarTuple("_Args")
Sink = Callable[[Sighting], Awaitable[None]]


@dataclass
class Lookup:
    """Looks up claims and hands each exchange to a sink. ``lane`` is its place in the budget.

    ``requests`` and ``seen`` count over its life.
    """

    api: Api
    gate: Gate
    lane: Lane = "close"
    requests: int = 0
    seen: int = 0
    list_allowed: bool = True

    async def states(self, claims: Sequence[Claim], sink: Sink) -> None:
        """Look each of the claims up, once."""
        singles = [claim for claim in claims if claim.started_at is None or not self.list_allowed]
        timed = [claim for claim in claims if claim.started_at is not None and self.list_allowed]
        for window in windows(timed):
            singles += await self._list_window(window, sink)
        await self._read_all(singles, sink)

    async def _list_window(self, window: Sequence[Claim], sink: Sink) -> list[Claim]:
        """Page through the window while it pays; returns the claims that no page told of."""
        wanted = {claim.session_id: claim for claim in window}
        if len(wanted) < _WORTH_A_PAGE or not self.list_allowed:
            return list(wanted.values())
        first, last = _bounds(window)
        async for answer in self._pages(first, last):
            seen = tuple((wanted.pop(one.session_id), one) for one in answer.sessions if one.session_id in wanted)
            self.seen += len(seen)
            await sink(Sighting(answer, seen))
            if len(seen) < _WORTH_A_PAGE or len(wanted) < _WORTH_A_PAGE:
                break
        return list(wanted.values())

    async def _pages(self, first: Millis, last: Millis) -> AsyncIterator[Answer]:
        """The pages of a window, until the last one, a bad one, or a cursor that comes a second time."""
        cursors: set[str | None] = set()
        cursor: str | None = None
        while cursor not in cursors:
            cursors.add(cursor)
            answer = await self._send(self.api.list_started, first, last, cursor)
            if answer.http_status == 403:
                self.list_allowed = False
            yield answer
            cursor = answer.cursor
            if cursor is None:
                return

    async def _read_all(self, claims: Sequence[Claim], sink: Sink) -> None:
        todo = iter(claims)
        async with anyio.create_task_group() as readers:
            for _ in range(min(_READERS, len(claims))):
                readers.start_soon(self._reader, todo, sink)

    async def _reader(self, todo: Iterator[Claim], sink: Sink) -> None:
        for claim in todo:
            answer = await self._send(self.api.read, claim.session_id)
            session = answer.session
            if session is not None and session.session_id == claim.session_id:
                self.seen += 1
                await sink(Sighting(answer, ((claim, session),)))
            else:
                await sink(Sighting(answer, unseen=claim))

    async def _send(self, request: Callable[[*_Args], Awaitable[Answer]], *args: *_Args) -> Answer:
        await self.gate.enter(self.lane)
        try:
            answer = await request(*args)
        finally:
            self.gate.leave()
        self.requests += 1
        await self.gate.told(answer)
        return answer


def windows(claims: Sequence[Claim]) -> Iterator[list[Claim]]:
    """The claims by time of start, a page's worth at a time: where nobody else's lie between, one page tells all."""
    ordered = sorted(claims, key=lambda claim: claim.started_at or 0)
    for at in range(0, len(ordered), PAGE_SIZE):
        yield ordered[at : at + PAGE_SIZE]


def _bounds(window: Sequence[Claim]) -> tuple[Millis, Millis]:
    """Both inclusive; the API's times may be finer than our milliseconds, so the last one is rounded up."""
    return window[0].started_at or 0, (window[-1].started_at or 0) + 1
