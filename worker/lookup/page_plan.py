"""The cheapest way through sessions whose start times are known: which listing page to ask for, which to read singly.

Pure decisions, one request at a time; ``lookup`` sends them. A page begins at a session that is wanted, so it tells of
one at least, and reading singly is never cheaper; the next page begins at the next one wanted, so what lies between
costs nothing. Only a listing that leaves out what it should hold costs more, and is soon given up.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal

from closeout.worker.domain.exchange import Answer
from closeout.worker.domain.item import Claim
from closeout.worker.domain.session import PAGE_SIZE, SessionState
from closeout.worker.support.clock import Millis

_FREE_LOSS = 2  # pages: an unlucky beginning proves nothing
_ALLOWED_LOSS = 0.05  # of what was looked up: by how much listing may cost more than single reads would have
_FAR = 2  # times the widest page seen: a session so far from the next would most likely be alone on its page
_RECENT = 16  # pages over which their span is averaged
_LIST_EVERY = 8  # of those all the same: to notice where the account is emptier
_TRIES = 3  # of a page that could not be had this time
_FREE_TRIES = 4  # of all pages, before any was good
_ASTRAY = 0.1  # of neighbours on a page, and of pages: so many out of order are borne
_WORTH_A_WAY = 10  # claims: for fewer, one more list would cost as much as they do
WORTH_A_SCAN = 100  # claims: for fewer, what a scan may lose is less than a page

Order = Literal["newest", "oldest", "none"]


@dataclass(frozen=True, slots=True)
class Window:
    """One listing page: the sessions started from ``first`` to ``last``, both inclusive, after ``cursor``.

    None: whenever they started, and in any ``status``.
    """

    first: Millis | None = None
    last: Millis | None = None
    cursor: str | None = None
    status: str | None = None


@dataclass
class ListingProfile:
    """What look-ups have learnt of the API's listing.

    ``order``: that of its pages, by start time; None until one has shown it. ``widest``: the longest time that a full
    page has spanned, and ``span`` what they span on average. ``pages`` were spent, and ``found`` sessions for them;
    ``read`` were read singly. ``mixed`` pages were in no order, and ``again`` were asked for again.
    """

    order: Order | None = None
    allowed: bool = True
    widest: Millis = 0
    span: float = 0.0
    pages: int = 0
    found: int = 0
    read: int = 0
    mixed: int = 0
    again: int = 0

    def may_try_again(self) -> bool:
        """Whether one more page may be asked for again: a few at first, then one for each good page or so."""
        self.again += 1
        return self.again <= _FREE_TRIES + self.found // PAGE_SIZE

    @property
    def pays(self) -> bool:
        """Whether to go on listing: so far it has not cost much more than single reads would have."""
        return self.allowed and self.order != "none" and _bearable(self.pages - self.found, self.found + self.read)

    def learn(self, starts: Sequence[Millis], *, full: bool) -> bool:
        """Take in the start times on a page; whether they are in order. ``full``: there is more behind it."""
        rising = sum(one < other for one, other in pairwise(starts))
        falling = sum(one > other for one, other in pairwise(starts))
        if min(rising, falling) > _ASTRAY * (rising + falling):
            self.mixed += 1
            if self.mixed > 1 + _ASTRAY * self.pages:
                self.order = "none"
            return False
        if rising or falling:
            self.order = "oldest" if rising > falling else "newest"
        if full and starts:
            spanned = abs(starts[0] - starts[-1])
            self.widest = max(self.widest, spanned)
            self.span += (spanned - self.span) / (_RECENT if self.span else 1)
        return True


def _may_come(answer: Answer) -> bool:
    """Whether the same page, asked for again, may well come."""
    status = answer.api_status
    return status is None or status >= 500 or status in (408, 425, 429)


def _bearable(loss: int, looked_up: int) -> bool:
    return loss <= _FREE_LOSS + _ALLOWED_LOSS * looked_up


class RangePlan:
    """One way through some claims. Ask for ``next``, hand what came back to ``took``; read ``singles`` singly.

    With a ``status``, which all of them were in, the pages leave out the others; ``paging`` is that of such pages.
    """

    def __init__(self, claims: Iterable[Claim], paging: ListingProfile, status: str | None = None) -> None:
        self._paging = paging
        self._status = status
        self._left = {claim.session_id: claim for claim in claims}
        self._order: Order = "none"  # of ``_ordered``
        self._ordered: list[Claim] = []
        self._at = 0
        self._going_on: Window | None = None
        self._tries = 0
        self._passed_by = 0
        self._singles: list[Claim] = []

    def next(self) -> Window | None:
        """The page to ask for now; None when the rest is to be read singly."""
        while self._left and self._paging.pays:
            head, following = self._next_two()
            if following is None:
                break
            if self._going_on is not None:
                return self._going_on
            if not self._far(head, following):
                return self._window_from(head)
            self._single(head)
        for claim in list(self._left.values()):
            self._single(claim)
        return None

    def singles(self) -> list[Claim]:
        """What no page will tell of; each is given once."""
        given, self._singles = self._singles, []
        return given

    def took(self, window: Window, answer: Answer) -> list[tuple[Claim, SessionState]]:
        """What the page told of the claims.

        The one that it began at will be read if it was not on it, unless more of the same instant follow.
        """
        if _may_come(answer) and self._tries < _TRIES and self._paging.may_try_again():
            self._tries += 1
            return []
        self._tries = 0
        head = self._next_two()[0]
        seen = [(self._left.pop(each.session_id), each) for each in answer.sessions if each.session_id in self._left]
        paging = self._paging
        paging.pages += 1
        paging.found += len(seen)
        paging.allowed = paging.allowed and answer.api_status != 403
        self._going_on = None
        if answer.api_status == 200:
            self._pass(window, answer)
        if head.session_id in self._left and not (self._going_on is not None and seen):
            self._single(head)
        return seen

    def _pass(self, window: Window, answer: Answer) -> None:
        """Whoever's place the page has passed, and who was not on it, is read singly."""
        starts = [each.started_at for each in answer.sessions if each.started_at is not None]
        full = answer.cursor is not None or len(answer.sessions) >= PAGE_SIZE
        in_order = self._paging.learn(starts, full=full)
        order = self._paging.order
        following = replace(window, cursor=answer.cursor) if answer.cursor is not None else None
        if order is None:
            self._going_on = following
        if not in_order:
            return
        behind = sorted(starts[-3:])[len(starts[-3:]) // 2] if starts else None  # one of them may be astray
        reached = behind if full else window.first if order == "newest" else window.last
        if order is None or order != self._order or reached is None:
            return
        for claim in self._ahead():
            start = claim.started_at or 0
            if start == reached and full:
                # More of the same instant follow: a window that begins at it would give this page again.
                self._going_on = following
                return
            if (start < reached) if order == "newest" else (start > reached):
                return
            self._single(claim)

    def _next_two(self) -> tuple[Claim, Claim | None]:
        ahead = self._ahead()
        return next(ahead), next(ahead, None)

    def _ahead(self) -> Iterator[Claim]:
        """What is left, in the order of the listing."""
        order = self._paging.order or "newest"
        if self._order != order:
            self._order = order
            newest = self._order == "newest"
            self._ordered = sorted(self._left.values(), key=lambda one: one.started_at or 0, reverse=newest)
            self._at = 0
        while self._at < len(self._ordered) and self._ordered[self._at].session_id not in self._left:
            self._at += 1
        for at in range(self._at, len(self._ordered)):
            if self._ordered[at].session_id in self._left:
                yield self._ordered[at]

    def _window_from(self, head: Claim) -> Window:
        start, end = head.started_at or 0, self._ordered[-1].started_at or 0
        return Window(min(start, end), max(start, end), status=self._status)

    def _far(self, head: Claim, following: Claim) -> bool:
        """Whether a page from here would most likely tell of the first alone: then a read is as good, and lighter."""
        widest = self._paging.widest
        if not widest or abs((head.started_at or 0) - (following.started_at or 0)) <= _FAR * widest:
            return False
        self._passed_by = (self._passed_by + 1) % _LIST_EVERY
        return self._passed_by != 0

    def _single(self, claim: Claim) -> None:
        del self._left[claim.session_id]
        self._paging.read += 1
        self._singles.append(claim)


class ScanPlan:
    """The way through claims of which it is not known where they lie: page through everything, or through one status
    after the other, while that tells of enough of them.

    ``ways`` are the first pages of these listings. Each may lose half of what is left to lose, the last one all of it.
    """

    def __init__(self, claims: Sequence[Claim], paging: ListingProfile, ways: Sequence[Window] = (Window(),)) -> None:
        self._paging = paging
        self._left = {claim.session_id: claim for claim in claims}
        self._to_lose = _FREE_LOSS + _ALLOWED_LOSS * len(claims)
        self._lost = 0
        self._pays = False
        self._worth = WORTH_A_SCAN
        self._tries = 0
        self._cursors: set[str | None] = set()
        self._ways = list(ways)
        self._window: Window | None = self._ways.pop(0)

    def next(self) -> Window | None:
        """The page to ask for now; None when the rest is to be read singly."""
        few = len(self._left) < self._worth and not self._pays
        if not self._left or few or not self._paging.allowed:
            self._window = None
        while self._window is not None and self._lost > self._to_lose / (2 if self._ways else 1):
            self._next_way()
        return self._window

    def singles(self) -> list[Claim]:
        """What no page will tell of, once that is known; each is given once."""
        if self._window is not None:
            return []
        given = list(self._left.values())
        self._left.clear()
        return given

    def took(self, window: Window, answer: Answer) -> list[tuple[Claim, SessionState]]:
        """What the page told of the claims."""
        if _may_come(answer) and self._tries < _TRIES and self._paging.may_try_again():
            self._tries += 1
            return []
        self._tries = 0
        self._cursors.add(window.cursor)
        self._paging.allowed = self._paging.allowed and answer.api_status != 403
        seen = [(self._left.pop(each.session_id), each) for each in answer.sessions if each.session_id in self._left]
        self._lost += 1 - len(seen)
        self._pays = len(seen) > 1
        if answer.cursor is not None and answer.cursor not in self._cursors:
            self._window = replace(window, cursor=answer.cursor)
        else:
            self._next_way()
        return seen

    def _next_way(self) -> None:
        self._to_lose -= max(0, self._lost)
        self._lost, self._pays, self._worth = 0, False, _WORTH_A_WAY
        self._cursors.clear()
        self._window = self._ways.pop(0) if self._ways else None
