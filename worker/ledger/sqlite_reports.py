"""What reports read from a SQLite ledger, off the event loop."""

from closeout.worker.ledger.connection import Connection
from closeout.worker.ledger.report_store import Cause, LatencyCount, PaceSample, Traffic
from closeout.worker.ledger.sqlite_store import SqliteStore
from closeout.worker.ledger.values import Row
from closeout.worker.models import Millis, Run


class SqliteReports:
    """See ``report_store.ReportStore`` for what each method means."""

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
