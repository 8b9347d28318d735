"""Contract: verdicts are due for a look, looked at again, and items that ended badly re-opened."""

import pytest

from closeout.worker.domain.item import Claim, Outcome
from closeout.worker.domain.run import Run
from closeout.worker.domain.session import EvalSummary
from closeout.worker.ledger.protocol import Ledger
from closeout.worker.ledger.records import EvalRuns
from closeout.worker.support.clock import NEVER
from tests.ledger.support import NOW, a_run, changed, claim_all, closed, outcomes_of, results_of, session_id

pytestmark = pytest.mark.anyio
PENDING = EvalSummary("pending", 1, 0, 0, 1)


async def closed_run(ledger: Ledger, *settle_at: int | None, looks: int = 1, first: int = 0) -> tuple[Run, list[Claim]]:
    """A run whose sessions are closed and due for a look at these times; None is settled. ``first`` numbers them."""
    run = await a_run(ledger, range(first, first + len(settle_at)))
    claims = await claim_all(ledger, run)
    records = [
        changed(
            claim,
            Outcome.CLOSED,
            attempts=1,
            looks=looks,
            session=closed(number, evals=PENDING),
            settle_at=due,
            settled=due is None,
        )
        for number, (claim, due) in enumerate(zip(claims, settle_at, strict=True), first)
    ]
    await ledger.record(run, records, NOW)
    return run, claims


async def test_verdicts_are_due_at_their_time_the_oldest_first(ledger: Ledger) -> None:
    """Up to the limit."""
    run, claims = await closed_run(ledger, NOW + 30, NOW + 10, NOW + 20, None, NEVER)
    assert await ledger.due_settles(run, 9, NOW + 9, 0) == []
    assert [c.seq for c in await ledger.due_settles(run, 9, NOW + 29, 0)] == [claims[1].seq, claims[2].seq]
    assert [c.seq for c in await ledger.due_settles(run, 1, NOW + 99, 0)] == [claims[1].seq]
    assert len(await ledger.due_settles(run, 9, NEVER - 1, 0)) == 3
    (due,) = await ledger.due_settles(run, 1, NOW + 99, 0)
    assert (due.session_id, due.started_at, due.closed_at) == (session_id(1), closed().started_at, NOW + 5)


async def test_what_was_never_looked_at_is_due_once_it_is_ripe(ledger: Ledger) -> None:
    """Closed by then; how old that is, is learnt while the run goes."""
    run, claims = await closed_run(ledger, NOW, NOW + 10, NOW + 20, looks=0)
    assert await ledger.due_settles(run, 9, NOW + 99, NOW - 1) == []
    assert [c.seq for c in await ledger.due_settles(run, 9, NOW + 99, NOW + 10)] == [claims[0].seq, claims[1].seq]
    assert await ledger.due_settle_count(run, 9, NOW + 99, NOW + 10) == 2
    looked = changed(claims[0], None, looks=1, settle_at=NOW + 50, looked_at=NOW + 40)
    await ledger.record(run, [looked], NOW + 40)
    (again,) = await ledger.due_settles(run, 9, NOW + 99, 0)
    assert (again.seq, again.looked_at) == (claims[0].seq, NOW + 40)


async def test_what_is_due_is_counted_no_further_than_the_limit(ledger: Ledger) -> None:
    """Whether a page's worth is due is all that is asked."""
    run, _ = await closed_run(ledger, *[NOW] * 7, NOW + 100)
    assert await ledger.due_settle_count(run, 5, NOW, 0) == 5
    assert await ledger.due_settle_count(run, 50, NOW, 0) == 7
    assert await ledger.due_settle_count(run, 50, NOW - 1, 0) == 0


async def test_the_looks_ahead_have_a_first_and_a_last(ledger: Ledger) -> None:
    """A first look waits from the close on; what is put off for ever does not count."""
    run, claims = await closed_run(ledger, NOW + 30, NOW + 60, NEVER)
    assert await ledger.settles_ahead(run, 7) == (NOW + 30, NOW + 60)
    await ledger.record(run, [changed(claims[1], None, looks=0, settle_at=NOW)], NOW)
    assert await ledger.settles_ahead(run, 7) == (NOW + 7, NOW + 30)
    assert await ledger.settles_ahead(run, 70) == (NOW + 30, NOW + 70)
    other, _ = await closed_run(ledger, None, NEVER, first=3)
    assert await ledger.settles_ahead(other, 7) is None


async def test_going_on_looks_again_at_what_was_put_off_for_ever(ledger: Ledger) -> None:
    """The key could not read then; perhaps it can now. What is merely not due yet stays so."""
    run, claims = await closed_run(ledger, NEVER, NOW + 50)
    await ledger.start_run(run, "{}")
    assert [claim.seq for claim in await ledger.due_settles(run, 9, NOW, NOW)] == [claims[0].seq]


