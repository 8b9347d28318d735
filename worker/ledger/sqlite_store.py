"""The SQL of the SQLite ledger: plain blocking calls, each one transaction. Threads and locks are in ``sqlite``."""

import os
import secrets
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import apsw

from worker.errors import LedgerError
from worker.ledger.migrate import check_version, load_migrations, migrate
from worker.ledger.protocol import COLUMNS, Counts, NewRun, NextDue
from worker.ledger.queries import load_queries
from worker.models import NEVER, Change, Claim, Exchange, Millis, Outcome, Record, Run, RunState, SourceRow

QUERIES = load_queries()
Row = tuple[Any, ...]  # what a column holds is stated by the schema, not by the type checker
_RUN_SHIFT = 40
_RESULTS = f"SELECT {', '.join(COLUMNS)} FROM item_results"  # noqa: S608  # constant column names
_NAME_LETTERS = "abcdefghjkmnpqrstuvwxyz23456789"  # none that is taken for another
_BUSY_MS = 30_000
_CACHE_KIB = 32 * 1024


def text_of(session_id: bytes) -> str:
    """The canonical text of a UUID's 16 bytes."""
    digits = session_id.hex()
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def bytes_of(session_id: str) -> bytes:
    """The 16 bytes of a canonical UUID."""
    return bytes.fromhex(session_id.replace("-", ""))


def connect(path: Path, *, create: bool) -> apsw.Connection:
    """Open a ledger, made or migrated as needed. Raises LedgerError in one line."""
    if not path.exists():
        if not create:
            raise LedgerError(f"there is no ledger at {path}: name it with --ledger, or run `closeout close` first")
        _make_private_file(path)
    try:
        return _prepare(path)
    except apsw.NotADBError:
        raise LedgerError(f"{path} is not a SQLite database: name another file with --ledger") from None
    except apsw.Error as error:
        raise LedgerError(f"cannot open the ledger {path}: {error}") from error


def _make_private_file(path: Path) -> None:
    try:
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    except OSError as error:
        raise LedgerError(f"cannot create the ledger {path}: {error.strerror}") from error


def _prepare(path: Path) -> apsw.Connection:
    if path.is_dir():
        raise LedgerError(f"{path} is a folder: name a file with --ledger")
    connection = apsw.Connection(str(path))
    connection.set_busy_timeout(_BUSY_MS)
    migrations = load_migrations()
    check_version(connection, str(path), migrations)
    if path.stat().st_mode & 0o077:
        path.chmod(0o600)
    connection.pragma("journal_mode", "wal")
    connection.pragma("synchronous", "full")
    connection.pragma("cache_size", -_CACHE_KIB)
    connection.transaction_mode = "IMMEDIATE"
    migrate(connection, str(path), migrations)
    return connection


def _run_of(row: Row) -> Run:
    values = dict(zip(_RUN_COLUMNS, row, strict=True))
    values["source_done"] = bool(values["source_done"])
    return Run(**values)


_RUN_COLUMNS = (
    "id", "name", "job", "source", "location", "source_stat", "options", "state", "why", "rows_read", "duplicates",
    "source_done", "digest", "created_at", "ended_at", "seconds",
)  # fmt: skip


def _claim_of(row: Row) -> Claim:
    seq, session_id, *rest = row
    return Claim(seq, text_of(session_id), *rest)


def _span(run: Run) -> dict[str, int]:
    return {"first": run.id << _RUN_SHIFT, "last": ((run.id + 1) << _RUN_SHIFT) - 1}


