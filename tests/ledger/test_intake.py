"""What queues give to a ledger: each key once, and what is known is looked up before it may be closed again."""

import pytest

from closeout.worker.domain.item import Outcome, QueuedRow, SourceRow
from closeout.worker.domain.run import Run
from closeout.worker.ledger.membership import RunEnd
from closeout.worker.ledger.protocol import Ledger
from closeout.worker.ledger.stores import TakenIn
from closeout.worker.support.clock import Millis
from tests.ledger.support import DAY, NOW, a_run, changed, claim_all, closed, outcomes_of, results_of, session_id

pytestmark = pytest.mark.anyio
QUEUE = "queue:sessions"


def queued(number: int, key: str | None = None, not_before: Millis = 0, reason: str | None = None) -> QueuedRow:
    """What a message about this session asks for."""
    return QueuedRow(SourceRow(0, session_id(number), reason), key, not_before)


def malformed(text: str) -> QueuedRow:
    """What is left of a message that says nothing."""
    return QueuedRow(SourceRow(0, None, None, text, "not a UUID"), f"malformed {text}")


async def take_in(ledger: Ledger, run: Run, *rows: QueuedRow, now: Millis = NOW) -> TakenIn:
    """With a memory of a day."""
    return await ledger.intake.take_in(run, rows, now - DAY, now)


async def close_all(ledger: Ledger, run: Run, now: Millis = NOW) -> None:
    """All that can be claimed is closed."""
    claims = await claim_all(ledger, run, now)
    await ledger.record(run, [changed(claim, Outcome.CLOSED, session=closed(), settled=True) for claim in claims], now)


async def identity_holds(ledger: Ledger, run: Run) -> bool:
    """Rows read are duplicates and rows."""
    found = await ledger.find_run(run.name)
    return found.rows_read == found.duplicates + sum((await ledger.counts(run)).outcomes.values())


async def test_the_same_session_again_is_a_duplicate(ledger: Ledger) -> None:
    """In one batch, in the next one, and in another run of the queue; another queue knows nothing of it."""
    first, second = await a_run(ledger, location=QUEUE), await a_run(ledger, location=QUEUE)
    other = await a_run(ledger, location="queue:other")
    assert await take_in(ledger, first, queued(1), queued(2), queued(1)) == TakenIn(1)
    assert await take_in(ledger, first, queued(2), queued(3)) == TakenIn(1)
    assert await take_in(ledger, second, queued(3), queued(4)) == TakenIn(1)
    assert await take_in(ledger, other, queued(3)) == TakenIn()
    assert [claim.session_id for claim in await claim_all(ledger, first)] == [session_id(n) for n in (1, 2, 3)]
    assert [claim.session_id for claim in await claim_all(ledger, second)] == [session_id(4)]
    assert [await identity_holds(ledger, run) for run in (first, second, other)] == [True] * 3


async def test_a_key_makes_the_duplicate_where_there_is_one(ledger: Ledger) -> None:
    """The same key with another session is one; the same session with another key is looked up first."""
    run = await a_run(ledger, location=QUEUE)
    assert await take_in(ledger, run, queued(1, "a"), queued(2, "a"), queued(3, "b")) == TakenIn(1)
    assert await take_in(ledger, run, queued(4, "a"), queued(5, session_id(3))) == TakenIn(1)
    await close_all(ledger, run)
    assert await take_in(ledger, run, queued(1, "c")) == TakenIn(1, again={Outcome.CLOSED: 1})
    assert await claim_all(ledger, run) == []
    assert [claim.session_id for claim in await ledger.due_known(run, 10)] == [session_id(1)]
    assert await identity_holds(ledger, run)


async def test_after_the_window_a_session_is_looked_up_first(ledger: Ledger) -> None:
    """Its row is taken up again as if never tried; what was sent for it stays in the log."""
    run = await a_run(ledger, location=QUEUE)
    await take_in(ledger, run, queued(1, reason="abandoned"), queued(2))
    await close_all(ledger, run)
    later = NOW + DAY + 1
    assert await take_in(ledger, run, queued(1), queued(3), now=NOW + DAY) == TakenIn(1)
    assert await take_in(ledger, run, queued(1, reason="resolved"), now=later) == TakenIn(1, again={Outcome.CLOSED: 1})
    (known,) = await ledger.due_known(run, 10)
    assert (known.session_id, known.reason, known.attempts, known.first_attempt_at) == (
        session_id(1),
        "resolved",
        0,
        None,
    )
    assert [claim.session_id for claim in await claim_all(ledger, run, later)] == [session_id(3)]
    assert len(await ledger.attempts_of(run, session_id(1))) == 1
    assert await identity_holds(ledger, run)


