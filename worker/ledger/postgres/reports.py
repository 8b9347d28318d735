"""What reports read from a PostgreSQL ledger."""

from closeout.worker.domain.item import Outcome
from closeout.worker.domain.run import Run
from closeout.worker.ledger.postgres.connection import LONG, Database
from closeout.worker.ledger.rows import Row, span_of
from closeout.worker.ledger.stores import Cause, Example, LatencyCount, PaceSample, Traffic
from closeout.worker.support.clock import Millis


class PostgresReports:
    """See ``stores.ReportStore`` for what each method means."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def _rows(self, query: str, **values: object) -> list[Row]:
        return await self._database.read(lambda sql: sql.rows(query, **values), limit=LONG)

    async def note_pace(self, run: Run, sample: PaceSample) -> None:
        values = {"at": sample.at, "allowed": sample.allowed, "waiting": sample.waiting}
        await self._database.write(lambda sql: sql.rows("note_pace", run=run.id, **values))

    async def note_made(self, run: Run, kind: str, sha256: str) -> None:
        values = {"kind": kind, "sha256": sha256}
        await self._database.write(lambda sql: sql.rows("note_made", run=run.id, **values))

    async def has_made(self, run: Run, kind: str, sha256: str) -> bool:
        return bool(await self._rows("has_made", run=run.id, kind=kind, sha256=sha256))

    async def paces(self, run: Run) -> list[PaceSample]:
        return [PaceSample(*row) for row in await self._rows("paces", run=run.id)]

    async def traffic(self, run: Run, width: Millis, after: int = 0) -> list[Traffic]:
        return [Traffic(*row) for row in await self._rows("traffic", run=run.id, width=width, after=after)]

    async def latencies(self, run: Run) -> list[LatencyCount]:
        return [LatencyCount(*row) for row in await self._rows("latencies", run=run.id)]

    async def causes(self, run: Run, limit: int) -> list[Cause]:
        rows = await self._rows("causes", limit=limit, **span_of(run))
        return [
            Cause(Outcome(outcome), status, error, detail, count, Example(*ends[:2]), Example(*ends[2:]))
            for outcome, status, error, detail, count, *ends in rows
        ]

    async def wanting(self, run: Run, limit: int) -> list[Row]:
        seqs = [seq for (seq,) in await self._rows("wanting", limit=limit, **span_of(run))]
        found = {row[0]: row[1:] for row in await self._rows("results_of", seqs=seqs)}
        return [found[seq] for seq in seqs]
