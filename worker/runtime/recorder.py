"""The recording stage: exchanges and their changes, collected and written to the ledger in batches."""

from collections.abc import Callable, Iterator, Sequence
from types import TracebackType
from typing import Self

import anyio

from closeout.worker.domain.item import Record
from closeout.worker.domain.run import Run
from closeout.worker.ledger.protocol import Ledger
from closeout.worker.runtime.progress import Progress
from closeout.worker.support.clock import Millis

_BATCH = 1_000
_LINGER = 0.02  # seconds for which a batch waits to grow: a commit costs as much as dozens of rows
_BACKLOG = 4_000  # answers that may wait; beyond that, senders wait for the ledger


class Recorder:
    """Takes records from any task; ``run`` writes them. A record is durable once ``flush`` has returned after it.

    Each of ``listeners`` is called with the records that are in the ledger now; it must neither wait nor fail.
    """

    def __init__(self, ledger: Ledger, run: Run, progress: Progress, now: Callable[[], Millis]) -> None:
        self._ledger = ledger
        self._run = run
        self._progress = progress
        self._now = now
        self._send, self._receive = anyio.create_memory_object_stream[Record](_BACKLOG)
        self.listeners: list[Callable[[Sequence[Record]], None]] = []
        self._taken = 0
        self._written = 0
        self._wrote = anyio.Event()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._send.close()

    async def put(self, record: Record) -> None:
        """Hand over one record; waits when the ledger is far behind."""
        try:
            self._send.send_nowait(record)
        except anyio.WouldBlock:
            await self._send.send(record)
        self._taken += 1
        self._progress.to_write = self._taken - self._written

    async def flush(self) -> None:
        """Return once everything handed over so far is in the ledger."""
        target = self._taken
        while self._written < target:
            await self._wrote.wait()

    async def run(self) -> None:
        """Write until the recorder is closed. Not interrupted by a cancellation: what came back is worth keeping."""
        with anyio.CancelScope(shield=True), self._receive:
            async for record in self._receive:
                await anyio.sleep(_LINGER)
                await self._write([record, *self._waiting(_BATCH - 1)])

    def _waiting(self, most: int) -> Iterator[Record]:
        for _ in range(most):
            try:
                yield self._receive.receive_nowait()
            except (anyio.WouldBlock, anyio.EndOfStream):
                return

    async def _write(self, batch: list[Record]) -> None:
        began = self._progress.clock()
        await self._ledger.record(self._run, batch, self._now())
        self._progress.write_seconds.add(self._progress.clock() - began)
        self._written += len(batch)
        self._progress.to_write = self._taken - self._written
        self._progress.recorded(batch)
        for listener in self.listeners:
            listener(batch)
        wrote, self._wrote = self._wrote, anyio.Event()
        wrote.set()
