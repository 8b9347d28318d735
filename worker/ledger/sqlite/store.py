"""The SQL of the SQLite ledger: plain blocking calls, each one transaction. Threads and locks are in ``sqlite``."""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

import apsw

from closeout.worker.domain.exchange import Exchange
from closeout.worker.domain.item import Change, Claim, ClosedItem, Outcome, Record, SourceRow
from closeout.worker.domain.run import Run, RunState, Tally
from closeout.worker.domain.session import LIVE_STATUSES
from closeout.worker.ledger.membership import RunEnd
from closeout.worker.ledger.records import AttemptedEnd, Counts, EvalRuns, InvalidKind, NewRun, NextDue, PlanGroup
from closeout.worker.ledger.rows import (
    RUN_SHIFT,
    Row,
    achieves,
    attempt_values,
    change_values,
    claim_of,
    host_in,
    is_single,
    item_values,
    new_name,
    outcome_counts,
    place_of,
    run_of,
    seqs_found_closed,
    span_of,
)
from closeout.worker.ledger.sqlite.claim_notes import ClaimNotes
from closeout.worker.ledger.sqlite.claim_table import SKIPPED_AT_ONCE, ClaimTable
from closeout.worker.ledger.sqlite.connection import transaction
from closeout.worker.ledger.sqlite.intake_table import IntakeTable
from closeout.worker.ledger.sqlite.message_table import MessageTable
from closeout.worker.ledger.sqlite.migrate import APPLICATION_ID
from closeout.worker.ledger.sqlite.report_table import ReportQueries
from closeout.worker.ledger.sqlite.results import SqliteResults
from closeout.worker.ledger.statements import load_queries
from closeout.worker.support.clock import NEVER, Millis, now_ms

QUERIES = load_queries()


class _TooManyError(Exception):
    """Takes a transaction back."""


