"""Contract: what cap and canary ask of a ledger: what was tried, what was left out, and taking that up again."""

import pytest

from closeout.worker.domain.exchange import Exchange
from closeout.worker.domain.item import Change, Outcome, Record
from closeout.worker.domain.session import SessionState
from closeout.worker.ledger.protocol import Ledger
from closeout.worker.ledger.records import AttemptedEnd
from closeout.worker.support.clock import NEVER
from tests.ledger.support import NOW, a_run, changed, claim_all, outcomes_of, results_of, rows, session_id

pytestmark = pytest.mark.anyio


async def test_what_a_cap_left_out_is_taken_up_again(ledger: Ledger) -> None:
    """Claimed as if it had never been seen, and shown as skipped until then; what a guard said no to stays so."""
    run = await a_run(ledger, range(9))
    first, second, *_ = await ledger.claim(run, 2, NOW)
    await ledger.record(run, [changed(first, Outcome.CLOSED), changed(second, Outcome.SKIPPED, detail="a guard")], NOW)
    assert await ledger.skip_fresh(run, "over --limit 2", NOW) == 7
    assert await ledger.unskip(run, "over --limit ") == 7
    assert await ledger.unskip(run, "over --limit ") == 0
    counts = await ledger.counts(run)
    assert (counts.outcomes[Outcome.SKIPPED], counts.again[Outcome.SKIPPED]) == (8, 7)
    details = [row["detail"] for row in await results_of(ledger, run) if row["outcome"] == "skipped"]
    assert details == ["a guard", *["over --limit 2"] * 7]
    claims = await claim_all(ledger, run)
    assert [claim.session_id for claim in claims] == [session_id(number) for number in range(2, 9)]
    assert all((claim.fresh, claim.recorded_at) == (True, None) for claim in claims)


async def test_the_caps_of_other_runs_are_left_alone(ledger: Ledger) -> None:
    """A run's items are its own."""
    one, two = await a_run(ledger, [1, 2]), await a_run(ledger, [3])
    for run in (one, two):
        await ledger.skip_fresh(run, "over --limit 9", NOW)
    assert await ledger.unskip(one, "over --limit ") == 2
    assert await outcomes_of(ledger, two) == {"skipped": 1}


async def test_what_was_tried_is_counted_however_it_stands(ledger: Ledger) -> None:
    """In doubt after a crash, too: it was attempted. What has its outcome, or never gets one, is not open."""
    run = await a_run(ledger, range(7))
    closed, missing, later, doubtful, lost, _ = await ledger.claim(run, 6, NOW)
    await ledger.record(
        run,
        [
            changed(closed, Outcome.CLOSED, http_status=200),
            changed(missing, Outcome.NOT_FOUND, http_status=404, error="http_404"),
            changed(later, Outcome.PENDING, due_at=NOW + 5, http_status=503),
            changed(doubtful, Outcome.IN_DOUBT, due_at=NOW + 5),
            changed(lost, Outcome.IN_DOUBT, due_at=NEVER),
        ],
        NOW,
    )
    assert await ledger.attempted_open(run) == {later.seq, doubtful.seq}
    assert await ledger.taken_count(run) == 6
    await ledger.start_run(run, "{}")
    assert len(await ledger.attempted_open(run)) == 4, "the claimed one was rescued, the lost one is due again"
    assert await ledger.taken_count(run) == 6
    assert set(await ledger.attempted_ends(run)) == {
        AttemptedEnd(Outcome.CLOSED, 200, None, 1),
        AttemptedEnd(Outcome.NOT_FOUND, 404, "http_404", 1),
        AttemptedEnd(Outcome.PENDING, 503, None, 1),
        AttemptedEnd(Outcome.IN_DOUBT, None, None, 2),
        AttemptedEnd(Outcome.IN_DOUBT, None, "process_died", 1),
    }


async def test_a_doubt_of_another_run_is_looked_up_once_and_then_fresh(ledger: Ledger) -> None:
    """Nothing was tried for it here, so it counts when it is taken up; the next rows do not put it in doubt again."""
    other = await a_run(ledger, [1])
    await claim_all(ledger, other)
    run = await a_run(ledger, [1, 2])
    (other_one,) = await claim_all(ledger, run)
    assert other_one.session_id == session_id(2)
    await ledger.release([other_one])
    assert await ledger.due_doubts(run, 9, NOW) == [], "what a dead process has sent may still be under way"
    (doubt,) = await ledger.due_doubts(run, 9, NOW + 1_000)
    assert (doubt.session_id, doubt.first_attempt_at) == (session_id(1), None)
    assert await ledger.attempted_open(run) == set()
    seen = Change(doubt.seq, Outcome.PENDING, due_at=0, session=SessionState(session_id(1), "active"))
    await ledger.record(run, [Record(Exchange(NOW, "read", 200, None, 12), (seen,))], NOW)
    await ledger.admit(run, rows([3], first_line=4), "digest", NOW)
    assert await ledger.due_doubts(run, 9, NOW) == []
    assert await ledger.claim(run, 9, NOW, 0) == []
    assert [claim.fresh for claim in await claim_all(ledger, run)] == [True] * 3


async def test_a_retry_of_what_was_never_tried_here_is_fresh(ledger: Ledger) -> None:
    """A session that was in doubt in another run, and not found when it was looked up."""
    await claim_all(ledger, await a_run(ledger, [1]))
    run = await a_run(ledger, [1])
    assert await claim_all(ledger, run) == []
    (doubt,) = await ledger.due_doubts(run, 9, NOW + 1_000)
    gone = Change(doubt.seq, Outcome.NOT_FOUND, http_status=404)
    await ledger.record(run, [Record(Exchange(NOW, "read", 404, "http_404", 12), (gone,))], NOW)
    assert await ledger.retry(run) == 1
    assert await claim_all(ledger, run) == [], "what was not found long ago is no word on how it is now"
    (doubt,) = await ledger.due_doubts(run, 9, NOW + 1_000)
    seen = Change(doubt.seq, Outcome.PENDING, due_at=0, session=SessionState(session_id(1), "active"))
    await ledger.record(run, [Record(Exchange(NOW, "read", 200, None, 12), (seen,))], NOW)
    assert [claim.fresh for claim in await claim_all(ledger, run)] == [True]
