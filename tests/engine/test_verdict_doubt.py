"""What a look at a doubtful item means for it."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from closeout.worker.domain.exchange import FOREIGN_ANSWER
from closeout.worker.domain.item import Change, Outcome
from closeout.worker.domain.session import LIVE_STATUSES, TERMINAL_STATUSES, EvalSummary
from closeout.worker.policy.verdict import Halt
from closeout.worker.support.clock import NEVER
from tests.engine.support import (
    GIVE_UP_AFTER,
    MAX_ATTEMPTS,
    NOW,
    WAIT,
    a_claim,
    a_judge,
    a_session,
    an_answer,
)

PASSING = (500, 502, 503, 504, 506, 507, 508, 511, 520, 521, 522, 523, 524, 525, 526, 527, 530, 598, 599)


def found(
    status: str,
    *,
    http_status: int | None = None,
    attempts: int = 1,
    first_attempt_at: int | None = NOW - 5_000,
    **session: Any,
) -> Change:
    """The verdict on a doubtful item whose session has this status."""
    claim = a_claim(
        attempts=attempts,
        http_status=http_status,
        first_attempt_at=first_attempt_at,
        first_attempt_earliest=first_attempt_at,
    )
    return a_judge().doubt_found(claim, a_session(status, **session), NOW)


def unanswered(status: int | None, *, looks: int = 0, age: int = 50, from_api: bool = True) -> Change | Halt:
    """The verdict on a doubtful item whose read got this answer."""
    claim = a_claim(attempts=1, looks=looks, first_attempt_at=NOW - age)
    return a_judge().doubt_unanswered(claim, an_answer(status, kind="read", from_api=from_api), NOW)


@pytest.mark.parametrize(("recorded_at", "forgiven"), [(NOW - 3_000, True), (NOW - 3_001, False), (None, False)])
def test_what_failed_in_an_outage_is_not_held_against_a_session(recorded_at: int | None, forgiven: bool) -> None:
    """It is as if not attempted then, and has one more attempt; before the outage it failed by itself."""
    judge = a_judge()
    judge.standing.outage = (NOW - 3_000, NOW - 1_000)
    claim = a_claim(attempts=MAX_ATTEMPTS, http_status=503, recorded_at=recorded_at)
    change = judge.doubt_found(claim, a_session("active"), NOW)
    expected = (Outcome.PENDING, MAX_ATTEMPTS - 1) if forgiven else (Outcome.FAILED, MAX_ATTEMPTS)
    assert (change.outcome, change.attempts) == expected


@pytest.mark.parametrize("status", sorted(TERMINAL_STATUSES))
def test_a_session_closed_after_our_lost_close_is_ours(status: str) -> None:
    """A terminal status with a time after the first attempt: our close did it."""
    change = found(status, closed_at=NOW - 1_000)
    assert (change.outcome, change.due_at, change.attempts) == (Outcome.CLOSED, None, 1)


@pytest.mark.parametrize("status", sorted(TERMINAL_STATUSES))
def test_a_session_closed_before_our_first_attempt_is_not_ours(status: str) -> None:
    """The server's time of closing tells."""
    assert found(status, closed_at=NOW - 60_000).outcome is Outcome.ALREADY_CLOSED


@pytest.mark.parametrize(("status", "outcome"), [("closed", Outcome.CLOSED), ("expired", Outcome.ALREADY_CLOSED)])
def test_without_a_time_of_closing_the_status_tells(status: str, outcome: Outcome) -> None:
    """What is merely ``closed`` was most likely closed by our lost request; what expired was not."""
    assert found(status, closed_at=None).outcome is outcome


@pytest.mark.parametrize("http_status", [400, 409])
def test_a_refused_close_of_a_terminal_session_was_closed_before(http_status: int) -> None:
    """The refusal did nothing, so somebody else closed it, whatever the clocks say."""
    assert found("closed", http_status=http_status, closed_at=NOW - 1).outcome is Outcome.ALREADY_CLOSED


@pytest.mark.parametrize("http_status", [400, 409])
def test_a_refusal_after_a_lost_close_may_owe_to_that_close(http_status: int) -> None:
    """The second close is refused because the first one did it."""
    change = found("closed", http_status=http_status, attempts=2, closed_at=NOW - 1_000)
    assert change.outcome is Outcome.CLOSED


@pytest.mark.parametrize("http_status", [400, 409])
@pytest.mark.parametrize("status", sorted(LIVE_STATUSES))
def test_a_refused_close_of_a_live_session_is_a_rejection(http_status: int, status: str) -> None:
    """No retry can change it; the detail says why and what the session is."""
    change = found(status, http_status=http_status)
    assert change.outcome is Outcome.REJECTED
    assert str(http_status) in (change.detail or "")
    assert status in (change.detail or "")


