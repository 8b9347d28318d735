"""Who closed a session is told by the API's clock: those of the processes that worked on it may be anything."""

from hypothesis import given
from hypothesis import strategies as st

from closeout.worker.domain.item import Change, Claim, Outcome
from closeout.worker.policy.verdict import Judge
from closeout.worker.support.clock import Millis, ServerClock
from tests.engine.support import NOW, a_claim, a_judge, a_session, an_answer

SECOND: Millis = 1_000
HOUR: Millis = 3_600_000
offsets = st.integers(-HOUR, 25 * HOUR)  # of a process's clock, from the API's
APART: Millis = 5 * SECOND  # of the machines that write the Date header and ``closed_at``


def noting(offset: Millis, date: Millis) -> ServerClock:
    """The clock of the API as a process has it whose own is off by so much."""
    clock = ServerClock()
    clock.observe(date - date % SECOND, date + offset, date + offset + 40)
    return clock


def claimed(at: Millis, offset: Millis, *, known: bool) -> Claim:
    """Taken up first at a time of the API's clock, by a process whose own was off; ``known``: it knew by how much."""
    earliest = noting(offset, at - SECOND).noted(at + offset) if known else None
    return a_claim(attempts=1, first_attempt_at=at + offset, first_attempt_earliest=earliest)


def judging(offset: Millis) -> Judge:
    return a_judge(offset=-offset)  # of the API's clock, from that of this process


@given(offsets, offsets, st.booleans(), st.integers(-APART, HOUR), st.booleans())
def test_what_we_closed_is_never_said_to_have_been_closed_before(
    then: Millis, now: Millis, known: bool, after: Millis, acknowledged: bool
) -> None:
    """However the first process's clock stood, and however this one's does."""
    tried = NOW - 2 * HOUR
    claim, session, here = claimed(tried, then, known=known), a_session(closed_at=tried + after), NOW + now
    judge = judging(now)
    change = (
        judge.close_answer(claim, an_answer(200, session), here)
        if acknowledged
        else judge.doubt_found(claim, session, here)
    )
    assert isinstance(change, Change)
    assert change.outcome is Outcome.CLOSED


@given(offsets, offsets, st.integers(APART + 2 * SECOND, 100 * HOUR))
def test_what_somebody_else_closed_before_is_told_where_the_clock_was_known(
    then: Millis, now: Millis, before: Millis
) -> None:
    """By how much the first process's clock was off is kept with the claim."""
    tried = NOW - 2 * HOUR
    change = judging(now).doubt_found(claimed(tried, then, known=True), a_session(closed_at=tried - before), NOW + now)
    assert change.outcome is Outcome.ALREADY_CLOSED


@given(offsets, offsets)
def test_where_it_was_not_known_two_days_tell(then: Millis, now: Millis) -> None:
    """No clock is off by more than a day and a bit."""
    claim = claimed(NOW - 2 * HOUR, then, known=False)
    change = judging(now).doubt_found(claim, a_session(closed_at=NOW - 56 * HOUR), NOW + now)
    assert change.outcome is Outcome.ALREADY_CLOSED
