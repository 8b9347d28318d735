"""What reports read from a SQLite ledger: plain blocking calls over the connection of a store."""

import apsw

from closeout.worker.domain.item import Outcome
from closeout.worker.domain.run import Run
from closeout.worker.ledger.rows import Row, span_of
from closeout.worker.ledger.sqlite.connection import transaction
from closeout.worker.ledger.statements import load_queries
from closeout.worker.ledger.stores import Cause, Example, LatencyCount, PaceSample, Traffic
from closeout.worker.support.clock import Millis

_QUERIES = load_queries("reports.sql")


class ReportQueries:
    """See ``stores.ReportStore`` for what each method means; ``wanting`` gives the numbers of the items."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._db = connection

    def _rows(self, query: str, **values: object) -> list[Row]:
        return self._db.execute(_QUERIES[query], values).fetchall()

    def note_pace(self, run: Run, sample: PaceSample) -> None:
        with transaction(self._db):
            self._rows("note_pace", run=run.id, at=sample.at, allowed=sample.allowed, waiting=sample.waiting)

    def note_made(self, run: Run, kind: str, sha256: str) -> None:
        with transaction(self._db):
            self._rows("note_made", run=run.id, kind=kind, sha256=sha256)

    def has_made(self, run: Run, kind: str, sha256: str) -> bool:
        return bool(self._rows("has_made", run=run.id, kind=kind, sha256=sha256))

    def paces(self, run: Run) -> list[PaceSample]:
        return [PaceSample(*row) for row in self._rows("paces", run=run.id)]

    def traffic(self, run: Run, width: Millis, after: int) -> list[Traffic]:
        return [Traffic(*row) for row in self._rows("traffic", run=run.id, width=width, after=after)]

    def latencies(self, run: Run) -> list[LatencyCount]:
        return [LatencyCount(*row) for row in self._rows("latencies", run=run.id)]

    def causes(self, run: Run, limit: int) -> list[Cause]:
        rows = self._rows("causes", limit=limit, **span_of(run))
        return [
            Cause(Outcome(outcome), status, error, detail, count, Example(*ends[:2]), Example(*ends[2:]))
            for outcome, status, error, detail, count, *ends in rows
        ]

    def wanting(self, run: Run, limit: int) -> list[int]:
        return [seq for (seq,) in self._rows("wanting", limit=limit, **span_of(run))]
