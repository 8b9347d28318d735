"""Contract: exchanges and what they changed are written together."""

import pytest

from closeout.worker.domain.item import Change, Outcome, Record
from closeout.worker.domain.session import EvalSummary
from closeout.worker.ledger.protocol import Ledger
from closeout.worker.support.clock import NEVER
from tests.ledger.support import (
    NOW,
    a_run,
    changed,
    claim_all,
    closed,
    exchange,
    outcomes_of,
    results_of,
    session_id,
)

pytestmark = pytest.mark.anyio
ENDS = [outcome for outcome in Outcome if outcome not in (Outcome.PENDING, Outcome.IN_DOUBT)]


@pytest.mark.parametrize("outcome", ENDS)
async def test_an_outcome_ends_the_work_on_an_item(ledger: Ledger, outcome: Outcome) -> None:
    """It is neither claimed nor looked at again."""
    run = await a_run(ledger, [1, 2])
    claim, _ = await claim_all(ledger, run)
    await ledger.record(run, [changed(claim, outcome, attempts=1)], NOW)
    await ledger.start_run(run, "{}")
    assert await outcomes_of(ledger, run) == {outcome.value: 1, "in_doubt": 1}
    assert claim.seq not in {doubt.seq for doubt in await ledger.due_doubts(run, 9, NEVER)}
    assert await claim_all(ledger, run, NEVER - 1) == []


async def test_all_that_a_close_tells_stands_in_the_results(ledger: Ledger) -> None:
    """Letter for letter, times in UTC."""
    run = await a_run(ledger, [1], job="nightly")
    (claim,) = await claim_all(ledger, run)
    session = closed(1, status="expired", evals=EvalSummary("Partial?", 9, 5, 3, 1, 4, 2, 1, 1))
    change = changed(claim, Outcome.CLOSED, attempts=2, http_status=200, session=session, settled=True, detail="d")
    await ledger.record(run, [change], NOW + 1_234)
    (row,) = await results_of(ledger, run)
    assert row == {
        "run": run.name, "session_id": session_id(1), "outcome": "closed", "detail": "d", "final_status": "expired",
        "eval_status": "Partial?", "eval_settled": 1, "reason": None, "attempts": 2, "http_status": 200, "error": None,
        "closed_at": "2026-03-02T10:00:00.005Z", "first_attempt_at": "2026-03-02T10:00:00.000Z",
        "recorded_at": "2026-03-02T10:00:01.234Z", "settled_at": "2026-03-02T10:00:01.234Z",
        "eval_total": 9, "eval_succeeded": 5, "eval_failed": 3, "eval_pending": 1, "critical_total": 4,
        "critical_succeeded": 2, "critical_failed": 1, "critical_pending": 1, "line": 2, "job": "nightly",
    }  # fmt: skip


async def test_a_new_outcome_replaces_what_the_last_answer_said(ledger: Ledger) -> None:
    """Detail, error and status are those of the new one, also where it has none."""
    run = await a_run(ledger, [1])
    (claim,) = await claim_all(ledger, run)
    first = changed(claim, Outcome.IN_DOUBT, due_at=NOW, attempts=1, error="timeout", http_status=502, detail="lost")
    await ledger.record(run, [first], NOW)
    await ledger.record(run, [changed(claim, Outcome.CLOSED, attempts=1, session=closed())], NOW + 5)
    (row,) = await results_of(ledger, run)
    assert (row["detail"], row["error"], row["http_status"], row["attempts"]) == (None, None, None, 1)


async def test_a_look_keeps_the_outcome_and_what_it_does_not_tell(ledger: Ledger) -> None:
    """A look without a session changes neither the verdict nor the time of recording."""
    run = await a_run(ledger, [1])
    (claim,) = await claim_all(ledger, run)
    change = changed(claim, Outcome.CLOSED, attempts=1, http_status=200, session=closed(), settle_at=NOW + 9)
    await ledger.record(run, [change], NOW)
    (before,) = await results_of(ledger, run)
    await ledger.record(run, [changed(claim, None, looks=3, settle_at=NOW + 20)], NOW + 10)
    assert await results_of(ledger, run) == [before]
    (due,) = await ledger.due_settles(run, 9, NOW + 20, 0)
    assert (due.looks, due.recorded_at, due.started_at) == (3, NOW, closed().started_at)


async def test_a_look_takes_in_a_new_verdict(ledger: Ledger) -> None:
    """With the time when it became final."""
    run = await a_run(ledger, [1])
    (claim,) = await claim_all(ledger, run)
    early = closed(evals=EvalSummary("pending", 2, 0, 0, 2))
    await ledger.record(run, [changed(claim, Outcome.CLOSED, attempts=1, session=early, settle_at=NOW)], NOW)
    await ledger.record(run, [changed(claim, None, looks=1, session=closed(), settled=True)], NOW + 60_000)
    (row,) = await results_of(ledger, run)
    assert (row["eval_status"], row["eval_settled"], row["eval_pending"]) == ("success", 1, 0)
    assert (row["settled_at"], row["recorded_at"]) == ("2026-03-02T10:01:00.000Z", "2026-03-02T10:00:00.000Z")


