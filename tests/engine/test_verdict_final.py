"""When an ``eval_status`` is the last word."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from closeout.worker.domain.session import LIVE_STATUSES, EvalSummary
from closeout.worker.support.clock import Millis
from tests.engine.support import GRACE, NOW, a_judge, a_session


def final(
    evals: EvalSummary, status: str = "closed", *, closed_at: Millis | None = NOW - 1, recorded_at: Millis = NOW
) -> bool:
    """Whether the verdict is final now."""
    session = a_session(status, evals=evals, closed_at=closed_at)
    return a_judge().verdict_final(session, recorded_at=recorded_at, now=NOW)


@pytest.mark.parametrize("verdict", ["success", "partial", "failure", "inconclusive", "", "none_of_those"])
def test_a_verdict_with_nothing_pending_is_final(verdict: str) -> None:
    """Also one that we do not know: it is kept letter for letter."""
    assert final(EvalSummary(verdict, total=2, succeeded=1, failed=1))


@pytest.mark.parametrize(
    "evals",
    [
        EvalSummary("pending"),
        EvalSummary("success", total=3, succeeded=2, pending=1),
        EvalSummary("success", total=3, critical_total=1, critical_pending=1),
        EvalSummary("none", total=1, pending=1),
    ],
    ids=["status", "count", "critical", "none-but-pending"],
)
def test_nothing_is_final_while_anything_is_pending(evals: EvalSummary) -> None:
    """``eval_status`` sums up the critical runs alone; a pending one that is not critical still counts."""
    assert not final(evals, closed_at=NOW - 10**9)


@pytest.mark.parametrize("status", sorted(LIVE_STATUSES))
def test_nothing_is_final_while_the_session_is_live(status: str) -> None:
    """Evaluators start when it closes."""
    assert not final(EvalSummary("success", total=1, succeeded=1), status)


def test_a_session_of_unknown_status_can_be_final() -> None:
    """A status that a later release adds must not be waited for until the time is up."""
    assert final(EvalSummary("success", total=1, succeeded=1), "archived")


@pytest.mark.parametrize(("age", "expected"), [(0, False), (GRACE - 1_001, False), (GRACE + 1_001, True)])
def test_a_none_without_runs_is_believed_once_the_close_is_old(age: int, expected: bool) -> None:
    """Before, it may only mean that no run has been queued yet."""
    assert final(EvalSummary(), closed_at=NOW - age) is expected


def test_a_none_with_finished_runs_is_final() -> None:
    """Runs that are not critical have ended, and no critical evaluator is configured."""
    assert final(EvalSummary("none", total=2, succeeded=2))


@pytest.mark.parametrize(("age", "expected"), [(0, False), (GRACE + 5_000, True)])
def test_without_a_time_of_closing_the_age_is_that_of_our_record(age: int, expected: bool) -> None:
    """The API did not say when: then it was closed at the latest when we recorded it."""
    assert final(EvalSummary(), closed_at=None, recorded_at=NOW - age) is expected


@pytest.mark.parametrize("offset", [-3_600_000, 3_600_000])
def test_the_age_of_a_none_is_taken_by_the_servers_clock(offset: int) -> None:
    """A machine whose clock is an hour off neither believes at once nor waits an hour."""
    judge = a_judge(offset=offset)
    young = a_session(evals=EvalSummary(), closed_at=NOW + offset - 1_000)
    old = a_session(evals=EvalSummary(), closed_at=NOW + offset - GRACE - 2_000)
    assert not judge.verdict_final(young, recorded_at=NOW, now=NOW)
    assert judge.verdict_final(old, recorded_at=NOW, now=NOW)


def test_a_none_is_not_believed_while_the_close_may_be_too_young() -> None:
    """The server's clock is known to a second at best: of the ages that a close may have, the least counts."""
    judge = a_judge(offset=None)
    judge.clock.observe(NOW, NOW - 400, NOW + 200)
    assert judge.clock.latest(NOW) - judge.clock.earliest(NOW) > 1_000
    perhaps = a_session(evals=EvalSummary(), closed_at=judge.clock.latest(NOW) - GRACE)
    surely = a_session(evals=EvalSummary(), closed_at=judge.clock.earliest(NOW) - GRACE)
    assert not judge.verdict_final(perhaps, recorded_at=NOW, now=NOW)
    assert judge.verdict_final(surely, recorded_at=NOW, now=NOW)


@given(total=st.integers(0, 5), pending=st.integers(0, 5), age=st.integers(-10_000, 10**7), status=st.text(max_size=8))
def test_once_final_a_verdict_stays_final(total: int, pending: int, age: int, status: str) -> None:
    """Time alone never takes a final verdict back."""
    evals = EvalSummary(status, total=total, pending=pending)
    session = a_session(evals=evals, closed_at=NOW - age)
    judge = a_judge()
    now = judge.verdict_final(session, recorded_at=NOW, now=NOW)
    later = judge.verdict_final(session, recorded_at=NOW, now=NOW + 3_600_000)
    assert later or not now
