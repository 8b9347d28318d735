"""The SQL of what queues have given to a SQLite ledger: plain blocking calls, each one transaction."""

import json
from collections import Counter
from collections.abc import Sequence

import apsw

from closeout.worker.domain.item import Outcome, QueuedRow
from closeout.worker.domain.run import Run
from closeout.worker.ledger.rows import RUN_SHIFT, Row, digits_of, due_of, first_of_each, item_values, names_of
from closeout.worker.ledger.sqlite.connection import transaction
from closeout.worker.ledger.statements import load_queries
from closeout.worker.ledger.stores import TakenIn
from closeout.worker.support.clock import Millis

_QUERIES = load_queries("intake.sql") | load_queries()


class IntakeTable:
    """See ``stores.IntakeStore``. Not for use by two threads at once."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._db = connection

    def take_in(self, run: Run, rows: Sequence[QueuedRow], since: Millis, now: Millis, parked: bool) -> TakenIn:
        with transaction(self._db):
            queue = self._queue(run)
            new = self._unknown(queue, first_of_each(rows), since)
            self._remember(queue, new, now)
            added = self._admit(run, new, now, parked=parked)
            again = self._reopen(run, new)
            duplicates = len(rows) - added
            self._rows("admitted", run=run.id, read=len(rows), duplicates=duplicates, digest="")
        return TakenIn(duplicates, sum(row.row.session_id is None for row in new), again)

    def forget_keys(self, before: Millis, limit: int) -> int:
        with transaction(self._db):
            self._rows("intake_forgotten", before=before, limit=limit)
            changed = self._db.changes()
        return changed

    def _queue(self, run: Run) -> int:
        self._rows("intake_queue_made", name=run.location)
        ((queue,),) = self._rows("intake_queue", name=run.location)
        return int(queue)

    def _unknown(self, queue: int, rows: list[QueuedRow], since: Millis) -> list[QueuedRow]:
        """Those whose key was not given lately."""
        asked = json.dumps([names_of(row) for row in rows])
        ((found,),) = self._rows("intake_recent", queue=queue, rows=asked, since=since)
        recent = set(json.loads(found))
        return [row for at, row in enumerate(rows) if at not in recent]

    def _remember(self, queue: int, rows: list[QueuedRow], now: Millis) -> None:
        asked = json.dumps([names_of(row) for row in rows])
        self._rows("intake_session", queue=queue, rows=asked, now=now)
        self._rows("intake_key", queue=queue, rows=asked, now=now)

    def _admit(self, run: Run, rows: list[QueuedRow], now: Millis, *, parked: bool) -> int:
        """Add rows for sessions that the run does not hold; returns how many these are."""
        ((read,),) = self._rows("intake_position", run=run.id)
        base = (run.id << RUN_SHIFT) + read
        values = [item_values(row.row, base + at, run, now, due_of(row, parked)) for at, row in enumerate(rows)]
        before = self._db.total_changes()
        self._rows("admit", rows=json.dumps(values))
        return self._db.total_changes() - before

    def _reopen(self, run: Run, rows: list[QueuedRow]) -> Counter[Outcome]:
        """What the run has done with sessions that are given again is to be done again, after a look."""
        asked = json.dumps(wishes_of(rows))
        outcomes = [Outcome(outcome) for (outcome,) in self._rows("intake_done", run=run.id, rows=asked)]
        self._rows("intake_reopened", run=run.id, rows=asked)
        return Counter(outcomes)

    def _rows(self, query: str, **values: object) -> list[Row]:
        return self._db.execute(_QUERIES[query], values).fetchall()


def wishes_of(rows: Sequence[QueuedRow]) -> list[tuple[str, Millis, str | None]]:
    """The digits of each session, when it may be closed, and for what reason."""
    named = [(row.row.session_id, row) for row in rows]
    return [(digits_of(session), row.not_before, row.row.reason) for session, row in named if session is not None]
