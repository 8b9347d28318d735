"""What an answer to a close means for its item."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from closeout.worker.domain.exchange import Answer
from closeout.worker.domain.item import Change, Claim, Outcome
from closeout.worker.domain.session import LIVE_STATUSES, EvalSummary
from closeout.worker.policy.verdict import Halt
from tests.engine.support import (
    GIVE_UP_AFTER,
    MAX_ATTEMPTS,
    NOW,
    OTHER,
    WAIT,
    a_claim,
    a_judge,
    a_session,
    an_answer,
)

# A request behind these may have been carried out, and only reading the session tells.
DOUBTFUL = {400, 408, 409, 425, 500, 502, 503, 504}
UNDONE = {429}


def judged(answer: Answer, claim: Claim | None = None, *, proven: bool = True) -> Change:
    """The verdict on a close, which is expected not to be a halt."""
    verdict = a_judge(proven=proven).close_answer(claim or a_claim(), answer, NOW)
    assert isinstance(verdict, Change)
    return verdict


def expected_outcome(status: int) -> Outcome | None:
    """The outcome of a proven, unreadable answer with this status; None for a halt."""
    if status == 401:
        return None
    if 200 <= status < 300 or status in DOUBTFUL:
        return Outcome.IN_DOUBT
    if status in UNDONE:
        return Outcome.PENDING
    return Outcome.NOT_FOUND if status == 404 else Outcome.REJECTED


@pytest.mark.parametrize("status", range(100, 500))
def test_every_status_below_500_has_one_outcome(status: int) -> None:
    """Once the host has answered properly, each status speaks of the item, and only 401 of the key."""
    verdict = a_judge(proven=True).close_answer(a_claim(), an_answer(status), NOW)
    outcome = verdict.outcome if isinstance(verdict, Change) else None
    assert outcome == expected_outcome(status)


@pytest.mark.parametrize("status", [500, 502, 504, 507, 508, 509, 520, 521, 522, 523, 524, 529, 530, 598, 599])
def test_a_server_error_never_ends_an_item_at_once(status: int) -> None:
    """Any 5xx of the API or a proxy before it may hide a close that was carried out: the session has to be read."""
    assert judged(an_answer(status, from_api=False)).outcome is Outcome.IN_DOUBT


@pytest.mark.parametrize("status", [425, 503])
def test_unavailable_is_looked_at_and_counts_as_an_attempt(status: int) -> None:
    """Also in the API's own words: no document says that such a close was not carried out."""
    change = judged(an_answer(status), a_claim(attempts=1))
    assert (change.outcome, change.attempts, change.due_at) == (Outcome.IN_DOUBT, 2, NOW + 1_000 + WAIT)


@pytest.mark.parametrize("status", [501, 505])
def test_what_the_api_will_never_do_is_rejected(status: int) -> None:
    """In its own words, and no time mends it."""
    assert judged(an_answer(status), a_claim()).outcome is Outcome.REJECTED


@pytest.mark.parametrize("status", [s for s in range(400, 600) if s != 401])
def test_an_error_that_says_more_than_the_api_documents_ends_nothing(status: int) -> None:
    """It may be a newer release's, or of a gateway that nobody has heard of: the session is looked at."""
    change = judged(replace(an_answer(status), exact=False), a_claim(attempts=1))
    assert (change.outcome, change.attempts) == (Outcome.IN_DOUBT, 1 + (status != 429))


@pytest.mark.parametrize("status", [401, 403])
def test_a_key_refused_in_other_words_halts_and_the_session_is_looked_at(status: int) -> None:
    """The close may have been carried out all the same; what was said of the key is not held against the session."""
    verdict = a_judge(proven=False).close_answer(a_claim(), replace(an_answer(status), exact=False), NOW)
    assert isinstance(verdict, Halt)
    assert (verdict.change.outcome, verdict.change.http_status) == (Outcome.IN_DOUBT, None)


@pytest.mark.parametrize("status", sorted(LIVE_STATUSES))
def test_an_acknowledged_close_of_a_session_that_is_live_is_looked_at(status: str) -> None:
    """Only a session that has ended was closed: a cache may have answered, or the close comes later."""
    assert judged(an_answer(200, a_session(status, closed_at=None))).outcome is Outcome.IN_DOUBT