async def test_another_run_of_the_queue_looks_up_what_an_earlier_one_closed(ledger: Ledger) -> None:
    """It has a row of its own there."""
    first = await a_run(ledger, location=QUEUE)
    await take_in(ledger, first, queued(1))
    await close_all(ledger, first)
    await ledger.end_run(first, RunEnd("finished", None, 1.0), NOW)
    second, later = await a_run(ledger, location=QUEUE), NOW + 2 * DAY
    assert await take_in(ledger, second, queued(1), queued(2), now=later) == TakenIn()
    assert [claim.session_id for claim in await claim_all(ledger, second, later)] == [session_id(2)]
    assert [claim.session_id for claim in await ledger.due_known(second, 10)] == [session_id(1)]
    assert await outcomes_of(ledger, first) == {"closed": 1}


async def test_what_is_open_stays_as_it_is(ledger: Ledger) -> None:
    """A session that is being closed, or in doubt, is not begun anew."""
    run = await a_run(ledger, location=QUEUE)
    await take_in(ledger, run, queued(1), queued(2), queued(3))
    one, two = await ledger.claim(run, 2, NOW)
    await ledger.record(run, [changed(two, Outcome.IN_DOUBT, due_at=NOW + 5, attempts=1)], NOW)
    assert await take_in(ledger, run, queued(1, "x"), queued(2, "x2"), queued(3, "x3")) == TakenIn(3)
    await ledger.release([one])
    assert await ledger.parked(run, 10, NOW) == []
    assert [claim.session_id for claim in await claim_all(ledger, run)] == [session_id(1), session_id(3)]
    assert [claim.session_id for claim in await ledger.due_doubts(run, 10, NOW + 5)] == [session_id(2)]


async def test_what_has_to_wait_is_due_at_its_time(ledger: Ledger) -> None:
    """And is then as fresh as any other: nothing tells that it waited, also where it was claimed and put back."""
    run = await a_run(ledger, location=QUEUE)
    await take_in(ledger, run, queued(1, not_before=NOW + 60_000), queued(2))
    assert [claim.session_id for claim in await claim_all(ledger, run)] == [session_id(2)]
    assert await ledger.open_count(run, 10, NOW + 59_999) == await ledger.backlog(run, 10, NOW + 59_999) == 1
    assert await ledger.backlog(run, 10, NOW + 60_000) == 2
    for _ in range(2):
        (claim,) = await claim_all(ledger, run, NOW + 60_000)
        assert (claim.session_id, claim.fresh, claim.first_attempt_at) == (session_id(1), True, NOW + 60_000)
        await ledger.release([claim])
    assert await ledger.taken_count(run) == 1


async def test_what_has_to_wait_is_looked_up_at_its_time(ledger: Ledger) -> None:
    """Where it must be looked up: then its look waits, also when guards come later."""
    run = await a_run(ledger, location=QUEUE)
    waiting = queued(1, not_before=NOW + 60_000)
    await ledger.intake.take_in(run, [waiting, queued(2)], NOW - DAY, NOW, parked=True)
    assert [claim.session_id for claim in await ledger.parked(run, 10, NOW)] == [session_id(2)]
    assert await ledger.backlog(run, 10, NOW) == 1
    assert await ledger.backlog(run, 10, NOW + 60_000) == 2
    await take_in(ledger, run, queued(3, not_before=NOW + 60_000))
    await ledger.park_all(run)
    assert [claim.session_id for claim in await ledger.parked(run, 10, NOW)] == [session_id(2)]
    assert len(await ledger.parked(run, 10, NOW + 60_000)) == 3


async def test_a_malformed_message_is_an_invalid_row(ledger: Ledger) -> None:
    """Once: what a queue delivers again makes no second row. It has no line."""
    run = await a_run(ledger, location=QUEUE)
    assert await take_in(ledger, run, malformed("typo"), queued(1), malformed("typo")) == TakenIn(1, invalid=1)
    assert await take_in(ledger, run, malformed("typo"), malformed("other")) == TakenIn(1, invalid=1)
    found = await results_of(ledger, run)
    assert [(row["outcome"], row["session_id"], row["line"]) for row in found if row["outcome"] == "invalid"] == [
        ("invalid", "typo", None),
        ("invalid", "other", None),
    ]
    assert await identity_holds(ledger, run)


async def test_keys_are_forgotten_in_portions(ledger: Ledger) -> None:
    """The oldest first; a session that the queue has given is never forgotten."""
    run = await a_run(ledger, location=QUEUE)
    await take_in(ledger, run, *(queued(number, f"key {number}") for number in range(5)))
    await take_in(ledger, run, queued(7, "late"), now=NOW + 10)
    assert [await ledger.intake.forget_keys(NOW + 10, 3) for _ in range(3)] == [3, 2, 0]
    assert await take_in(ledger, run, queued(9, "late"), now=NOW + 10) == TakenIn(1)
    await close_all(ledger, run)
    assert await take_in(ledger, run, queued(1, "key 1"), now=NOW + 11) == TakenIn(1, again={Outcome.CLOSED: 1})