class SqliteStore:
    """One connection. Not for use by two threads at once. ``at_work`` tells whether a process works on a run."""

    def __init__(
        self,
        connection: apsw.Connection,
        at_work: Callable[[int], bool] = lambda _: False,
        notes: ClaimNotes | None = None,
    ) -> None:
        self._db = connection
        self._notes = notes
        self.claims = ClaimTable(connection, at_work, notes)
        self.results = SqliteResults(connection)
        self.reports = ReportQueries(connection)

    def close(self) -> None:
        if self._notes is not None:
            self._notes.close()
        self._db.close()

    @property
    def intake(self) -> IntakeTable:
        """What queues have given, over the same connection."""
        return IntakeTable(self._db)

    @property
    def messages(self) -> MessageTable:
        """The queues, over the same connection."""
        return MessageTable(self._db)

    def _rows(self, query: str, **values: object) -> list[Row]:
        return self._db.execute(QUERIES[query], values).fetchall()

    def _write(self, query: str, **values: object) -> list[Row]:
        with transaction(self._db):
            rows = self._rows(query, **values)
        return rows

    def touch(self) -> None:
        """Write to the file what stands there, so that it is known whether that is possible."""
        with transaction(self._db):
            self._db.execute(f"PRAGMA application_id = {APPLICATION_ID}")

    # runs

    def create_run(self, new: NewRun, now: Millis) -> Run:
        values = {"name": new_name(), "job": new.job, "source": new.source, "location": new.location}
        more = {"source_stat": new.source_stat, "options": new.options, "made_by": new.made_by, "reading": new.reading}
        host = host_in(new.options)
        ((run,),) = self._write("create_run", **values, **more, now=now, host=host)
        return self.run(run)

    def run(self, run: object) -> Run:
        return run_of(self._rows("run_by_id", run=run)[0])

    def runs(self) -> list[Run]:
        return [run_of(row) for row in self._rows("runs")]

    def runs_by_prefix(self, prefix: str) -> list[Run]:
        return [run_of(row) for row in self._rows("runs_by_prefix", prefix=prefix)]

    def unfinished_of(self, location: str) -> Run | None:
        rows = self._rows("unfinished_of", location=location)
        return run_of(rows[0]) if rows else None

    def start_run(self, run: Run, options: str) -> None:
        with transaction(self._db):
            self._rows("start_run", run=run.id, options=options)
            for unnamed, stored in self._rows("unnamed_hosts"):
                self._rows("host_named", run=unnamed, host=host_in(stored))
            self._rows("rescue", run=run.id)
            self._rows("rearm_doubts", run=run.id)
            self._rows("rearm_retries", run=run.id, never=NEVER)
            self._rows("rearm_settles", run=run.id, never=NEVER)
            self._rows("rearm_ahead", run=run.id, never=NEVER, now=now_ms())

    def tell(self, run: Run, tally: Tally) -> None:
        self._write("tally", run=run.id, tally=json.dumps(asdict(tally)))

    def pass_canary(self, run: Run) -> None:
        self._write("pass_canary", run=run.id)

    def last_exchange(self, run: Run) -> Millis | None:
        rows = self._rows("last_exchange", run=run.id)
        return int(rows[0][0]) if rows else None

    def end_run(self, run: Run, end: RunEnd, now: Millis) -> None:
        values = {"state": end.state, "why": end.why, "seconds": end.seconds, "waited": json.dumps(end.waited)}
        with transaction(self._db):
            if not self._put_back(run, end.state):
                self._rows("end_run", run=run.id, now=now, **values)

    def put_back(self, run: Run) -> None:
        with transaction(self._db):
            self._put_back(run, "interrupted")

    def _put_back(self, run: Run, state: RunState) -> bool:
        """Whether nothing has come of the work on a run that would end in this state: then all of it is as it was."""
        self._rows("end_put_back", run=run.id, state=state)
        if not self._db.changes() and self.run(run.id).state == "running":
            return False
        self._rows("items_put_back", run=run.id)
        return True

    # admission

    def admit(self, run: Run, rows: Sequence[SourceRow], digest: str, now: Millis, due: Millis = 0) -> int:
        """Add the next rows of the source, due at this time; returns how many were duplicates."""
        with transaction(self._db):
            return self._admit(run, rows, digest, now, due=due)

    def admit_within(self, run: Run, rows: Sequence[SourceRow], most: int, now: Millis, due: Millis = 0) -> int | None:
        """The same, taken back where the run would then hold more than ``most`` sessions (None)."""
        try:
            with transaction(self._db):
                return self._admit(run, rows, "", now, due=due, most=most)
        except _TooManyError:
            return None

    def _admit(
        self, run: Run, rows: Sequence[SourceRow], digest: str, now: Millis, *, due: Millis = 0, most: int = NEVER
    ) -> int:
        held = self.run(run.id)
        base = (run.id << RUN_SHIFT) + held.rows_read
        values = [item_values(row, base + at, run, now, due) for at, row in enumerate(rows)]
        before = self._db.total_changes()
        self._rows("admit", rows=json.dumps(values))
        duplicates = len(rows) - (self._db.total_changes() - before)
        if duplicates < len(rows) and held.rows_read - held.duplicates + len(rows) - duplicates > most:
            raise _TooManyError
        self._see_again(run, rows)
        self._rows("admitted", run=run.id, read=len(rows), duplicates=duplicates, digest=digest)
        return duplicates

    def see_again(self, run: Run, rows: Sequence[SourceRow]) -> None:
        with transaction(self._db):
            self._see_again(run, rows)

    def _see_again(self, run: Run, rows: Sequence[SourceRow]) -> None:
        seen = [row for row in rows if row.session_id is not None and row.seen_at is not None]
        if seen:
            sessions = json.dumps([str(row.session_id).replace("-", "") for row in seen])
            at = min(row.seen_at or 0 for row in seen)
            self._rows("seen_again", run=run.id, sessions=sessions, at=at, never=NEVER)

    def source_done(self, run: Run, sha256: str | None = None) -> None:
        self._write("source_done", run=run.id, sha256=sha256)

    # work

    def _claims(self, query: str, **values: object) -> list[Claim]:
        """All at once, as JSON: each row fetched alone would wait for the interpreter lock."""
        ((found,),) = self._rows(query, **values)
        return [claim_of(values) for values in json.loads(found)]

    def parked(self, run: Run, limit: int, now: Millis) -> list[Claim]:
        return self._claims("parked", run=run.id, limit=limit, now=now, never=NEVER)

    def unpark(self, run: Run) -> int:
        return self._count_changed("unpark", run=run.id, limit=SKIPPED_AT_ONCE, never=NEVER)

    def unskip(self, run: Run, detail: str) -> int:
        return self._count_changed("unskip", detail=detail, limit=SKIPPED_AT_ONCE, **span_of(run))

    def attempted_open(self, run: Run) -> set[int]:
        return {int(seq) for (seq,) in self._rows("attempted_open", run=run.id, never=NEVER)}

    def attempted_ends(self, run: Run) -> list[AttemptedEnd]:
        rows = self._rows("attempted_ends", **span_of(run))
        return [AttemptedEnd(Outcome(outcome), *rest) for outcome, *rest in rows]

    def taken_count(self, run: Run) -> int:
        ((count,),) = self._rows("taken_count", **span_of(run))
        return int(count)

    def release(self, claims: Sequence[Claim]) -> None:
        with transaction(self._db):
            self._db.executemany(QUERIES["release"], [(claim.seq,) for claim in claims])

    def park(self, claims: Sequence[Claim]) -> None:
        self._write("park", seqs=json.dumps([claim.seq for claim in claims]), never=NEVER)

    def parked_count(self, run: Run) -> int:
        ((count,),) = self._rows("parked_count", run=run.id, never=NEVER)
        return int(count)

    def skip_parked(self, run: Run, since: Millis, detail: str, now: Millis) -> int:
        values = {"since": since, "detail": detail, "now": now, "never": NEVER}
        with transaction(self._db):
            self._rows("skip_parked", run=run.id, limit=SKIPPED_AT_ONCE, **values)
            if skipped := self._db.changes():
                self._rows("achieved", run=run.id)
        return skipped

    def park_all(self, run: Run) -> int:
        return self._count_changed("park_all", run=run.id, never=NEVER)

    def plan_groups(self, run: Run) -> list[PlanGroup]:
        rows = self._rows("plan_groups", **span_of(run))
        return [PlanGroup(Outcome(outcome), *rest) for outcome, *rest in rows]

    def open_count(self, run: Run, limit: int, by: Millis) -> int:
        ((count,),) = self._rows("open_count", run=run.id, limit=limit, by=by)
        return int(count)

    def backlog(self, run: Run, limit: int, by: Millis) -> int:
        ((count,),) = self._rows("backlog", run=run.id, limit=limit, by=by, never=NEVER)
        return int(count)

    def due_doubts(self, run: Run, limit: int, now: Millis) -> list[Claim]:
        return self._claims("due_doubts", run=run.id, limit=limit, now=now)

    def due_known(self, run: Run, limit: int) -> list[Claim]:
        return self._claims("due_known", run=run.id, limit=limit)

    def due_settles(self, run: Run, limit: int, now: Millis, ripe: Millis) -> list[Claim]:
        return self._claims("due_settles", run=run.id, limit=limit, now=now, ripe=ripe)

    def due_settles_by_start(self, run: Run, limit: int, now: Millis, ripe: Millis, after: Claim | None) -> list[Claim]:
        return self._claims("due_settles_by_start", run=run.id, limit=limit, now=now, ripe=ripe, **place_of(after))

    def due_settle_spans(self, run: Run, span: Millis, now: Millis, ripe: Millis) -> int:
        ((count,),) = self._rows("due_settle_spans", run=run.id, span=span, now=now, ripe=ripe)
        return int(count)

    def due_settle_count(self, run: Run, limit: int, now: Millis, ripe: Millis) -> int:
        ((count,),) = self._rows("due_settle_count", run=run.id, limit=limit, now=now, ripe=ripe)
        return int(count)

    def settles_ahead(self, run: Run, wait: Millis) -> tuple[Millis, Millis] | None:
        ((first, last),) = self._rows("settles_ahead", run=run.id, wait=wait, never=NEVER)
        return None if first is None else (first, last)

    def doubt_nones(self, run: Run, age: Millis) -> int:
        return self._count_changed("doubt_nones", age=age, **span_of(run))

    def next_due(self, run: Run) -> NextDue:
        (row,) = self._rows("next_due", run=run.id)
        return NextDue(*row)

    def record(self, run: Run, records: Sequence[Record], now: Millis) -> None:
        """A few statements for the whole batch: each gives up the interpreter lock and must get it back."""
        exchanged = [(record.exchange, record.changes) for record in records if record.exchange is not None]
        singles = [attempt_values(*pair) for pair in exchanged if is_single(*pair)]
        changes = [change_values(change) for record in records for change in record.changes]
        with transaction(self._db):
            self._rows("attempts", run=run.id, attempts=json.dumps(singles))
            self._rows("change", changes=json.dumps(changes), now=now)
            if found_closed := seqs_found_closed(records):
                self._rows("closed_by", seqs=json.dumps(found_closed))
            for pair in exchanged:
                if not is_single(*pair):
                    self._page(run, *pair)
            if achieves(records):
                self._rows("achieved", run=run.id)

    def _page(self, run: Run, exchange: Exchange, changes: tuple[Change, ...]) -> None:
        ((attempt,),) = self._rows("page", run=run.id, **asdict(exchange))
        self._rows("sightings", attempt=attempt, items=json.dumps([change.seq for change in changes]))

    def retry(self, run: Run, parked: bool) -> int:
        with transaction(self._db):
            self._rows("items_put_back", run=run.id)
            self._rows("retry", parked=parked, never=NEVER, **span_of(run))
            changed = self._db.changes()
        return changed

    def resettle(self, run: Run) -> int:
        return self._count_changed("resettle", **span_of(run))

    def _count_changed(self, query: str, **values: object) -> int:
        with transaction(self._db):
            self._rows(query, **values)
            changed = self._db.changes()
        return changed

    # reading

    def begin_snapshot(self) -> None:
        """From now on this connection sees the ledger as it is at this moment."""
        self._db.execute("BEGIN")
        self._rows("runs")

    def counts(self, run: Run) -> Counts:
        requests = self._rows("request_counts", run=run.id)
        outcomes, again = outcome_counts(self._rows("outcome_counts", **span_of(run)))
        return Counts(
            outcomes=outcomes,
            again=again,
            **self._eval_counts(run),
            requests={str(kind): count for kind, count, _ in requests},
            throttled=sum(throttled or 0 for _, _, throttled in requests),
            retried=int(self._rows("retried_count", run=run.id)[0][0]),
        )

    def _eval_counts(self, run: Run) -> dict[str, Any]:
        rows = self._rows("eval_counts", live=json.dumps(sorted(LIVE_STATUSES)), **span_of(run))
        return {
            "eval_status": {str(status or ""): count for status, count, *_ in rows},
            "unsettled": sum(row[2] for row in rows),
            "reopened": sum(row[3] or 0 for row in rows),
            "eval_runs": EvalRuns(*(sum(row[at] for row in rows) for at in range(4, 12))),
        }

    def closed_sample(self, run: Run, limit: int) -> list[ClosedItem]:
        return self._closed("closed_sample", limit=limit, **span_of(run))

    def closed_by_start(self, run: Run, limit: int, after: Claim | None) -> list[ClosedItem]:
        return self._closed("closed_by_start", limit=limit, **place_of(after), **span_of(run))

    def _closed(self, query: str, **values: object) -> list[ClosedItem]:
        ((found,),) = self._rows(query, **values)
        return [ClosedItem(claim_of(claim), *rest) for claim, *rest in json.loads(found)]

    def invalid_kinds(self, run: Run, limit: int) -> list[InvalidKind]:
        return [InvalidKind(*row) for row in self._rows("invalid_kinds", run=run.id, limit=limit)]