def test_an_acknowledged_close_is_closed_and_to_be_settled() -> None:
    """A 200 with the session is the close; its verdict is looked at after the first look's time."""
    session = a_session(evals=EvalSummary("pending", total=2, pending=2))
    change = judged(an_answer(200, session), a_claim(attempts=1, error="http_503", http_status=503))
    assert change.outcome is Outcome.CLOSED
    assert (change.attempts, change.http_status, change.error) == (2, 200, None)
    assert (change.settled, change.settle_at, change.session) == (False, NOW, session)


def test_a_final_verdict_in_the_close_answer_is_settled_at_once() -> None:
    """No further look is spent on a verdict that is final already."""
    change = judged(an_answer(200, a_session()))
    assert (change.settled, change.settle_at) == (True, None)


def test_without_settling_no_look_is_planned() -> None:
    """With --no-settle a verdict that is not final stays so."""
    judge = a_judge(settle=False)
    session = a_session(evals=EvalSummary("pending"))
    change = judge.close_answer(a_claim(), an_answer(200, session), NOW)
    assert isinstance(change, Change)
    assert (change.outcome, change.settled, change.settle_at) == (Outcome.CLOSED, False, None)


@pytest.mark.parametrize("offset", [-7_200_000, -1_500, 0, 1_500, 7_200_000])
def test_closed_before_our_first_attempt_is_told_by_the_servers_clock(offset: int) -> None:
    """However wrong our clock is: closed a minute before the first attempt is not our doing, closed after it is."""
    judge = a_judge(offset=offset)
    first = NOW - 30_000
    for moment, outcome in ((first - 60_000, Outcome.ALREADY_CLOSED), (first + 20_000, Outcome.CLOSED)):
        session = a_session(closed_at=moment + offset)
        claim = a_claim(first_attempt_at=first, first_attempt_earliest=first + offset)
        change = judge.close_answer(claim, an_answer(200, session), NOW)
        assert isinstance(change, Change)
        assert change.outcome is outcome


def test_an_acknowledged_close_without_a_time_is_ours() -> None:
    """Nothing says that it was closed before, so the answer to our request counts."""
    assert judged(an_answer(200, a_session(closed_at=None))).outcome is Outcome.CLOSED


def test_an_answer_about_another_session_is_no_answer() -> None:
    """A 200 that names another session proves nothing about ours."""
    assert judged(an_answer(200, a_session(session_id=OTHER))).outcome is Outcome.IN_DOUBT


def test_an_unreadable_acknowledgement_is_in_doubt() -> None:
    """A 200 without a usable session was sent, and may have been carried out."""
    change = judged(an_answer(200, error="unreadable_answer"))
    assert (change.outcome, change.error, change.attempts) == (Outcome.IN_DOUBT, "unreadable_answer", 1)


def test_no_answer_to_a_sent_request_is_in_doubt() -> None:
    """The close may still be under way, so it is given at least a second before it is looked at."""
    change = judged(an_answer(None, error="timeout"))
    assert change.outcome is Outcome.IN_DOUBT
    assert change.due_at is not None
    assert change.due_at >= NOW + 1_000
    assert change.attempts == 1


def test_a_request_that_was_not_sent_is_no_attempt() -> None:
    """Where no connection was made, nothing can have happened to the session."""
    change = judged(an_answer(None, sent=False), a_claim(attempts=MAX_ATTEMPTS - 1))
    assert (change.outcome, change.attempts) == (Outcome.PENDING, MAX_ATTEMPTS - 1)


@pytest.mark.parametrize("status", [400, 409])
def test_a_refusal_is_read_at_once(status: int) -> None:
    """The API has decided, so waiting before the look gains nothing."""
    change = judged(an_answer(status))
    assert (change.outcome, change.due_at) == (Outcome.IN_DOUBT, NOW)


@pytest.mark.parametrize("proven", [True, False])
def test_a_401_always_halts(proven: bool) -> None:
    """A key may be revoked at any moment; no later request can do better."""
    assert isinstance(a_judge(proven=proven).close_answer(a_claim(), an_answer(401), NOW), Halt)


def test_a_403_speaks_of_the_key_until_it_is_proven() -> None:
    """Before any proper answer it means a wrong key; after one it means this session."""
    halt = a_judge(proven=False).close_answer(a_claim(), an_answer(403), NOW)
    assert isinstance(halt, Halt)
    assert "403" in halt.why
    later = judged(an_answer(403))
    assert (later.outcome, later.attempts) == (Outcome.REJECTED, 1)