@pytest.mark.parametrize("status", sorted(LIVE_STATUSES))
def test_a_live_session_is_closed_again_at_once(status: str) -> None:
    """The lost close had no effect, so the item is pending and due."""
    change = found(status)
    assert (change.outcome, change.due_at, change.attempts) == (Outcome.PENDING, NOW, 1)


@pytest.mark.parametrize("status", sorted(LIVE_STATUSES))
def test_a_live_session_in_doubt_elsewhere_alone_was_never_tried_here(status: str) -> None:
    """Due as a fresh item is, so that cap and canary count it."""
    change = found(status, first_attempt_at=None, attempts=0)
    assert (change.outcome, change.due_at, change.attempts) == (Outcome.PENDING, 0, 0)


@pytest.mark.parametrize("attempts", [MAX_ATTEMPTS, MAX_ATTEMPTS + 1])
def test_a_live_session_whose_attempts_are_used_up_has_failed(attempts: int) -> None:
    """The doubt is over and the count is full."""
    assert found("active", attempts=attempts).outcome is Outcome.FAILED


def test_an_unknown_status_with_a_time_of_closing_is_closed() -> None:
    """A status that a later release adds is believed to be terminal if the session says when it was closed."""
    change = found("archived_somehow", closed_at=NOW - 100)
    assert change.outcome is Outcome.CLOSED
    assert change.session is not None
    assert change.session.status == "archived_somehow"


def test_an_unknown_status_without_a_time_of_closing_is_live() -> None:
    """Nothing says that it was closed."""
    assert found("dreaming", closed_at=None).outcome is Outcome.PENDING


def test_a_doubt_resolved_as_closed_is_to_be_settled() -> None:
    """Its verdict is looked at like that of any other close."""
    change = found("closed", closed_at=NOW - 1_000, evals=EvalSummary("pending", pending=1))
    assert (change.settled, change.settle_at) == (False, NOW)


def test_a_session_that_is_gone_is_not_found() -> None:
    """The API's own 404 ends the doubt; reading is no attempt to close."""
    change = unanswered(404)
    assert isinstance(change, Change)
    assert (change.outcome, change.attempts) == (Outcome.NOT_FOUND, 1)


@pytest.mark.parametrize("status", [401, 403])
def test_a_key_that_may_not_read_halts_and_keeps_the_doubt(status: int) -> None:
    """The doubt stays in the ledger, to be looked at with a better key."""
    halt = unanswered(status)
    assert isinstance(halt, Halt)
    assert halt.change.outcome is Outcome.IN_DOUBT
    assert halt.change.due_at is not None
    assert halt.change.due_at < NEVER


@pytest.mark.parametrize("status", [None, 200, 408, 425, 429, *PASSING])
def test_a_passing_trouble_is_looked_at_again(status: int | None) -> None:
    """The item stays in doubt and due."""
    change = unanswered(status)
    assert isinstance(change, Change)
    assert (change.outcome, change.due_at) == (Outcome.IN_DOUBT, NOW + WAIT)


@pytest.mark.parametrize("status", [400, 422, 501, 505])
def test_an_answer_that_cannot_change_leaves_the_item_in_doubt(status: int) -> None:
    """Nothing more is sent for it, and nothing is claimed about it."""
    change = unanswered(status)
    assert isinstance(change, Change)
    assert (change.outcome, change.due_at) == (Outcome.IN_DOUBT, NEVER)


@given(status=st.integers(100, 599), looks=st.integers(0, MAX_ATTEMPTS + 1))
def test_a_look_that_something_else_answers_says_nothing(status: int, looks: int) -> None:
    """It is looked at again, a bounded number of times; neither the key nor the session is judged by it."""
    change = unanswered(status, looks=looks, from_api=False)
    assert isinstance(change, Change)
    given_up = status != 429 and looks + 1 >= MAX_ATTEMPTS
    assert (change.outcome, change.due_at) == (Outcome.IN_DOUBT, NEVER if given_up else NOW + WAIT)


@pytest.mark.parametrize("http_status", PASSING)
def test_trouble_of_whatever_number_is_no_refusal(http_status: int) -> None:
    """A gateway's 520 no more than a 502: the session is live, so its close is sent again."""
    claim = a_claim(attempts=1, http_status=http_status, error=f"http_{http_status}", first_attempt_at=NOW - 5_000)
    assert a_judge().doubt_found(claim, a_session("active"), NOW).outcome is Outcome.PENDING


@pytest.mark.parametrize("http_status", [400, 409, 501])
def test_a_refusal_that_is_not_the_apis_is_none(http_status: int) -> None:
    """The close behind it may have been carried out: then it is ours, and else it may be sent again."""
    claim = a_claim(attempts=1, http_status=http_status, error="foreign_answer", first_attempt_at=NOW - 5_000)
    judge = a_judge()
    assert judge.doubt_found(claim, a_session("closed", closed_at=NOW - 1_000), NOW).outcome is Outcome.CLOSED
    assert judge.doubt_found(claim, a_session("closed", closed_at=None), NOW).outcome is Outcome.CLOSED
    assert judge.doubt_found(claim, a_session("active"), NOW).outcome is Outcome.PENDING