async def test_an_item_without_answers_keeps_its_unknowns(ledger: Ledger) -> None:
    """Nothing is made up."""
    run = await a_run(ledger, [1])
    (row,) = await results_of(ledger, run)
    unknown = ("final_status", "eval_status", "closed_at", "recorded_at", "eval_total", "http_status", "error", "job")
    assert [row[column] for column in unknown] == [None] * len(unknown)
    assert (row["attempts"], row["eval_settled"]) == (0, 0)


async def test_every_exchange_about_a_session_is_kept_in_order(ledger: Ledger) -> None:
    """Closes, reads, and the listing pages that told of it."""
    run = await a_run(ledger, [1, 2])
    one, two = await claim_all(ledger, run)
    close = exchange("close", None, NOW, "timeout")
    page = exchange("list", 200, NOW + 20)
    read = exchange("read", 503, NOW + 10, "http_503")
    doubt = Change(one.seq, Outcome.IN_DOUBT, due_at=NOW, attempts=1)
    await ledger.record(run, [Record(close, (doubt,))], NOW)
    await ledger.record(run, [Record(read, (Change(one.seq, looks=1, due_at=NOW),))], NOW)
    done = tuple(Change(claim.seq, Outcome.CLOSED, attempts=1) for claim in (one, two))
    await ledger.record(run, [Record(page, done)], NOW)
    assert await ledger.attempts_of(run, session_id(1)) == [close, read, page]
    assert await ledger.attempts_of(run, session_id(2)) == [page]
    assert await ledger.attempts_of(run, session_id(3)) == []


async def test_a_page_that_told_nothing_is_still_a_request(ledger: Ledger) -> None:
    """It cost one."""
    run = await a_run(ledger, [1])
    await ledger.record(run, [Record(exchange("list", 500), ())], NOW)
    assert (await ledger.counts(run)).requests == {"list": 1}


async def test_counts_add_up(ledger: Ledger) -> None:
    """Outcomes with their zeros, verdicts, requests by kind, throttled and repeated closes."""
    run = await a_run(ledger, range(4))
    one, two, three, _ = await claim_all(ledger, run)
    throttled = Record(exchange("close", 429), (Change(one.seq, Outcome.PENDING, due_at=NOW + 1),))
    await ledger.record(run, [throttled], NOW)
    await claim_all(ledger, run, NOW + 1)
    records = [
        changed(one, Outcome.CLOSED, attempts=1, session=closed(), settled=True),
        changed(two, Outcome.ALREADY_CLOSED, attempts=1, session=closed(evals=EvalSummary("new")), settle_at=NOW),
        changed(three, Outcome.NOT_FOUND, attempts=1),
        Record(exchange("list"), ()),
        changed(two, None, looks=1, settle_at=NOW),
    ]
    await ledger.record(run, records[:4], NOW)
    await ledger.record(run, records[4:], NOW)
    counts = await ledger.counts(run)
    assert set(counts.outcomes) == set(Outcome)
    assert sum(counts.outcomes.values()) == 4
    assert counts.eval_status == {"success": 1, "new": 1}
    assert counts.unsettled == 1
    assert counts.requests == {"close": 4, "list": 1, "read": 1}
    assert (counts.throttled, counts.retried) == (1, 1)


async def test_a_count_as_of_now_does_not_see_what_comes_later(ledger: Ledger) -> None:
    """A display shows what was before beside what this process does, each once."""
    run = await a_run(ledger, range(3))
    count = await ledger.counts_as_of_now(run)
    claims = await claim_all(ledger, run)
    await ledger.record(run, [changed(claim, Outcome.CLOSED, attempts=1) for claim in claims], NOW)
    assert (await count()).outcomes[Outcome.PENDING] == 3
    assert await outcomes_of(ledger, run) == {"closed": 3}


async def test_a_large_batch_is_written_whole(ledger: Ledger) -> None:
    """As many as the recorder collects."""
    run = await a_run(ledger, range(1_000))
    claims = await claim_all(ledger, run)
    await ledger.record(run, [changed(claim, Outcome.CLOSED, attempts=1) for claim in claims], NOW)
    assert await outcomes_of(ledger, run) == {"closed": 1_000}
    assert (await ledger.counts(run)).requests == {"close": 1_000}


async def test_nothing_to_record_changes_nothing(ledger: Ledger) -> None:
    """An empty batch is no error."""
    run = await a_run(ledger, [1])
    await ledger.record(run, [], NOW)
    assert await outcomes_of(ledger, run) == {"pending": 1}


async def test_what_found_no_connection_is_not_sent_again(ledger: Ledger) -> None:
    """Nothing left for it; the request is counted, the repetition is not."""
    run = await a_run(ledger, [1])
    (claim,) = await claim_all(ledger, run)
    unsent = exchange("close", None, error="connection_failed")
    await ledger.record(run, [Record(unsent, (Change(claim.seq, Outcome.PENDING, due_at=NOW + 1),))], NOW)
    await claim_all(ledger, run, NOW + 1)
    await ledger.record(run, [changed(claim, Outcome.CLOSED, attempts=1, session=closed())], NOW)
    counts = await ledger.counts(run)
    assert (counts.requests["close"], counts.retried) == (2, 0)