@pytest.mark.parametrize("proven", [True, False])
@given(status=st.integers(100, 599), attempts=st.integers(0, MAX_ATTEMPTS), told=st.none() | st.floats(0, 1e6))
def test_what_is_not_the_apis_leaves_a_close_in_doubt(
    proven: bool, status: int, attempts: int, told: float | None
) -> None:
    """Whatever its status says: whoever stands before the API does not know what became of the request."""
    answer = an_answer(status, from_api=False, error="foreign_answer", retry_after=told)
    change = judged(answer, a_claim(attempts=attempts), proven=proven)
    assert (change.outcome, change.attempts) == (Outcome.IN_DOUBT, attempts + (status != 429))
    assert change.due_at is not None
    assert NOW + 1_000 <= change.due_at < NOW + GIVE_UP_AFTER + WAIT + 1_000


def test_the_apis_own_404_is_never_a_halt() -> None:
    """A wrong first id in a file must not stop the run."""
    assert judged(an_answer(404), proven=False).outcome is Outcome.NOT_FOUND


@given(
    status=st.none() | st.integers(100, 599),
    sent=st.booleans(),
    from_api=st.booleans(),
    proven=st.booleans(),
    attempts=st.integers(0, MAX_ATTEMPTS - 1),
    age=st.integers(0, 2 * GIVE_UP_AFTER),
    told=st.none() | st.floats(-1e9, 1e9),
)
def test_invariants_of_every_close_answer(
    status: int | None, sent: bool, from_api: bool, proven: bool, attempts: int, age: int, told: float | None
) -> None:
    """Attempts stay within the maximum, a halt puts the item back, and what may have happened is read first."""
    claim = a_claim(attempts=attempts, first_attempt_at=NOW - age)
    answer = an_answer(status, sent=sent or status is not None, from_api=from_api, retry_after=told)
    verdict = a_judge(proven=proven).close_answer(claim, answer, NOW)
    if isinstance(verdict, Halt):
        assert (verdict.change.outcome, verdict.change.attempts) == (Outcome.PENDING, attempts)
        assert verdict.change.due_at is not None
        assert verdict.why
        return
    assert verdict.seq == claim.seq
    assert verdict.attempts is not None
    assert verdict.attempts <= MAX_ATTEMPTS
    assert (verdict.due_at is not None) == (verdict.outcome in (Outcome.PENDING, Outcome.IN_DOUBT))
    if verdict.due_at is not None:
        assert NOW <= verdict.due_at <= NOW + GIVE_UP_AFTER + WAIT
    if verdict.outcome is Outcome.PENDING:
        assert status in UNDONE or not answer.sent
        assert verdict.due_at is not None
        assert verdict.due_at > NOW


@given(
    attempts=st.integers(0, MAX_ATTEMPTS - 1),
    age=st.integers(0, 10 * GIVE_UP_AFTER),
    told=st.none() | st.floats(allow_nan=False, min_value=-10, max_value=1e6),
)
def test_throttling_is_never_held_against_an_item(attempts: int, age: int, told: float | None) -> None:
    """A 429 is neither an attempt nor a failure, however often and however late."""
    claim = a_claim(attempts=attempts, first_attempt_at=NOW - age)
    change = judged(an_answer(429, retry_after=told), claim)
    assert (change.outcome, change.attempts) == (Outcome.PENDING, attempts)


@pytest.mark.parametrize(
    "claim",
    [a_claim(attempts=MAX_ATTEMPTS - 1), a_claim(first_attempt_at=NOW - GIVE_UP_AFTER)],
    ids=["attempts", "time"],
)
def test_after_the_last_retryable_refusal_the_session_is_read(claim: Claim) -> None:
    """Attempts and time are both bounded; what has failed is told from an outage, and its status known, by a read."""
    change = judged(an_answer(503), claim)
    assert (change.outcome, change.http_status) == (Outcome.IN_DOUBT, 503)
    assert change.attempts == claim.attempts + 1


@pytest.mark.parametrize(("told", "due"), [(30.0, 30_000), (-5.0, 1_700), (0.0, 1_700), (1e9, GIVE_UP_AFTER)])
def test_a_503_waits_as_long_as_it_was_told(told: float, due: int) -> None:
    """Retry-After concerns the item, within its time; nonsense is as good as not told."""
    assert judged(an_answer(503, retry_after=told)).due_at == NOW + due


def test_a_503_that_is_not_the_apis_may_hide_a_close() -> None:
    """A proxy answers 503 also when it gave up on a request that got through: the session is read first."""
    change = judged(an_answer(503, from_api=False), a_claim(attempts=1))
    assert (change.outcome, change.attempts) == (Outcome.IN_DOUBT, 2)
