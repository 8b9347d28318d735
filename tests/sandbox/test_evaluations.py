"""The evaluations after a close: a verdict that comes late, and counts that always agree."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from closeout.worker.sandbox import Sandbox, SandboxConfig
from closeout.worker.sandbox.evaluations import count_evaluations, plan_evaluations
from tests.sandbox.support import V90, talking

MIXED = SandboxConfig(no_critical_share=0.2, partial_share=0.25, failure_share=0.25, unfinished_share=0.1)
ids = st.uuids(version=4).map(str)
elapsed = st.floats(0, 3)


@given(ids, elapsed)
def test_the_counts_add_up_at_any_time(session_id: str, seconds: float) -> None:
    evals = count_evaluations(plan_evaluations(MIXED, session_id), seconds)
    assert evals.succeeded + evals.failed + evals.pending == evals.total
    assert evals.critical_succeeded + evals.critical_failed + evals.critical_pending == evals.critical_total
    assert evals.critical_total <= evals.total
    assert (evals.eval_status == "pending") == (evals.critical_pending > 0)
    assert (evals.eval_status == "none") == (evals.critical_total == 0)


@given(ids, elapsed, elapsed)
def test_no_run_that_has_ended_starts_again(session_id: str, one: float, other: float) -> None:
    plan = plan_evaluations(MIXED, session_id)
    early, late = sorted((one, other))
    before, after = count_evaluations(plan, early), count_evaluations(plan, late)
    assert after.succeeded >= before.succeeded
    assert after.failed >= before.failed
    if before.eval_status not in ("pending", "none"):
        assert after.eval_status == before.eval_status


@given(ids)
def test_all_is_decided_within_the_longest_delay_unless_it_stalls(session_id: str) -> None:
    plan = plan_evaluations(MIXED, session_id)
    last = count_evaluations(plan, MIXED.eval_delay[1])
    assert last == count_evaluations(plan, float("inf"))
    assert last.pending == (1 if plan.stalls else 0)


def test_all_verdicts_occur_in_about_their_shares() -> None:
    sandbox = Sandbox(MIXED)
    session_ids = sandbox.add_sessions(4000)
    for session_id in session_ids:
        sandbox.close_elsewhere(session_id)
    verdicts = Counter(sandbox.truth(session_id).eval_status for session_id in session_ids)
    shares = {"none": 0.2, "partial": 0.2, "failure": 0.2, "success": 0.4}
    for verdict, share in shares.items():
        assert abs(verdicts[verdict] / 4000 - share) < 0.03


def test_the_verdict_goes_from_none_to_pending_to_what_the_truth_says() -> None:
    with talking(SandboxConfig(no_critical_share=0, premature_none=0.5, eval_delay=(1, 2))) as talk:
        [session_id] = talk.sandbox.add_sessions(1)
        seen = [talk.close(session_id).json()["eval_summary"]]
        for seconds in (0.6, 3.0):
            talk.clock.now += seconds
            seen.append(talk.read(session_id, V90).json()["eval_summary"])
        assert (seen[0]["eval_status"], seen[0]["total"]) == ("none", 0)
        assert (seen[1]["eval_status"], seen[1]["pending"]) == ("pending", seen[1]["total"])
        assert seen[2]["eval_status"] == talk.sandbox.truth(session_id).eval_status != "pending"
        assert talk.list().json()["items"][0]["eval_summary"] == seen[2]


def test_unfinished_evaluations_stay_pending_for_ever() -> None:
    with talking(SandboxConfig(no_critical_share=0, unfinished_share=1)) as talk:
        [session_id] = talk.sandbox.add_sessions(1)
        talk.close(session_id)
        talk.clock.now += 1e6
        assert talk.read(session_id).json()["eval_summary"]["eval_status"] == "pending"
        assert talk.sandbox.truth(session_id).eval_status == "pending"
