"""Contract: verdicts are due for a look, looked at again, and items that ended badly re-opened."""

import pytest

from tests.ledger.support import NOW, a_run, changed, claim_all, closed, outcomes_of, results_of, session_id
from worker.ledger.protocol import Ledger
from worker.models import NEVER, Claim, EvalSummary, Outcome, Run

pytestmark = pytest.mark.anyio
PENDING = EvalSummary("pending", 1, 0, 0, 1)


async def closed_run(ledger: Ledger, *settle_at: int | None) -> tuple[Run, list[Claim]]:
    """A run whose sessions are closed and due for a look at these times; None is settled."""
    run = await a_run(ledger, range(len(settle_at)))
    claims = await claim_all(ledger, run)
    records = [
        changed(
            claim, Outcome.CLOSED, attempts=1, session=closed(number, evals=PENDING), settle_at=due, settled=due is None
        )
        for number, (claim, due) in enumerate(zip(claims, settle_at, strict=True))
    ]
    await ledger.record(run, records, NOW)
    return run, claims


async def test_verdicts_are_due_at_their_time_the_oldest_first(ledger: Ledger) -> None:
    """Up to the limit."""
    run, claims = await closed_run(ledger, NOW + 30, NOW + 10, NOW + 20, None, NEVER)
    assert await ledger.due_settles(run, 9, NOW + 9) == []
    assert [c.seq for c in await ledger.due_settles(run, 9, NOW + 29)] == [claims[1].seq, claims[2].seq]
    assert [c.seq for c in await ledger.due_settles(run, 1, NOW + 99)] == [claims[1].seq]
    assert len(await ledger.due_settles(run, 9, NEVER - 1)) == 3
    (due,) = await ledger.due_settles(run, 1, NOW + 99)
    assert (due.session_id, due.started_at, due.closed_at) == (session_id(1), closed().started_at, NOW + 5)


async def test_what_is_due_is_counted_no_further_than_the_limit(ledger: Ledger) -> None:
    """Whether a page's worth is due is all that is asked."""
    run, _ = await closed_run(ledger, *[NOW] * 7, NOW + 100)
    assert await ledger.due_settle_count(run, 5, NOW) == 5
    assert await ledger.due_settle_count(run, 50, NOW) == 7
    assert await ledger.due_settle_count(run, 50, NOW - 1) == 0


async def test_going_on_looks_again_at_what_was_put_off_for_ever(ledger: Ledger) -> None:
    """The key could not read then; perhaps it can now. What is merely not due yet stays so."""
    run, claims = await closed_run(ledger, NEVER, NOW + 50)
    await ledger.start_run(run, "{}")
    assert [claim.seq for claim in await ledger.due_settles(run, 9, NOW)] == [claims[0].seq]


async def test_settling_again_makes_all_open_verdicts_due(ledger: Ledger) -> None:
    """Those of closed sessions that are not final, whether a look was planned or not."""
    run, claims = await closed_run(ledger, NOW + 10**6, NEVER, None, NOW + 10**6)
    await ledger.record(run, [changed(claims[3], None)], NOW)
    assert await ledger.resettle(run, NOW + 1) == 3
    due = await ledger.due_settles(run, 9, NOW + 1)
    assert sorted(claim.seq for claim in due) == [claims[0].seq, claims[1].seq, claims[3].seq]
    assert {claim.looks for claim in due} == {0}


async def test_retry_reopens_what_ended_badly(ledger: Ledger) -> None:
    """Failed, rejected and not found, with a clean slate; nothing else, and their history is kept."""
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
    assert await ledger.retry(run) == 3
    assert await outcomes_of(ledger, run) == {
        "pending": 5, "closed": 1, "already_closed": 1, "skipped": 1, "in_doubt": 1,
    }  # fmt: skip
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
    assert (row["outcome"], row["detail"], row["attempts"]) == ("pending", None, 0)
