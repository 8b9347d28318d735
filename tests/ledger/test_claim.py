"""Contract: work is claimed, given back, and rescued from a process that died."""

import pytest

from closeout.worker.domain.item import Claim, Outcome, SourceRow
from closeout.worker.domain.run import Run
from closeout.worker.ledger.protocol import Ledger
from closeout.worker.support.clock import NEVER
from tests.ledger.support import NOW, a_run, changed, claim_all, outcomes_of, results_of, rows, session_id

pytestmark = pytest.mark.anyio


async def put_off(ledger: Ledger, run: Run, claims: list[Claim], due_at: int) -> None:
    """Back to pending, due later, after one attempt."""
    records = [changed(claim, Outcome.PENDING, due_at=due_at, attempts=1, http_status=503) for claim in claims]
    await ledger.record(run, records, NOW)


async def test_fresh_items_are_claimed_in_order_up_to_the_limit(ledger: Ledger) -> None:
    """Each of them once."""
    run = await a_run(ledger, [8, 2, 5])
    first = await ledger.claim(run, 2, NOW)
    second = await ledger.claim(run, 2, NOW)
    assert [claim.session_id for claim in first] == [session_id(8), session_id(2)]
    assert [claim.session_id for claim in second] == [session_id(5)]
    assert await ledger.claim(run, 2, NOW) == []


async def test_a_claim_is_written_before_the_request_leaves(ledger: Ledger) -> None:
    """With the time of the first attempt; others see it as in doubt."""
    run = await a_run(ledger, [1])
    (claim,) = await claim_all(ledger, run, NOW + 7)
    assert (claim.attempts, claim.first_attempt_at, claim.http_status, claim.looks) == (0, NOW + 7, None, 0)
    (row,) = await results_of(ledger, run)
    assert (row["outcome"], row["first_attempt_at"]) == ("in_doubt", "2026-03-02T10:00:00.007Z")


async def test_a_claim_carries_the_rows_own_reason(ledger: Ledger) -> None:
    """To be sent with the close."""
    run = await a_run(ledger)
    await ledger.admit(run, [SourceRow(2, session_id(1), "resolved"), *rows([2], first_line=3)], "d", NOW)
    assert [claim.reason for claim in await claim_all(ledger, run)] == ["resolved", None]


async def test_retries_whose_time_has_come_go_first(ledger: Ledger) -> None:
    """The longest due before the others, and all before the fresh ones."""
    run = await a_run(ledger, range(5))
    one, two, three = await ledger.claim(run, 3, NOW)
    await put_off(ledger, run, [one], NOW + 300)
    await put_off(ledger, run, [two], NOW + 100)
    await put_off(ledger, run, [three], NOW + 900)
    claims = await ledger.claim(run, 3, NOW + 500)
    assert [claim.seq for claim in claims[:2]] == [two.seq, one.seq]
    assert claims[2].session_id == session_id(3)
    assert (claims[0].attempts, claims[0].http_status, claims[0].first_attempt_at) == (1, 503, NOW)


async def test_a_retry_is_not_claimed_before_it_is_due(ledger: Ledger) -> None:
    """To the millisecond."""
    run = await a_run(ledger, [1])
    await put_off(ledger, run, await claim_all(ledger, run), NOW + 100)
    assert await claim_all(ledger, run, NOW + 99) == []
    assert len(await claim_all(ledger, run, NOW + 100)) == 1


async def test_the_limit_holds_over_retries_and_fresh_items(ledger: Ledger) -> None:
    """Both together."""
    run = await a_run(ledger, range(10))
    await put_off(ledger, run, await ledger.claim(run, 4, NOW), NOW + 1)
    assert len(await ledger.claim(run, 3, NOW + 1)) == 3
    assert len(await ledger.claim(run, 4, NOW + 1)) == 4
    assert len(await ledger.claim(run, 99, NOW + 1)) == 3


async def test_what_is_released_is_pending_as_before(ledger: Ledger) -> None:
    """Its request never left: a fresh item is fresh again, a retry keeps its first attempt."""
    run = await a_run(ledger, [1, 2])
    retried, fresh = await claim_all(ledger, run)
    await put_off(ledger, run, [retried], NOW + 10)
    (again,) = await claim_all(ledger, run, NOW + 10)
    await ledger.release([again, fresh])
    assert await outcomes_of(ledger, run) == {"pending": 2}
    by_id = {row["session_id"]: row for row in await results_of(ledger, run)}
    assert by_id[session_id(2)]["first_attempt_at"] is None
    assert by_id[session_id(1)]["first_attempt_at"] is not None
    assert {claim.seq for claim in await claim_all(ledger, run, NOW + 20)} == {retried.seq, fresh.seq}