async def test_settling_again_makes_all_open_verdicts_due(ledger: Ledger) -> None:
    """Those of closed sessions that are not final, whether a look was planned or not."""
    run, claims = await closed_run(ledger, NOW + 10**6, NEVER, None, NOW + 10**6)
    await ledger.record(run, [changed(claims[3], None)], NOW)
    assert await ledger.resettle(run) == 3
    due = await ledger.due_settles(run, 9, NOW + 1, NOW)
    assert sorted(claim.seq for claim in due) == [claims[0].seq, claims[1].seq, claims[3].seq]
    assert {claim.looks for claim in due} == {0}


async def test_a_none_believed_too_early_is_taken_back(ledger: Ledger) -> None:
    """Those without runs, seen when their close was younger than that; nothing else."""
    run = await a_run(ledger, range(5))
    claims = await claim_all(ledger, run)
    nothing, some = EvalSummary(), EvalSummary("none", total=2, succeeded=2)
    seen = [(nothing, 10), (nothing, 50), (some, 10), (EvalSummary("success", total=1, succeeded=1), 10)]
    closes = [changed(c, Outcome.CLOSED, attempts=1, session=closed(n), settle_at=NOW) for n, c in enumerate(claims)]
    await ledger.record(run, closes, NOW)
    looks = [
        changed(c, None, looks=1, session=closed(n, evals=evals), settled=True, looked_at=NOW + age)
        for n, (c, (evals, age)) in enumerate(zip(claims, seen, strict=False))
    ]
    await ledger.record(run, looks, NOW + 60)
    assert await ledger.doubt_nones(run, 50) == 1
    rows = await results_of(ledger, run)
    assert [row["eval_settled"] for row in rows] == [0, 1, 1, 1, 0]
    assert rows[0]["settled_at"] is None
    due = await ledger.due_settles(run, 9, NOW + 99, NOW)
    assert [claim.seq for claim in due] == [claims[0].seq, claims[4].seq]


async def test_evaluations_are_summed_and_sessions_open_again_counted(ledger: Ledger) -> None:
    """Over the closed ones."""
    run = await a_run(ledger, range(3))
    claims = await claim_all(ledger, run)
    evals = EvalSummary("partial", 9, 6, 2, 1, 5, 3, 1, 1)
    closes = [changed(c, Outcome.CLOSED, session=closed(n, evals=evals)) for n, c in enumerate(claims[:2])]
    await ledger.record(run, [*closes, changed(claims[2], Outcome.FAILED)], NOW)
    await ledger.record(run, [changed(claims[1], None, looks=1, session=closed(1, status="active", evals=evals))], NOW)
    counts = await ledger.counts(run)
    assert counts.reopened == 1
    assert counts.eval_runs == EvalRuns(18, 12, 4, 2, 10, 6, 2, 2)


async def test_retry_reopens_what_ended_badly(ledger: Ledger) -> None:
    """Failed, rejected and not found, with a clean slate; shown as what they were until they have ended."""
    run = await a_run(ledger, range(9))
    claims = await claim_all(ledger, run)
    ends = [
        Outcome.FAILED, Outcome.REJECTED, Outcome.NOT_FOUND, Outcome.CLOSED, Outcome.ALREADY_CLOSED, Outcome.SKIPPED,
        Outcome.IN_DOUBT,
    ]  # fmt: skip
    records = [
        changed(c, end, attempts=5, detail="d", due_at=NEVER if end is Outcome.IN_DOUBT else None)
        for c, end in zip(claims, ends, strict=False)
    ]
    await ledger.record(run, records, NOW)
    await ledger.release(claims[7:])
    before = await results_of(ledger, run)
    assert await ledger.retry(run) == 3
    assert await results_of(ledger, run) == before
    assert await outcomes_of(ledger, run) == {
        "pending": 2, "closed": 1, "already_closed": 1, "skipped": 1, "in_doubt": 1, "failed": 1, "rejected": 1,
        "not_found": 1,
    }  # fmt: skip
    assert {end for end, count in (await ledger.counts(run)).again.items() if count} == set(ends[:3])
    again = await ledger.claim(run, 3, NOW)
    assert [claim.seq for claim in again] == [claim.seq for claim in claims[:3]]
    assert {(claim.attempts, claim.looks) for claim in again} == {(0, 0)}
    assert len(await ledger.attempts_of(run, session_id(0))) == 1


async def test_a_retry_of_a_retry_works(ledger: Ledger) -> None:
    """As often as wanted; with nothing to reopen it changes nothing."""
    run = await a_run(ledger, [1])
    for _ in range(3):
        (claim,) = await claim_all(ledger, run)
        assert await ledger.retry(run) == 0
        await ledger.record(run, [changed(claim, Outcome.FAILED, attempts=1)], NOW)
        assert await ledger.retry(run) == 1
    (row,) = await results_of(ledger, run)
    assert (row["outcome"], row["detail"], row["attempts"]) == ("failed", None, 1)
