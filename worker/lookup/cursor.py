"""The way through one listing, page by page, also where its cursors fail. Pure decisions; ``pages`` sends the requests.

A cursor that is refused, or that leads back to what was told before, is left: the listing begins anew without it, its
window narrowed to what lies behind the sessions seen. Only where that brings nothing, again and again, the way ends.
"""

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

from closeout.worker.domain.exchange import Answer
from closeout.worker.domain.session import Listing, SessionState
from closeout.worker.support.clock import Millis

_BARREN = 1_000  # pages in a row without any session, which an API that filters late may give
_FRUITLESS = 2  # new beginnings in a row from the same place


class ListingCursor:
    """Ask for ``listing`` at ``cursor`` until ``done``. Where it is ``astray``, the cursor must not be followed."""

    def __init__(self, listing: Listing) -> None:
        self.listing = listing
        self.cursor: str | None = None
        self.done = False
        self.astray = False
        self._cursors: set[str] = set()
        self._known: set[str] = set()  # on the last page, and those that started at the edge: they may come again
        self._rising: bool | None = None  # by start time; None until two pages or rows have shown it
        self._ordered = True
        self._edge: Millis | None = None  # the start of the last session told
        self._from: Millis | None = None  # the edge at the last new beginning
        self._fruitless = 0
        self._barren = 0

    def took(self, answer: Answer) -> Answer:
        """Go on behind a page; returns it without what was told before."""
        fresh = {each.session_id for each in answer.sessions} - self._known
        behind = self._lies_behind(answer.sessions)
        self._barren = 0 if answer.sessions else self._barren + 1
        self._learn(answer.sessions)
        following = answer.cursor
        self.done = following is None
        # The first page begins at the edge on purpose, so it may repeat what is known; one that follows must not.
        repeats = self.cursor is not None and (behind or (bool(answer.sessions) and not fresh))
        self.astray = following is not None and (following in self._cursors or repeats or self._barren > _BARREN)
        if following is not None:
            self._cursors.add(following)
            self.cursor = following
        return replace(
            answer,
            sessions=tuple(each for each in answer.sessions if each.session_id in fresh),
            rows=tuple(each for each in answer.rows if each.session_id in fresh),
        )

    def restart(self) -> bool:
        """Begin anew behind what was seen. False where there is nothing to begin behind, or it was tried in vain."""
        if self.cursor is None:
            return False
        self._fruitless = self._fruitless + 1 if self._from == self._edge or not self._narrows else 0
        if self._fruitless > _FRUITLESS:
            return False
        self._from = self._edge
        self._begin(self._edge)
        return True

    def back_to(self, start: Millis | None) -> None:
        """Begin anew at a session that was told, as what was told from there on has become old."""
        self._known.clear()
        self.done = False
        self._begin(start)

    @property
    def _narrows(self) -> bool:
        """Whether it is known which way the listing goes: else no part of it may be left out."""
        return self._ordered and self._rising is not None and self._edge is not None

    def _begin(self, start: Millis | None) -> None:
        self.cursor, self.astray = None, False
        self._cursors.clear()
        self._barren = 0
        if not self._narrows or start is None:
            self._known.clear()
            self._edge = None
        elif self._rising:
            self.listing = replace(self.listing, started_after=max(start, self.listing.started_after or start))
        else:
            self.listing = replace(self.listing, started_before=min(start, self.listing.started_before or start))

    def _lies_behind(self, sessions: Sequence[SessionState]) -> bool:
        """Whether a page tells only of what was passed before."""
        starts = [each.started_at for each in sessions if each.started_at is not None]
        if not starts or not self._narrows or self._edge is None:
            return False
        return max(starts) < self._edge if self._rising else min(starts) > self._edge

    def _learn(self, sessions: Sequence[SessionState]) -> None:
        starts = [each.started_at for each in sessions if each.started_at is not None]
        for one, other in pairwise(starts if self._edge is None else [self._edge, *starts]):
            if one != other:
                self._ordered = self._ordered and self._rising in (None, other > one)
                self._rising = other > one
        if not starts:
            return
        at_edge = {each.session_id for each in sessions if each.started_at == starts[-1]}
        self._known = {each.session_id for each in sessions} | (self._known if starts[-1] == self._edge else at_edge)
        self._edge = starts[-1]
