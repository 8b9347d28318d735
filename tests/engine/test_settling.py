"""What a look at a closed session changes, and when to look again."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.engine.support import FIRST_LOOK, NOW, a_claim, a_judge, a_session, an_answer
from worker.lookup import Sighting
from worker.models import NEVER, EvalSummary
from worker.settling import look_again_after, settled_change, unseen_change

MINUTE = 60_000


@given(looks=st.integers(0, 10**9), first=st.integers(0, 10**7))
def test_looks_come_between_half_a_second_and_a_minute_apart(looks: int, first: int) -> None:
    """Whatever the settings, and however long it takes."""
    assert 500 <= look_again_after(looks, first) <= MINUTE


@given(looks=st.integers(0, 50), first=st.integers(500, MINUTE))
def test_the_time_between_looks_doubles(looks: int, first: int) -> None:
    """Up to a minute."""
    here, then = look_again_after(looks, first), look_again_after(looks + 1, first)
    assert then == min(MINUTE, 2 * here)


def test_a_final_verdict_ends_the_looking() -> None:
    """No further look is planned."""
    change = settled_change(a_claim(looks=2, recorded_at=NOW), a_session(), a_judge(), NOW)
    assert (change.outcome, change.settled, change.settle_at, change.looks) == (None, True, None, 3)


def test_a_pending_verdict_is_looked_at_again_later() -> None:
    """With what was seen kept meanwhile."""
    session = a_session(evals=EvalSummary("pending", total=1, pending=1))
    change = settled_change(a_claim(looks=1, recorded_at=NOW), session, a_judge(), NOW)
    assert (change.settled, change.settle_at, change.session) == (False, NOW + 2 * FIRST_LOOK, session)


def test_an_acknowledged_close_of_a_live_session_is_told() -> None:
    """It stays unsettled, and the detail says why."""
    change = settled_change(a_claim(recorded_at=NOW), a_session("active"), a_judge(), NOW)
    assert not change.settled
    assert "active" in (change.detail or "")


def test_a_session_deleted_since_is_settled_as_last_seen() -> None:
    """There is nothing more to learn."""
    change = unseen_change(a_claim(), Sighting(an_answer(404, kind="read")), a_judge(), NOW)
    assert (change.outcome, change.settled, change.settle_at, change.session) == (None, True, None, None)


def test_a_proxys_404_settles_nothing() -> None:
    """It does not speak for the API."""
    change = unseen_change(a_claim(), Sighting(an_answer(404, kind="read", from_api=False)), a_judge(), NOW)
    assert (change.settled, change.settle_at) == (False, NOW + FIRST_LOOK)


@pytest.mark.parametrize("status", [401, 403])
def test_a_key_that_may_not_read_leaves_the_verdict_open(status: int) -> None:
    """Until somebody asks again, with a better key."""
    change = unseen_change(a_claim(), Sighting(an_answer(status, kind="read")), a_judge(), NOW)
    assert (change.settled, change.settle_at) == (False, NEVER)


@pytest.mark.parametrize("status", [None, 200, 429, 500, 503])
def test_any_other_trouble_is_looked_at_again(status: int | None) -> None:
    """With the time in between growing."""
    change = unseen_change(a_claim(looks=2), Sighting(an_answer(status, kind="read")), a_judge(), NOW)
    assert (change.settled, change.settle_at, change.looks) == (False, NOW + 4 * FIRST_LOOK, 3)
