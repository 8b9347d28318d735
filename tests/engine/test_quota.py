"""Cap and canary: how many sessions may be taken up."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from closeout.worker.domain.item import Change, Claim, Outcome
from closeout.worker.policy.quota import Quota, canary_left
from closeout.worker.support.clock import NEVER
from tests.engine.support import a_claim

counts = st.one_of(st.none(), st.integers(-50, 50))


def claims(first: int, count: int) -> list[Claim]:
    """So many fresh ones."""
    return [a_claim(seq=seq, fresh=True) for seq in range(first, first + count)]


@pytest.mark.parametrize(
    ("left", "canary", "room"),
    [
        (None, None, None), (5, None, 5), (None, 3, 3), (5, 3, 3), (2, 3, 2), (0, None, 0), (None, 0, 0), (0, 3, 0),
        (-4, None, 0), (-4, 3, 0),
    ],
)  # fmt: skip
def test_the_smaller_of_both_bounds_holds(left: int | None, canary: int | None, room: int | None) -> None:
    """A cap below what was taken up already leaves no room."""
    assert Quota(left, canary).room == room


@pytest.mark.parametrize(("left", "used_up"), [(None, False), (1, False), (0, True), (-3, True)])
def test_only_a_cap_is_used_up(left: int | None, used_up: bool) -> None:
    """What waits for the canary is not skipped for it."""
    assert Quota(left, canary=0).used_up is used_up


@given(counts, counts, st.lists(st.integers(1, 20), max_size=20))
def test_no_more_is_taken_than_there_is_room(left: int | None, canary: int | None, batches: list[int]) -> None:
    """In whatever batches: the cap holds in all, the canary until it is over."""
    quota, taken = Quota(left, canary), 0
    for batch in batches:
        count = batch if quota.room is None else min(batch, quota.room)
        quota.taken(claims(taken, count))
        taken += count
    bounds = [max(0, bound) for bound in (left, canary) if bound is not None]
    assert taken == min([sum(batches), *bounds])
    assert quota.canaries == (set(range(taken)) if canary is not None else set())
    quota.canary = None
    rest = None if left is None else max(0, left - taken)
    assert quota.room == rest


@pytest.mark.parametrize(
    ("outcome", "due_at", "waited_for"),
    [
        (Outcome.PENDING, 5, True), (Outcome.IN_DOUBT, 5, True), (Outcome.IN_DOUBT, NEVER, False),
        *((each, None, False) for each in Outcome if each not in (Outcome.PENDING, Outcome.IN_DOUBT)),
    ],
)  # fmt: skip
def test_a_canary_is_waited_for_until_nothing_is_left_to_do(
    outcome: Outcome, due_at: int | None, waited_for: bool
) -> None:
    """What cannot be verified is not waited for, or the run would stand still for ever."""
    quota = Quota(canary=2)
    quota.taken(claims(7, 1))
    quota.ended(Change(7, outcome, due_at=due_at))
    assert bool(quota.canaries) is waited_for


def test_what_was_tried_before_makes_no_room_when_it_is_spared() -> None:
    """It is one of those that the cap has let through already; one that was not tried gives its place to the next."""
    quota = Quota(left=3)
    quota.spared(a_claim(seq=1, fresh=False))
    assert quota.left == 3
    quota.taken(claims(2, 1))
    quota.spared(claims(2, 1)[0])
    assert quota.left == 3


@pytest.mark.parametrize(
    ("canary", "taken", "left"),
    [(None, 0, None), (None, 9, None), (10, 0, 10), (10, 4, 6), (10, 10, 0), (10, 11, 0), (10, 500, 0)],
)
def test_a_canary_counts_over_the_life_of_a_run(canary: int | None, taken: int, left: int | None) -> None:
    """It is over once it has passed, and not because more were closed."""
    assert canary_left(canary, taken, passed=False) == left
    assert canary_left(canary, taken, passed=True) is None
