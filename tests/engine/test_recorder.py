"""The recorder: nothing handed over is lost, and a broken ledger ends the run."""

from collections.abc import Sequence
from typing import cast

import anyio
import pytest

from closeout.worker.domain.exchange import Exchange
from closeout.worker.domain.item import Change, Outcome, Record
from closeout.worker.domain.run import Run
from closeout.worker.ledger.protocol import Ledger
from closeout.worker.runtime.progress import Progress
from closeout.worker.runtime.recorder import Recorder
from closeout.worker.support.clock import Millis
from closeout.worker.support.errors import LedgerError
from tests.engine.support import NOW
from tests.engine.test_admission import RUN

pytestmark = pytest.mark.anyio


class KeptLedger:
    """Remembers what was recorded, batch by batch; may fail or wait."""

    def __init__(self, failure: Exception | None = None) -> None:
        self.batches: list[list[int]] = []
        self.failure = failure
        self.open = anyio.Event()
        self.open.set()

    async def record(self, run: Run, records: Sequence[Record], now: Millis) -> None:
        assert (run, now) == (RUN, NOW)
        await self.open.wait()
        if self.failure:
            raise self.failure
        self.batches.append([change.seq for record in records for change in record.changes])

    @property
    def written(self) -> list[int]:
        return [seq for batch in self.batches for seq in batch]


def a_record(seq: int) -> Record:
    """A close of the item so-and-so."""
    return Record(Exchange(NOW, "close", 200, None, 1), (Change(seq, Outcome.CLOSED),))


def a_recorder(ledger: KeptLedger, progress: Progress | None = None) -> Recorder:
    """A recorder over that ledger."""
    return Recorder(cast("Ledger", ledger), RUN, progress or Progress(), lambda: NOW)


async def test_what_was_put_is_written_once_and_in_order() -> None:
    """In fewer writes than records."""
    ledger, progress = KeptLedger(), Progress()
    recorder = a_recorder(ledger, progress)
    with anyio.fail_after(60):
        async with anyio.create_task_group() as tasks:
            with recorder:
                tasks.start_soon(recorder.run)
                for seq in range(3_000):
                    await recorder.put(a_record(seq))
    assert ledger.written == list(range(3_000))
    assert len(ledger.batches) < 100
    assert max(map(len, ledger.batches)) <= 1_000
    assert progress.outcomes[Outcome.CLOSED] == 3_000


async def test_flush_returns_when_all_before_it_is_written() -> None:
    """Not before."""
    ledger = KeptLedger()
    ledger.open = anyio.Event()
    recorder, flushed = a_recorder(ledger), anyio.Event()

    async def flush() -> None:
        await recorder.flush()
        flushed.set()

    with anyio.fail_after(60):
        async with anyio.create_task_group() as tasks:
            with recorder:
                tasks.start_soon(recorder.run)
                for seq in range(5):
                    await recorder.put(a_record(seq))
                tasks.start_soon(flush)
                await anyio.sleep(0.05)  # longer than records linger: the write is under way
                assert not flushed.is_set()
                ledger.open.set()
                await flushed.wait()
                assert ledger.written == list(range(5))


async def test_flush_of_nothing_returns_at_once() -> None:
    """There is nothing to wait for."""
    recorder = a_recorder(KeptLedger())
    with anyio.fail_after(60):
        async with anyio.create_task_group() as tasks:
            with recorder:
                tasks.start_soon(recorder.run)
                await recorder.flush()


async def test_nothing_is_lost_when_the_run_is_cancelled() -> None:
    """What came back is worth keeping, also when the user gives up on the rest."""
    ledger = KeptLedger()
    recorder = a_recorder(ledger)
    with anyio.fail_after(60):
        async with anyio.create_task_group() as tasks:
            with recorder:
                tasks.start_soon(recorder.run)
                for seq in range(50):
                    await recorder.put(a_record(seq))
                tasks.cancel_scope.cancel()
    assert ledger.written == list(range(50))


async def test_a_full_backlog_holds_senders_up() -> None:
    """A ledger that is far behind slows the sending down instead of filling the memory."""
    ledger = KeptLedger()
    ledger.open = anyio.Event()
    recorder, put = a_recorder(ledger), 0

    async def sender() -> None:
        nonlocal put
        for seq in range(10_000):
            await recorder.put(a_record(seq))
            put += 1

    with anyio.fail_after(60):
        async with anyio.create_task_group() as tasks:
            with recorder:
                tasks.start_soon(recorder.run)
                async with anyio.create_task_group() as senders:
                    senders.start_soon(sender)
                    await anyio.sleep(0.1)  # until the first batch is being written and the backlog is full
                    assert put < 6_000
                    ledger.open.set()
    assert ledger.written == list(range(10_000))


async def test_a_ledger_that_fails_ends_the_run_without_hanging() -> None:
    """Senders and those who wait for a flush end too, and the error says what happened."""
    ledger = KeptLedger(LedgerError("disk full"))
    recorder = a_recorder(ledger)

    async def sender() -> None:
        while True:
            await recorder.put(a_record(1))

    async def work() -> None:
        async with anyio.create_task_group() as tasks:
            with recorder:
                tasks.start_soon(recorder.run)
                for _ in range(5):
                    tasks.start_soon(sender)
                await recorder.put(a_record(0))
                await recorder.flush()

    with anyio.fail_after(60), pytest.raises(BaseExceptionGroup) as caught:
        await work()
    found, _ = caught.value.split(LedgerError)
    assert found is not None
    assert not ledger.written
