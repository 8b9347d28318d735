"""How much work is claimed at a time, and that none of it is dropped when the run stops."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from closeout.worker.config.settings import Settings
from closeout.worker.domain.item import Claim, Outcome, Record
from closeout.worker.domain.session import SessionState
from closeout.worker.policy.protected import Protected
from closeout.worker.stages.close import Closing, claim_batch
from tests.engine.support import a_claim
from tests.engine.virtual_time import run_virtually
from tests.report.support import Standing


@pytest.mark.parametrize(("rate", "batch"), [(0.1, 1), (1, 1), (50, 12), (100, 25), (1_000, 250), (5_000, 256)])
def test_a_batch_is_a_quarter_of_a_seconds_work(rate: float, batch: int) -> None:
    """Every item claimed and not recorded when the process dies costs a look-up."""
    assert claim_batch(rate) == batch


@given(st.floats(0.001, 1e9))
def test_a_batch_is_never_empty_nor_huge(rate: float) -> None:
    """At any rate."""
    assert 1 <= claim_batch(rate) <= 256


@dataclass
class SlowLedger:
    """Gives some claims, once; to record takes a second. It stands for the recorder, too."""

    claims: list[Claim]
    records: list[Record] = field(default_factory=list)
    released: list[Claim] = field(default_factory=list)

    async def claim(self, *_: object) -> list[Claim]:
        """All at once."""
        given, self.claims = self.claims, []
        return given

    async def release(self, claims: Sequence[Claim]) -> None:
        """Take back what was not sent."""
        self.released += claims

    async def put(self, record: Record) -> None:
        """As a recorder does whose ledger is far behind."""
        await anyio.sleep(1)
        self.records.append(record)


def test_what_is_spared_as_the_run_stops_has_its_outcome_and_leaves_its_slot() -> None:
    """Claimed by nobody it would be in doubt, and one slot fewer is none where there was one."""

    async def run() -> None:
        context = Standing(Settings(concurrency=1)).context
        claims = [a_claim(seq=seq, session_id=str(uuid.UUID(int=seq))) for seq in (1, 2, 3)]
        ledger = SlowLedger(list(claims))
        context.ledger, context.recorder = cast("Any", ledger), cast("Any", ledger)
        context.judge.clock.observe(context.now(), context.now(), context.now())  # so the API is not asked for it
        context.protected = Protected(frozenset({"waiting_for_human"}))
        first = claims[0].session_id
        context.protected.listed({first: SessionState(first, "waiting_for_human")}, asked=context.now())
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(Closing(context, cast("Any", None)).run)
            await anyio.sleep(0.5)
            context.last_call.halt("the deadline")
        assert [change.outcome for record in ledger.records for change in record.changes] == [Outcome.SKIPPED]
        assert ledger.released == claims[1:]
        assert context.progress.in_flight == 0

    run_virtually(run)
