"""The SQLite ledger: one writing connection and one reading connection, each used by one thread at a time."""

import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Self, TypeVar

import anyio
import anyio.to_thread
import apsw

from closeout.worker.domain.exchange import Exchange
from closeout.worker.domain.item import Claim, ClosedItem, Record, SourceRow
from closeout.worker.domain.run import Run, Tally
from closeout.worker.ledger.lease import Terms
from closeout.worker.ledger.membership import Membership, RunEnd, WorkerRow, ended_since
from closeout.worker.ledger.records import (
    ALL_ROWS,
    AttemptedEnd,
    Counts,
    Found,
    InvalidKind,
    NewRun,
    NextDue,
    PlanGroup,
    RowFilter,
)
from closeout.worker.ledger.rows import Row, the_run
from closeout.worker.ledger.sqlite.budget import SqliteBudget
from closeout.worker.ledger.sqlite.claim_notes import ClaimNotes
from closeout.worker.ledger.sqlite.connection import Connection, what_failed
from closeout.worker.ledger.sqlite.file import READER_CACHE_KIB, connect, connect_reading
from closeout.worker.ledger.sqlite.locks import job_lock, run_busy, run_lock, turn_lock
from closeout.worker.ledger.sqlite.queue_stores import SqliteIntake, SqliteMessages, SqliteReports
from closeout.worker.ledger.sqlite.store import SqliteStore
from closeout.worker.pace.budget import BudgetKey, BudgetStore, Decided, Decision
from closeout.worker.support.clock import NEVER, Millis, steady_clock
from closeout.worker.support.errors import LedgerError

_T = TypeVar("_T")
_RESULT_BATCH = 1_000


def _next_batch(batches: Iterator[list[Row]]) -> list[Row]:
    return next(batches, [])


def _open_snapshot(path: Path) -> SqliteStore:
    store = SqliteStore(connect(path, cache_kib=READER_CACHE_KIB))
    store.begin_snapshot()
    return store


def _open_writer(path: Path, *, create: bool) -> SqliteStore:
    new, notes = not os.path.exists(path), ClaimNotes(path)  # a Path raises for a name that is too long
    connection = connect(path, create=create)
    try:
        notes.forget_all() if new else notes.check(connection)
    except apsw.Error as error:
        raise LedgerError(f"the ledger {path} {what_failed(error)}") from error
    return SqliteStore(connection, partial(run_busy, path), notes)


class _Budget:
    """The budget of one key, off the event loop."""

    def __init__(self, connection: Connection[SqliteBudget]) -> None:
        self._connection = connection

    async def decide(self, decision: Decision[_T]) -> Decided[_T]:
        return await self._connection.run(self._connection.store.decide, decision)