def test_a_gateways_throttling_is_never_held_against_an_item() -> None:
    """However late it is: a 429 is nobody's failure, whoever gave it."""
    claim = a_claim(attempts=0, http_status=429, error="foreign_answer", first_attempt_at=NOW - 2 * GIVE_UP_AFTER)
    change = a_judge().doubt_found(claim, a_session("active"), NOW)
    assert (change.outcome, change.attempts) == (Outcome.PENDING, 0)


@pytest.mark.parametrize(("status", "counted"), [(429, 0), (503, 1), (None, 1)])
def test_a_throttled_look_does_not_count(status: int | None, counted: int) -> None:
    """Throttling is nobody's failure."""
    change = unanswered(status)
    assert isinstance(change, Change)
    assert change.looks == counted


def test_a_throttled_look_never_gives_up_an_item() -> None:
    """However late the item is, a 429 says nothing about it: the look is to be repeated."""
    change = unanswered(429, age=GIVE_UP_AFTER + 1)
    assert isinstance(change, Change)
    assert change.due_at == NOW + WAIT


def test_looks_are_bounded() -> None:
    """After as many unanswered looks as attempts are allowed, the item is left in doubt."""
    change = unanswered(503, looks=MAX_ATTEMPTS - 1)
    assert isinstance(change, Change)
    assert (change.outcome, change.due_at, change.looks) == (Outcome.IN_DOUBT, NEVER, MAX_ATTEMPTS)


@given(status=st.none() | st.integers(100, 599), looks=st.integers(0, 9), from_api=st.booleans())
def test_an_unanswered_doubt_is_never_closed_or_sent_again(status: int | None, looks: int, from_api: bool) -> None:
    """Without having seen the session, only ``not_found`` can end the doubt, and attempts are not touched."""
    verdict = unanswered(status, looks=looks, from_api=from_api)
    change = verdict.change if isinstance(verdict, Halt) else verdict
    assert change.outcome in (Outcome.IN_DOUBT, Outcome.NOT_FOUND)
    assert change.attempts == 1
    assert (change.outcome is Outcome.NOT_FOUND) == (status == 404 and from_api)


@given(
    status=st.sampled_from(sorted(LIVE_STATUSES | TERMINAL_STATUSES)) | st.text(max_size=12),
    closed_at=st.none() | st.integers(NOW - 10**9, NOW + 10**9),
    http_status=st.none() | st.sampled_from([200, 400, 408, 409, 500, 502, 504]),
    attempts=st.integers(1, MAX_ATTEMPTS + 1),
)
def test_a_seen_session_always_ends_the_doubt(
    status: str, closed_at: int | None, http_status: int | None, attempts: int
) -> None:
    """Seen is known: the item is closed, already closed, rejected, failed, or pending with attempts left."""
    change = found(status, closed_at=closed_at, http_status=http_status, attempts=attempts)
    assert change.outcome is not Outcome.IN_DOUBT
    assert change.attempts == attempts
    assert (change.due_at is not None) == (change.outcome is Outcome.PENDING)
    if status in LIVE_STATUSES:
        assert change.outcome not in (Outcome.CLOSED, Outcome.ALREADY_CLOSED)
    if status in TERMINAL_STATUSES:
        assert change.outcome in (Outcome.CLOSED, Outcome.ALREADY_CLOSED)
    if change.outcome is Outcome.PENDING:
        assert attempts < MAX_ATTEMPTS


@pytest.mark.parametrize("status", [402, 403, 404, 405, 410, 413, 422, 451])
def test_a_refusal_that_was_looked_at_is_rejected_once_the_session_is_live(status: int) -> None:
    """The API's own, though in other words; a gateway's, or that of an attempt before a retry, is none."""
    claim = a_claim(attempts=1, http_status=status, error=f"http_{status}")
    judge = a_judge()
    assert judge.doubt_found(claim, a_session("active"), NOW).outcome is Outcome.REJECTED
    for other in (replace(claim, error=FOREIGN_ANSWER), replace(claim, attempts=0)):
        assert judge.doubt_found(other, a_session("active"), NOW).outcome is Outcome.PENDING


def test_time_in_which_nobody_tried_is_not_held_against_an_item() -> None:
    """A run resumed after a night gives its items their time anew."""
    judge = a_judge()
    judge = replace(judge, limits=replace(judge.limits, since=NOW - 1_000))
    claim = a_claim(first_attempt_at=NOW - 100 * GIVE_UP_AFTER, attempts=1, http_status=503)
    assert judge.doubt_found(claim, a_session("active"), NOW).outcome is Outcome.PENDING