class SqliteStore:
    """One connection. Not for use by two threads at once."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._db = connection

    def close(self) -> None:
        self._db.close()

    def _rows(self, query: str, **values: object) -> list[Row]:
        return self._db.execute(QUERIES[query], values).fetchall()

    def _write(self, query: str, **values: object) -> list[Row]:
        with self._db:
            rows = self._rows(query, **values)
        return rows

    # runs

    def create_run(self, new: NewRun, now: Millis) -> Run:
        name = "".join(secrets.choice(_NAME_LETTERS) for _ in range(8))
        values = {"name": name, "job": new.job, "source": new.source, "location": new.location}
        ((run,),) = self._write("create_run", **values, source_stat=new.source_stat, options=new.options, now=now)
        return self.run(run)

    def run(self, run: object) -> Run:
        return _run_of(self._rows("run_by_id", run=run)[0])

    def runs(self) -> list[Run]:
        return [_run_of(row) for row in self._rows("runs")]

    def runs_by_prefix(self, prefix: str) -> list[Run]:
        return [_run_of(row) for row in self._rows("runs_by_prefix", prefix=prefix)]

    def unfinished_of(self, location: str) -> Run | None:
        rows = self._rows("unfinished_of", location=location)
        return _run_of(rows[0]) if rows else None

    def start_run(self, run: Run, options: str) -> None:
        with self._db:
            self._rows("start_run", run=run.id, options=options)
            self._rows("rescue", run=run.id)
            self._rows("rearm_doubts", run=run.id)
            self._rows("rearm_settles", run=run.id, never=NEVER)

    def end_run(self, run: Run, state: RunState, why: str | None, now: Millis, seconds: float) -> None:
        self._write("end_run", run=run.id, state=state, why=why, now=now, seconds=seconds)

    # admission

    def admit(self, run: Run, rows: Sequence[SourceRow], digest: str, now: Millis) -> int:
        """Add the next rows of the source; returns how many were duplicates."""
        with self._db:
            base = (run.id << _RUN_SHIFT) + self.run(run.id).rows_read
            values = [_item_of(row, base + at, run, now) for at, row in enumerate(rows)]
            before = self._db.total_changes()
            self._db.executemany(QUERIES["admit"], values)
            duplicates = len(rows) - (self._db.total_changes() - before)
            self._rows("admitted", run=run.id, read=len(rows), duplicates=duplicates, digest=digest)
        return duplicates

    def source_done(self, run: Run) -> None:
        self._write("source_done", run=run.id)

    # work

    def claim(self, run: Run, limit: int, now: Millis) -> list[Claim]:
        with self._db:
            rows = self._rows("claim_retries", run=run.id, limit=limit, now=now)
            if len(rows) < limit:
                rows += sorted(self._rows("claim_fresh", run=run.id, limit=limit - len(rows), now=now))
        return [_claim_of(row) for row in rows]

    def release(self, claims: Sequence[Claim]) -> None:
        with self._db:
            self._db.executemany(QUERIES["release"], [(claim.seq,) for claim in claims])

    def due_doubts(self, run: Run, limit: int, now: Millis) -> list[Claim]:
        return [_claim_of(row) for row in self._rows("due_doubts", run=run.id, limit=limit, now=now)]

    def due_settles(self, run: Run, limit: int, now: Millis) -> list[Claim]:
        return [_claim_of(row) for row in self._rows("due_settles", run=run.id, limit=limit, now=now)]

    def due_settle_count(self, run: Run, limit: int, now: Millis) -> int:
        ((count,),) = self._rows("due_settle_count", run=run.id, limit=limit, now=now)
        return int(count)

    def next_due(self, run: Run) -> NextDue:
        (row,) = self._rows("next_due", run=run.id)
        return NextDue(*row)

    def record(self, run: Run, records: Sequence[Record], now: Millis) -> None:
        with self._db:
            for record in records:
                self._attempt(run, record)
                for change in record.changes:
                    self._db.execute(QUERIES["change"], _values_of(change, now))

    def _attempt(self, run: Run, record: Record) -> None:
        exchange = record.exchange
        single = None if exchange.kind == "list" else record.changes[0].seq
        values = (run.id, single, exchange.at, exchange.kind, exchange.http_status, exchange.error, exchange.ms)
        attempt = self._db.execute(QUERIES["attempt"], values).get
        if exchange.kind == "list":
            self._db.executemany(QUERIES["sighting"], [(change.seq, attempt) for change in record.changes])

    def retry(self, run: Run) -> int:
        return self._count_changed("retry", **_span(run))

    def resettle(self, run: Run, now: Millis) -> int:
        return self._count_changed("resettle", now=now, **_span(run))

    def _count_changed(self, query: str, **values: object) -> int:
        with self._db:
            self._rows(query, **values)
            changed = self._db.changes()
        return changed

    # reading

    def counts(self, run: Run) -> Counts:
        requests = self._rows("request_counts", run=run.id)
        evals = self._rows("eval_counts", **_span(run))
        outcomes: dict[str, int] = dict(self._rows("outcome_counts", **_span(run)))
        return Counts(
            outcomes={outcome: outcomes.get(outcome.value, 0) for outcome in Outcome},
            eval_status={str(status or ""): count for status, count, _ in evals},
            unsettled=sum(unsettled for _, _, unsettled in evals),
            requests={str(kind): count for kind, count, _ in requests},
            throttled=sum(throttled or 0 for _, _, throttled in requests),
            retried=int(self._rows("retried_count", run=run.id)[0][0]),
        )

    def results(self, run: Run, size: int) -> Iterator[list[Row]]:
        cursor = self._db.execute(_RESULTS + " WHERE seq BETWEEN :first AND :last ORDER BY seq", _span(run))
        while batch := list(islice(cursor, size)):
            yield batch

    def result_of(self, run: Run, session_id: str) -> Row | None:
        rows = self._rows("item_by_session", run=run.id, session_id=bytes_of(session_id))
        return self._db.execute(_RESULTS + " WHERE seq = ?", rows[0]).fetchall()[0] if rows else None

    def attempts_of(self, run: Run, session_id: str) -> list[Exchange]:
        rows = self._rows("item_by_session", run=run.id, session_id=bytes_of(session_id))
        return [Exchange(*row) for row in self._rows("attempts_of", item=rows[0][0])] if rows else []


def _item_of(row: SourceRow, seq: int, run: Run, now: Millis) -> Row:
    if row.session_id is None:
        return (seq, run.id, None, row.line, row.reason, row.text, "invalid", row.problem, now)
    return (seq, run.id, bytes_of(row.session_id), row.line, row.reason, None, "pending", None, None)


def _values_of(change: Change, now: Millis) -> dict[str, object]:
    session = change.session
    evals = session.evals if session else None
    return {
        "seq": change.seq, "now": now, "outcome": change.outcome, "due_at": change.due_at, "detail": change.detail,
        "error": change.error, "http_status": change.http_status, "attempts": change.attempts,
        "first_attempt_at": change.first_attempt_at, "looks": change.looks, "settled": int(change.settled),
        "settle_at": change.settle_at,
        "started_at": session.started_at if session else None, "closed_at": session.closed_at if session else None,
        "final_status": session.status if session else None, "eval_status": evals.status if evals else None,
        "total": evals.total if evals else None, "succeeded": evals.succeeded if evals else None,
        "failed": evals.failed if evals else None, "pending": evals.pending if evals else None,
        "critical_total": evals.critical_total if evals else None,
        "critical_succeeded": evals.critical_succeeded if evals else None,
        "critical_failed": evals.critical_failed if evals else None,
        "critical_pending": evals.critical_pending if evals else None,
    }  # fmt: skip
