"""What queues have given, messages and reports on a SQLite ledger."""

from collections.abc import Sequence

from closeout.worker.domain.item import QueuedRow
from closeout.worker.domain.run import Run
from closeout.worker.ledger.rows import Row
from closeout.worker.ledger.sqlite.connection import Connection
from closeout.worker.ledger.sqlite.store import SqliteStore
from closeout.worker.ledger.stores import Cause, Delivery, LatencyCount, MessageCounts, PaceSample, TakenIn, Traffic
from closeout.worker.support.clock import Millis


class SqliteIntake:
    """See ``stores.IntakeStore`` for what each method means."""

    def __init__(self, writer: Connection[SqliteStore]) -> None:
        self._writer, self._to = writer, writer.store.intake

    async def take_in(
        self, run: Run, rows: Sequence[QueuedRow], since: Millis, now: Millis, *, parked: bool = False
    ) -> TakenIn:
        return await self._writer.run(self._to.take_in, run, rows, since, now, parked)

    async def forget_keys(self, before: Millis, limit: int) -> int:
        return await self._writer.run(self._to.forget_keys, before, limit)


class SqliteMessages:
    """See ``stores.MessageStore`` for what each method means."""

    def __init__(self, writer: Connection[SqliteStore], reader: Connection[SqliteStore]) -> None:
        self._writer, self._to = writer, writer.store.messages
        self._reader, self._of = reader, reader.store.messages

    async def push(self, queue: str, bodies: Sequence[bytes], now: Millis) -> None:
        await self._writer.run(self._to.push, queue, bodies, now)

    async def any_due(self, queue: str, now: Millis) -> bool:
        return await self._reader.run(self._of.any_due, queue, now)

    async def fetch(self, queue: str, limit: int, now: Millis, until: Millis) -> list[Delivery]:
        return await self._writer.run(self._to.fetch, queue, limit, now, until)

    async def acknowledge(self, deliveries: Sequence[Delivery]) -> None:
        await self._writer.run(self._to.acknowledge, deliveries)

    async def put_back(self, deliveries: Sequence[Delivery], due: Millis) -> None:
        await self._writer.run(self._to.put_back, deliveries, due)

    async def bury(self, deliveries: Sequence[Delivery], why: str, now: Millis) -> None:
        await self._writer.run(self._to.bury, deliveries, why, now)

    async def counts(self, queue: str, now: Millis) -> MessageCounts:
        return await self._reader.run(self._of.counts, queue, now)

    async def dead(self, queue: str, limit: int) -> list[tuple[bytes, str]]:
        return await self._reader.run(self._of.dead, queue, limit)


class SqliteReports:
    """See ``stores.ReportStore`` for what each method means."""

    def __init__(self, writer: Connection[SqliteStore], reader: Connection[SqliteStore]) -> None:
        self._writer, self._reader = writer, reader

    async def note_pace(self, run: Run, sample: PaceSample) -> None:
        await self._writer.run(self._writer.store.reports.note_pace, run, sample)

    async def note_made(self, run: Run, kind: str, sha256: str) -> None:
        await self._writer.run(self._writer.store.reports.note_made, run, kind, sha256)

    async def has_made(self, run: Run, kind: str, sha256: str) -> bool:
        return await self._reader.run(self._reader.store.reports.has_made, run, kind, sha256)

    async def paces(self, run: Run) -> list[PaceSample]:
        return await self._reader.run(self._reader.store.reports.paces, run)

    async def traffic(self, run: Run, width: Millis, after: int = 0) -> list[Traffic]:
        return await self._reader.run(self._reader.store.reports.traffic, run, width, after)

    async def latencies(self, run: Run) -> list[LatencyCount]:
        return await self._reader.run(self._reader.store.reports.latencies, run)

    async def causes(self, run: Run, limit: int) -> list[Cause]:
        return await self._reader.run(self._reader.store.reports.causes, run, limit)

    async def wanting(self, run: Run, limit: int) -> list[Row]:
        seqs = await self._reader.run(self._reader.store.reports.wanting, run, limit)
        return await self._reader.run(self._reader.store.results.of_items, seqs)