class SqliteLedger:
    """See ``protocol.Ledger`` for what each method means."""

    def __init__(self, path: Path, writer: SqliteStore, reader: SqliteStore) -> None:
        self.path = path
        self._writer = Connection(writer, path, stays=path)
        self._reader = Connection(reader, path)
        self.intake = SqliteIntake(self._writer)
        self.messages = SqliteMessages(self._writer, self._reader)

    @property
    def reports(self) -> SqliteReports:
        return SqliteReports(self._writer, self._reader)

    @classmethod
    @asynccontextmanager
    async def open(cls, path: Path, *, create: bool = False, read_only: bool = False) -> AsyncIterator[Self]:
        """Open the ledger file, made or migrated as needed, or for reading alone. Raises LedgerError."""
        if read_only:
            store = await anyio.to_thread.run_sync(lambda: SqliteStore(connect_reading(path)))
            ledger = cls(path, store, store)
            try:
                yield ledger
            finally:
                ledger._reader.close()
            return
        writer = await anyio.to_thread.run_sync(lambda: _open_writer(path, create=create))
        reader = await anyio.to_thread.run_sync(lambda: SqliteStore(connect(path, cache_kib=READER_CACHE_KIB)))
        ledger = cls(path, writer, reader)
        try:
            yield ledger
        finally:
            ledger._reader.close()
            ledger._writer.close()

    @asynccontextmanager
    async def joined(
        self,
        run: Run,
        terms: Terms,  # noqa: ARG002  # the system drops the lock of a process that has died
        *,
        alone: bool = False,
    ) -> AsyncIterator[Membership]:
        with run_lock(self.path, run):
            crew, found = Membership(partial(self.end_run, run)), await self.find_run(run.name)
            crew.over = not alone and ended_since(run, found.state, found.ended_at)
            crew.first = crew.leading = not crew.over
            yield crew

    async def workers(self) -> list[WorkerRow]:
        """Those of this machine; who they are is not known."""
        at_work = [run for run in await self.runs() if run.state == "running" and await self.busy(run)]
        return [WorkerRow(run.name, None, None, leads=True) for run in at_work]

    @asynccontextmanager
    async def locked(self, run: Run) -> AsyncIterator[None]:
        with run_lock(self.path, run):
            yield

    @asynccontextmanager
    async def job_locked(self, job: str) -> AsyncIterator[None]:
        with job_lock(self.path, job):
            yield

    def turn(self, organisation: str, stop: anyio.Event) -> AbstractAsyncContextManager[bool]:
        return turn_lock(self.path, organisation, stop)

    @asynccontextmanager
    async def budget(self, key: BudgetKey) -> AsyncIterator[BudgetStore]:
        store = await anyio.to_thread.run_sync(SqliteBudget, self.path, key)
        connection = Connection(store, self.path, stays=store.path)
        try:
            yield _Budget(connection)
        finally:
            connection.close()

    async def expect_writable(self) -> None:
        await self._writer.run(self._writer.store.touch)

    async def create_run(self, new: NewRun, now: Millis) -> Run:
        return await self._writer.run(self._writer.store.create_run, new, now)

    async def runs(self) -> list[Run]:
        return await self._reader.run(self._reader.store.runs)

    async def find_run(self, name: str) -> Run:
        if name == "last":
            found = (await self.runs())[:1]
        else:
            found = await self._reader.run(self._reader.store.runs_by_prefix, name)
        return the_run(name, found, found or await self.runs(), str(self.path))

    async def unfinished_of(self, location: str) -> Run | None:
        return await self._reader.run(self._reader.store.unfinished_of, location)

    async def clock(self) -> Callable[[], Millis]:
        return steady_clock()

    async def start_run(self, run: Run, options: str) -> None:
        await self._writer.run(self._writer.store.start_run, run, options)

    async def tell(self, run: Run, tally: Tally) -> None:
        await self._writer.run(self._writer.store.tell, run, tally)

    async def pass_canary(self, run: Run) -> None:
        await self._writer.run(self._writer.store.pass_canary, run)

    async def last_exchange(self, run: Run) -> Millis | None:
        return await self._reader.run(self._reader.store.last_exchange, run)

    async def end_run(self, run: Run, end: RunEnd, now: Millis) -> None:
        await self._writer.run(self._writer.store.end_run, run, end, now)

    async def put_back(self, run: Run) -> None:
        await self._writer.run(self._writer.store.put_back, run)

    async def admit(
        self, run: Run, rows: Sequence[SourceRow], digest: str, now: Millis, *, parked: bool = False
    ) -> int:
        return await self._writer.run(self._writer.store.admit, run, rows, digest, now, NEVER if parked else 0)

    async def admit_within(
        self, run: Run, rows: Sequence[SourceRow], most: int, now: Millis, *, parked: bool = False
    ) -> int | None:
        due = NEVER if parked else 0
        return await self._writer.run(self._writer.store.admit_within, run, rows, most, now, due)

    async def see_again(self, run: Run, rows: Sequence[SourceRow]) -> None:
        await self._writer.run(self._writer.store.see_again, run, rows)

    async def source_done(self, run: Run, sha256: str | None = None) -> None:
        await self._writer.run(self._writer.store.source_done, run, sha256)

    async def claim(
        self, run: Run, limit: int, now: Millis, fresh: int | None = None, earliest: Millis | None = None
    ) -> list[Claim]:
        return await self._writer.run(self._writer.store.claims.claim, run, limit, now, fresh, earliest)

    async def look_first(self, claims: Sequence[Claim]) -> None:
        await self._writer.run(self._writer.store.claims.look_first, claims)

    async def known_count(self, host: str, sessions: Sequence[str]) -> int:
        return await self._reader.run(self._reader.store.claims.known_count, host, sessions)

    async def reasons_of(self, run: Run, sessions: Sequence[str]) -> dict[str, tuple[int, str | None]]:
        return await self._reader.run(self._reader.store.claims.reasons_of, run, sessions)

    async def parked(self, run: Run, limit: int, now: Millis) -> list[Claim]:
        return await self._reader.run(self._reader.store.parked, run, limit, now)

    async def unpark(self, run: Run) -> int:
        return await self._writer.run(self._writer.store.unpark, run)

    async def skip_fresh(self, run: Run, detail: str, now: Millis) -> int:
        return await self._writer.run(self._writer.store.claims.skip_fresh, run, detail, now)

    async def unskip(self, run: Run, detail: str) -> int:
        return await self._writer.run(self._writer.store.unskip, run, detail)

    async def attempted_open(self, run: Run) -> set[int]:
        return await self._reader.run(self._reader.store.attempted_open, run)

    async def attempted_ends(self, run: Run) -> list[AttemptedEnd]:
        return await self._reader.run(self._reader.store.attempted_ends, run)

    async def taken_count(self, run: Run) -> int:
        return await self._reader.run(self._reader.store.taken_count, run)

    async def release(self, claims: Sequence[Claim]) -> None:
        if claims:
            await self._writer.run(self._writer.store.release, claims)

    async def park(self, claims: Sequence[Claim]) -> None:
        await self._writer.run(self._writer.store.park, claims)

    async def parked_count(self, run: Run) -> int:
        return await self._reader.run(self._reader.store.parked_count, run)

    async def skip_parked(self, run: Run, since: Millis, detail: str, now: Millis) -> int:
        return await self._writer.run(self._writer.store.skip_parked, run, since, detail, now)

    async def park_all(self, run: Run) -> int:
        return await self._writer.run(self._writer.store.park_all, run)

    async def plan_groups(self, run: Run) -> list[PlanGroup]:
        return await self._reader.run(self._reader.store.plan_groups, run)

    async def open_count(self, run: Run, limit: int, by: Millis) -> int:
        return await self._reader.run(self._reader.store.open_count, run, limit, by)

    async def backlog(self, run: Run, limit: int, by: Millis) -> int:
        return await self._reader.run(self._reader.store.backlog, run, limit, by)

    async def due_doubts(self, run: Run, limit: int, now: Millis) -> list[Claim]:
        return await self._reader.run(self._reader.store.due_doubts, run, limit, now)

    async def due_known(self, run: Run, limit: int) -> list[Claim]:
        return await self._reader.run(self._reader.store.due_known, run, limit)

    async def due_settles(self, run: Run, limit: int, now: Millis, ripe: Millis) -> list[Claim]:
        return await self._reader.run(self._reader.store.due_settles, run, limit, now, ripe)

    async def due_settles_by_start(
        self, run: Run, limit: int, now: Millis, ripe: Millis, after: Claim | None
    ) -> list[Claim]:
        return await self._reader.run(self._reader.store.due_settles_by_start, run, limit, now, ripe, after)

    async def due_settle_spans(self, run: Run, span: Millis, now: Millis, ripe: Millis) -> int:
        return await self._reader.run(self._reader.store.due_settle_spans, run, span, now, ripe)

    async def due_settle_count(self, run: Run, limit: int, now: Millis, ripe: Millis) -> int:
        return await self._reader.run(self._reader.store.due_settle_count, run, limit, now, ripe)

    async def settles_ahead(self, run: Run, wait: Millis) -> tuple[Millis, Millis] | None:
        return await self._reader.run(self._reader.store.settles_ahead, run, wait)

    async def doubt_nones(self, run: Run, age: Millis) -> int:
        return await self._writer.run(self._writer.store.doubt_nones, run, age)

    async def next_due(self, run: Run) -> NextDue:
        return await self._reader.run(self._reader.store.next_due, run)

    async def record(self, run: Run, records: Sequence[Record], now: Millis) -> None:
        await self._writer.run(self._writer.store.record, run, records, now)

    async def retry(self, run: Run, *, parked: bool = False) -> int:
        return await self._writer.run(self._writer.store.retry, run, parked)

    async def resettle(self, run: Run) -> int:
        return await self._writer.run(self._writer.store.resettle, run)

    async def counts(self, run: Run) -> Counts:
        return await self._reader.run(self._reader.store.counts, run)

    async def counts_as_of_now(self, run: Run) -> Callable[[], Awaitable[Counts]]:
        """Over a connection of its own, whose read transaction keeps the state of this moment."""
        store = await anyio.to_thread.run_sync(_open_snapshot, self.path)

        async def count() -> Counts:
            try:
                return await anyio.to_thread.run_sync(store.counts, run)
            finally:
                store.close()

        return count

    async def closed_sample(self, run: Run, limit: int) -> list[ClosedItem]:
        return await self._reader.run(self._reader.store.closed_sample, run, limit)

    async def closed_by_start(self, run: Run, limit: int, after: Claim | None) -> list[ClosedItem]:
        return await self._reader.run(self._reader.store.closed_by_start, run, limit, after)

    async def invalid_kinds(self, run: Run, limit: int) -> list[InvalidKind]:
        return await self._reader.run(self._reader.store.invalid_kinds, run, limit)

    async def busy(self, run: Run) -> bool:
        return run_busy(self.path, run.id)

    async def results(self, run: Run, chosen: RowFilter = ALL_ROWS) -> AsyncIterator[list[Row]]:
        batches = self._reader.store.results.of_run(run, _RESULT_BATCH, chosen)
        while batch := await self._reader.run(_next_batch, batches):
            yield batch

    async def results_of(self, seqs: Sequence[int]) -> list[Row]:
        return await self._reader.run(self._reader.store.results.of_items, seqs)

    async def result_of(self, run: Run, session_id: str) -> Row | None:
        return await self._reader.run(self._reader.store.results.of_session, run, session_id)

    async def attempts_of(self, run: Run, session_id: str) -> list[Exchange]:
        return await self._reader.run(self._reader.store.results.attempts_of, run, session_id)

    async def find_session(self, session_id: str, limit: int) -> list[Found]:
        return await self._reader.run(self._reader.store.results.find_session, session_id, limit)

    async def find_invalid(self, text: str, limit: int) -> list[Found]:
        return await self._reader.run(self._reader.store.results.find_invalid, text, limit)
