"""What a look at a closed session changes, and when to look again."""

import pytest

from closeout.worker.domain.session import EvalSummary
from closeout.worker.lookup.session_lookup import LookupResult
from closeout.worker.policy.evaluation_lag import Lag
from closeout.worker.stages.evaluations import settled_change, unseen_change
from closeout.worker.support.clock import NEVER
from tests.engine.support import NOW, a_claim, a_judge, a_session, an_answer

AGE = 20_000


def test_a_final_verdict_ends_the_looking() -> None:
    """No further look is planned."""
    change = settled_change(a_claim(looks=2, recorded_at=NOW), a_session(), a_judge(), Lag(), NOW)
    assert (change.outcome, change.settled, change.settle_at, change.looks) == (None, True, None, 3)


def test_a_pending_verdict_is_looked_at_again_later() -> None:
    """With what was seen kept meanwhile."""
    session = a_session(evals=EvalSummary("pending", total=1, pending=1))
    change = settled_change(a_claim(looks=1, recorded_at=NOW - AGE), session, a_judge(), Lag(), NOW)
    assert (change.settled, change.settle_at, change.session) == (False, NOW + AGE // 2, session)
    assert change.looked_at == NOW


def test_a_session_seen_live_after_its_close_is_told() -> None:
    """It stays unsettled, and the detail says why."""
    change = settled_change(a_claim(recorded_at=NOW), a_session("active"), a_judge(), Lag(), NOW)
    assert not change.settled
    assert "reopened: seen active" in (change.detail or "")


def test_a_status_that_nobody_knows_is_not_taken_for_reopened() -> None:
    """The API drifts: it may be a new way of being closed."""
    change = settled_change(a_claim(recorded_at=NOW), a_session("archived"), a_judge(), Lag(), NOW)
    assert (change.settled, change.detail) == (True, None)


def test_a_session_deleted_since_is_settled_as_last_seen() -> None:
    """There is nothing more to learn."""
    change = unseen_change(a_claim(), LookupResult(an_answer(404, kind="read")), Lag(), NOW)
    assert (change.outcome, change.settled, change.settle_at, change.session) == (None, True, None, None)
    assert "deleted" in (change.detail or "")


def test_a_proxys_404_settles_nothing() -> None:
    """It does not speak for the API."""
    answer = an_answer(404, kind="read", from_api=False)
    change = unseen_change(a_claim(recorded_at=NOW - AGE), LookupResult(answer), Lag(), NOW)
    assert (change.settled, change.settle_at) == (False, NOW + AGE // 2)


@pytest.mark.parametrize("status", [401, 403])
def test_a_key_that_may_not_read_leaves_the_verdict_open(status: int) -> None:
    """Until somebody asks again, with a better key."""
    change = unseen_change(a_claim(), LookupResult(an_answer(status, kind="read")), Lag(), NOW)
    assert (change.settled, change.settle_at) == (False, NEVER)


@pytest.mark.parametrize("status", [None, 200, 429, 500, 503])
def test_any_other_trouble_is_looked_at_again(status: int | None) -> None:
    """With the time in between growing."""
    answer = an_answer(status, kind="read")
    change = unseen_change(a_claim(looks=2, recorded_at=NOW - AGE), LookupResult(answer), Lag(), NOW)
    assert (change.settled, change.settle_at, change.looks) == (False, NOW + AGE // 2, 3)
