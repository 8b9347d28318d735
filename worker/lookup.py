"""The state of many sessions, for few requests: listing pages of up to 200 where that is cheaper than single reads."""

from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVarTuple

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

from worker.api.client import ReadingApi
from worker.budget import Lane
from worker.course import Course, Paging, Scan
from worker.gate import Gate
from worker.models import PAGE_SIZE, Answer, Claim, Millis, SessionState

_READERS = 16
_PAGERS = 8  # at once, at most: pages come one after the other in each, and may take long to arrive
_STRETCH = 20 * PAGE_SIZE  # claims for each: where two meet, a page may be asked for twice


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

    ``rows``: the sessions seen are rows, with all that a rule may choose by, and a page is believed that a session is
    open, as a sweep believes it, unless a close may have been sent for it. ``paging`` is what it has learnt of the
    API's listing, ``requests`` what it has sent over its life.
    """

    api: ReadingApi
    gate: Gate
    lane: Lane = "close"
    paging: Paging = field(default_factory=Paging)
    requests: int = 0
    rows: bool = False

    async def states(self, claims: Sequence[Claim], sink: Sink) -> None:
        """Look each of the claims up, once; their session ids must differ. The sink is called by several tasks."""
        to_read, reading = anyio.create_memory_object_stream[Claim](len(claims))
        async with anyio.create_task_group() as tasks:
            for _ in range(min(_READERS, len(claims))):
                tasks.start_soon(self._reader, reading.clone(), sink)
            reading.close()
            with to_read:
                await self._list_all(claims, to_read, sink)

    async def _list_all(self, claims: Sequence[Claim], to_read: MemoryObjectSendStream[Claim], sink: Sink) -> None:
        """What no page tells of goes to the readers."""
        async with anyio.create_task_group() as tasks:
            for course in courses(claims, self.paging):
                tasks.start_soon(self._pager, course, to_read.clone(), sink)

    async def _pager(self, course: Course | Scan, to_read: MemoryObjectSendStream[Claim], sink: Sink) -> None:
        with to_read:
            while (window := course.next()) is not None:
                answer = await self._send(self._list, window.first, window.last, window.cursor)
                seen = course.took(window, answer)
                await sink(Sighting(answer, tuple(pair for pair in seen if self._believed(*pair))))
                for claim, session in seen:
                    if not self._believed(claim, session):
                        to_read.send_nowait(claim)
                self._hand_over(course, to_read)
            self._hand_over(course, to_read)

    def _believed(self, claim: Claim, session: SessionState) -> bool:
        """A listing may be behind: what is closed once more on its word would be closed twice."""
        return session.terminal or (self.rows and claim.first_attempt_at is None)

    @staticmethod
    def _hand_over(course: Course | Scan, to_read: MemoryObjectSendStream[Claim]) -> None:
        """There is room for all claims, so this never waits."""
        for claim in course.singles():
            to_read.send_nowait(claim)

    async def _reader(self, reading: MemoryObjectReceiveStream[Claim], sink: Sink) -> None:
        with reading:
            async for claim in reading:
                answer = await self._send(self._read, claim.session_id)
                session = answer.session
                if session is not None and session.session_id == claim.session_id:
                    await sink(Sighting(answer, ((claim, session),)))
                else:
                    await sink(Sighting(answer, unseen=claim))

    @property
    def _list(self) -> Callable[[Millis | None, Millis | None, str | None], Awaitable[Answer]]:
        return partial(self.api.list_started, rows=True) if self.rows else self.api.list_started

    @property
    def _read(self) -> Callable[[str], Awaitable[Answer]]:
        return partial(self.api.read, rows=True) if self.rows else self.api.read

    async def _send(self, request: Callable[[*_Args], Awaitable[Answer]], *args: *_Args) -> Answer:
        await self.gate.enter(self.lane)
        try:
            answer = await request(*args)
        finally:
            self.gate.leave()
        self.requests += 1
        await self.gate.told(answer)
        return answer


def courses(claims: Sequence[Claim], paging: Paging) -> Iterator[Course | Scan]:
    """The ways through all claims: a few stretches of time, and one for those of which no start is known."""
    timed = sorted((claim for claim in claims if claim.started_at is not None), key=lambda one: one.started_at or 0)
    size = max(_STRETCH, -(-len(timed) // _PAGERS))
    for at in range(0, len(timed), size):
        yield Course(timed[at : at + size], paging)
    untimed = [claim for claim in claims if claim.started_at is None]
    if untimed:
        yield Scan(untimed, paging)
