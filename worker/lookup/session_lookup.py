"""The state of many sessions, for few requests: listing pages of up to 200 where that is cheaper than single reads."""

from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVarTuple

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

from closeout.worker.api.client import ReadingApi
from closeout.worker.domain.exchange import Answer
from closeout.worker.domain.item import Claim
from closeout.worker.domain.session import LIVE_STATUSES, PAGE_SIZE, Listing, SessionState
from closeout.worker.lookup.page_plan import WORTH_A_SCAN, ListingProfile, RangePlan, ScanPlan, Window
from closeout.worker.pace.budget import Lane
from closeout.worker.runtime.gate import Gate
from closeout.worker.support.clock import Millis

_READERS = 16
_PAGERS = 8  # at once, at most: pages come one after the other in each, and may take long to arrive
_STRETCH = 20 * PAGE_SIZE  # claims for each: where two meet, a page may be asked for twice


@dataclass(frozen=True, slots=True)
class LookupResult:
    """One exchange and what it told: the sessions seen, and for a read that told nothing, the claim it was for."""

    answer: Answer
    seen: tuple[tuple[Claim, SessionState], ...] = ()
    unseen: Claim | None = None


_Args = TypeVarTuple("_Args")
Sink = Callable[[LookupResult], Awaitable[None]]


@dataclass
class Lookup:
    """Looks up claims and hands each exchange to a sink. ``lane`` is its place in the budget.

    ``rows``: the sessions seen are rows, with all that a rule may choose by, and a page is believed that a session is
    open, as a sweep believes it, unless a close may have been sent for it. ``statuses`` are those that sessions of
    which nothing is known may be in, if it is their state that matters: few are, in the long run, so that lists of them
    are short. ``paging`` is what it has learnt of the API's listing, and ``paging_in`` of that of one status;
    ``requests`` is what it has sent over its life.
    """

    api: ReadingApi
    gate: Gate
    lane: Lane = "close"
    paging: ListingProfile = field(default_factory=ListingProfile)
    requests: int = 0
    rows: bool = False
    statuses: Sequence[str] = ()
    paging_in: defaultdict[str, ListingProfile] = field(default_factory=lambda: defaultdict(ListingProfile))

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
            for course in self._courses(claims):
                tasks.start_soon(self._pager, course, to_read.clone(), sink)

    async def _pager(self, course: RangePlan | ScanPlan, to_read: MemoryObjectSendStream[Claim], sink: Sink) -> None:
        with to_read:
            while (window := course.next()) is not None:
                listing = Listing(status=window.status, started_after=window.first, started_before=window.last)
                answer = await self._send(self._list, listing, window.cursor)
                seen = course.took(window, answer)
                await sink(LookupResult(answer, tuple(pair for pair in seen if self._believed(*pair))))
                for claim, session in seen:
                    if not self._believed(claim, session):
                        to_read.send_nowait(claim)
                self._hand_over(course, to_read)
            self._hand_over(course, to_read)

    def _believed(self, claim: Claim, session: SessionState) -> bool:
        """A listing may be behind: what is closed once more on its word would be closed twice."""
        return session.terminal or (self.rows and claim.first_attempt_at is None)

    @staticmethod
    def _hand_over(course: RangePlan | ScanPlan, to_read: MemoryObjectSendStream[Claim]) -> None:
        """There is room for all claims, so this never waits."""
        for claim in course.singles():
            to_read.send_nowait(claim)

    async def _reader(self, reading: MemoryObjectReceiveStream[Claim], sink: Sink) -> None:
        with reading:
            async for claim in reading:
                answer = await self._send(self._read, claim.session_id)
                session = answer.session
                if session is not None and session.session_id == claim.session_id:
                    await sink(LookupResult(answer, ((claim, session),)))
                else:
                    await sink(LookupResult(answer, unseen=claim))

    @property
    def _list(self) -> Callable[[Listing, str | None], Awaitable[Answer]]:
        return self.api.list_sessions if self.rows else self.api.list_states

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

    def _courses(self, claims: Sequence[Claim]) -> Iterator[RangePlan | ScanPlan]:
        """The ways through all claims: by what is known of each, its start and the status that it was in."""
        if not self.rows:
            yield from stretches([claim for claim in claims if claim.started_at is not None], self.paging)
            yield from _scans([claim for claim in claims if claim.started_at is None], self.paging, [Window()])
            return
        known: defaultdict[str, list[Claim]] = defaultdict(list)
        timed, untimed = list[Claim](), list[Claim]()
        for claim in claims:
            if claim.started_at is not None and claim.status in LIVE_STATUSES:
                known[claim.status].append(claim)
            else:
                (untimed if claim.started_at is None else timed).append(claim)
        for status, some in known.items():
            yield from stretches(some, self.paging_in[status], status)
        yield from _scans(untimed, self.paging, [*(Window(status=each) for each in self.statuses), Window()])
        if self.statuses and len(timed) >= WORTH_A_SCAN:
            first, last = min(_start(each) for each in timed), max(_start(each) for each in timed)
            yield from _scans(timed, self.paging, [Window(first, last, status=each) for each in self.statuses])
        else:
            yield from stretches(timed, self.paging)


def _start(claim: Claim) -> Millis:
    return claim.started_at or 0


def stretches(claims: Sequence[Claim], paging: ListingProfile, status: str | None = None) -> Iterator[RangePlan]:
    """The ways through claims whose start is known: a few stretches of time."""
    ordered = sorted(claims, key=_start)
    size = max(_STRETCH, -(-len(ordered) // _PAGERS))
    for at in range(0, len(ordered), size):
        yield RangePlan(ordered[at : at + size], paging, status)


def _scans(claims: Sequence[Claim], paging: ListingProfile, ways: Sequence[Window]) -> Iterator[ScanPlan]:
    if claims:
        yield ScanPlan(claims, paging, ways)