async def test_releasing_what_was_answered_changes_nothing(ledger: Ledger) -> None:
    """An outcome stays, also when its claim is given back by mistake."""
    run = await a_run(ledger, [1])
    (claim,) = await claim_all(ledger, run)
    await ledger.record(run, [changed(claim, Outcome.CLOSED, attempts=1)], NOW)
    await ledger.release([claim])
    await ledger.release([])
    assert await outcomes_of(ledger, run) == {"closed": 1}


async def test_what_a_dead_process_had_claimed_is_in_doubt(ledger: Ledger) -> None:
    """It may have been sent, so it is looked at at once; it may not, so it does not count as an attempt."""
    run = await a_run(ledger, range(3))
    claims = await ledger.claim(run, 2, NOW)
    await ledger.start_run(run, "{}")
    doubts = await ledger.due_doubts(run, 10, NOW)
    assert {doubt.seq for doubt in doubts} == {claim.seq for claim in claims}
    assert [(doubt.attempts, doubt.http_status, doubt.error) for doubt in doubts] == [(0, None, "process_died")] * 2
    assert doubts[0].first_attempt_at == NOW
    assert await outcomes_of(ledger, run) == {"in_doubt": 2, "pending": 1}
    assert [claim.session_id for claim in await claim_all(ledger, run)] == [session_id(2)]


async def test_a_rescue_forgets_the_answer_to_an_earlier_attempt(ledger: Ledger) -> None:
    """An old 409 says nothing of the close that may have been under way."""
    run = await a_run(ledger, [1])
    (claim,) = await claim_all(ledger, run)
    change = changed(claim, Outcome.PENDING, due_at=NOW + 1, attempts=1, http_status=409, error="conflict")
    await ledger.record(run, [change], NOW)
    await claim_all(ledger, run, NOW + 1)
    await ledger.start_run(run, "{}")
    (doubt,) = await ledger.due_doubts(run, 10, NOW)
    assert (doubt.attempts, doubt.http_status) == (1, None)


async def test_doubts_are_due_at_their_time_the_oldest_first(ledger: Ledger) -> None:
    """Up to the limit; one that was given up is due at no time, until the run is gone on with."""
    run = await a_run(ledger, range(4))
    claims = await claim_all(ledger, run)
    times = [NOW + 30, NOW + 10, NOW + 20, NEVER]
    records = [changed(c, Outcome.IN_DOUBT, due_at=due, attempts=1) for c, due in zip(claims, times, strict=True)]
    await ledger.record(run, records, NOW)
    assert await ledger.due_doubts(run, 9, NOW + 9) == []
    assert [c.seq for c in await ledger.due_doubts(run, 9, NOW + 25)] == [claims[1].seq, claims[2].seq]
    assert len(await ledger.due_doubts(run, 1, NOW + 99)) == 1
    assert len(await ledger.due_doubts(run, 9, NEVER - 1)) == 3
    await ledger.start_run(run, "{}")
    assert len(await ledger.due_doubts(run, 9, NOW)) == 4


async def test_next_due_tells_when_there_is_work(ledger: Ledger) -> None:
    """Of each kind apart; claimed items are nobody's work."""
    run = await a_run(ledger, range(4))
    due = await ledger.next_due(run)
    assert (due.pending, due.doubt, due.settle) == (0, None, None)
    one, two, three, four = await claim_all(ledger, run)
    assert (await ledger.next_due(run)).pending is None
    await ledger.record(
        run,
        [
            changed(one, Outcome.PENDING, due_at=NOW + 5, attempts=1),
            changed(two, Outcome.IN_DOUBT, due_at=NOW + 3, attempts=1),
            changed(three, Outcome.CLOSED, settle_at=NOW + 9),
            changed(four, Outcome.CLOSED, settled=True),
        ],
        NOW,
    )
    due = await ledger.next_due(run)
    assert (due.pending, due.doubt, due.settle) == (NOW + 5, NOW + 3, NOW + 9)
