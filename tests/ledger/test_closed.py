"""Contract: closed sessions are found again, at random or in the order in which a listing has them."""

from collections import Counter
from dataclasses import replace

import pytest

from closeout.worker.domain.item import Claim, Outcome
from closeout.worker.domain.run import Run
from closeout.worker.domain.session import EvalSummary
from closeout.worker.ledger.protocol import Ledger
from tests.ledger.support import NOW, a_run, changed, claim_all, closed

pytestmark = pytest.mark.anyio
STARTS = [50, 10, 30, None, 20, 30]


async def run_with(ledger: Ledger, starts: list[int | None]) -> tuple[Run, list[Claim]]:
    """A run of closed sessions with these starts, unsettled, and one that failed."""
    run = await a_run(ledger, range(len(starts) + 1))
    claims = await claim_all(ledger, run)
    pending = EvalSummary("pending", 1, 0, 0, 1)
    records = [
        changed(
            claim,
            Outcome.CLOSED if number % 2 else Outcome.ALREADY_CLOSED,
            session=replace(closed(number, evals=pending), started_at=None if start is None else NOW + start),
            settle_at=NOW,
        )
        for number, (claim, start) in enumerate(zip(claims, starts, strict=False))
    ]
    await ledger.record(run, [*records, changed(claims[-1], Outcome.FAILED)], NOW)
    return run, claims


def order_of(claims: list[Claim]) -> list[int]:
    """The sessions' numbers by start, those without one first, equal ones as they were read."""
    return [claims[at].seq for at in (3, 1, 4, 2, 5, 0)]


async def test_closed_sessions_come_by_their_start_in_batches(ledger: Ledger) -> None:
    """Each once, also where starts are equal or unknown; what is not closed does not."""
    run, claims = await run_with(ledger, STARTS)
    found, last = [], None
    while batch := await ledger.closed_by_start(run, 2, last):
        found += [item.claim.seq for item in batch]
        last = batch[-1].claim
    assert found == order_of(claims)


async def test_what_is_due_comes_by_its_start_in_batches(ledger: Ledger) -> None:
    """Each once; and what is not ripe does not."""
    run, claims = await run_with(ledger, STARTS)
    found, last = [], None
    while batch := await ledger.due_settles_by_start(run, 2, NOW, NOW, last):
        found += [claim.seq for claim in batch]
        last = batch[-1]
    assert found == order_of(claims)
    assert await ledger.due_settles_by_start(run, 9, NOW, NOW - 1, None) == []


async def test_the_spans_of_what_is_due_are_counted(ledger: Ledger) -> None:
    """As many as there are listing pages, about."""
    run, _ = await run_with(ledger, [10, 20, 30, 1_000, 1_010])
    assert await ledger.due_settle_spans(run, 1, NOW, NOW) == 5
    assert await ledger.due_settle_spans(run, 10**9, NOW, NOW) == 1
    assert await ledger.due_settle_spans(run, 500, NOW, NOW) in (2, 3)
    assert await ledger.due_settle_spans(run, 1, NOW, NOW - 1) == 0


async def test_a_sample_is_of_closed_sessions_each_as_likely(ledger: Ledger) -> None:
    """With what the ledger holds of them."""
    run, claims = await run_with(ledger, [1, 2, 3, 4])
    picked: Counter[int] = Counter()
    for _ in range(200):
        sample = await ledger.closed_sample(run, 2)
        assert len({item.claim.seq for item in sample}) == 2
        picked.update(item.claim.seq for item in sample)
    assert set(picked) == {claim.seq for claim in claims[:4]}
    assert min(picked.values()) > 50
    (item,) = await ledger.closed_sample(run, 1)
    assert (item.final_status, item.eval_status, item.eval_settled) == ("closed", "pending", False)
    assert len(await ledger.closed_sample(run, 99)) == 4
