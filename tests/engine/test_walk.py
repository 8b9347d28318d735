"""Property: whatever a listing does with its cursors, a walk tells of each session once, or ends."""

import random
from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st

from closeout.worker.domain.exchange import Answer
from closeout.worker.domain.session import Listing, SessionState
from closeout.worker.lookup.cursor import ListingCursor
from tests.engine.support import an_answer

PAGE = 5
ENDLESS = 2_000
TROUBLES = ("none", "refused", "itself", "first", "sometimes")


@dataclass
class Lister:
    """Lists sessions by start, newest or oldest first, in pages of five, with trouble with its cursors."""

    starts: list[int]
    rising: bool
    trouble: str
    seed: int

    def __post_init__(self) -> None:
        self._luck = random.Random(self.seed)
        self._all = sorted(
            (SessionState(f"s{at}", "active", started_at=start) for at, start in enumerate(self.starts)),
            key=lambda each: (each.started_at or 0, each.session_id),
            reverse=not self.rising,
        )

    def page(self, walk: ListingCursor) -> Answer:
        """The page that a walk asks for."""
        low, high = walk.listing.started_after or 0, walk.listing.started_before
        found = [
            one for one in self._all if low <= (one.started_at or 0) and (high is None or (one.started_at or 0) <= high)
        ]
        if walk.cursor is not None and self._refuses():
            return an_answer(400, kind="list")
        at = int(walk.cursor or 0)
        more = str(at + PAGE) if at + PAGE < len(found) else None
        if self.trouble == "itself" and more is not None and walk.cursor is not None:
            more = walk.cursor
        if self.trouble == "first" and walk.cursor is not None:
            more = "0"
        return an_answer(200, *found[at : at + PAGE], kind="list", cursor=more)

    def _refuses(self) -> bool:
        return self.trouble == "refused" or (self.trouble == "sometimes" and self._luck.random() < 0.3)


def walked(lister: Lister) -> tuple[list[str], bool]:
    """The sessions told, and whether the walk came to its end."""
    walk, told = ListingCursor(Listing()), list[str]()
    for _ in range(ENDLESS):
        if walk.done:
            return told, True
        answer = lister.page(walk)
        if answer.http_status == 200:
            told += [each.session_id for each in walk.took(answer).sessions]
        if (answer.http_status != 200 or walk.astray) and not walk.restart():
            return told, False
    raise AssertionError("the walk goes on for ever")


@given(
    starts=st.lists(st.integers(1, 400), max_size=60),
    rising=st.booleans(),
    trouble=st.sampled_from(TROUBLES),
    seed=st.integers(0, 99),
)
@settings(deadline=None)
def test_each_session_is_told_once_or_the_walk_ends(
    starts: list[int],
    rising: bool,
    trouble: str,
    seed: int,
) -> None:
    """All of them where it comes to its end; it does so wherever no instant fills a page."""
    told, whole = walked(Lister(starts, rising, trouble, seed))
    everything = {f"s{at}" for at in range(len(starts))}
    assert set(told) <= everything
    if whole:
        assert set(told) == everything
    if trouble == "none":
        assert whole
        assert len(told) == len(everything)
    crowded = max((starts.count(start) for start in starts), default=0)
    if trouble == "refused" and crowded < PAGE and len(set(starts)) > 1:
        assert whole
