"""The PostgreSQL ledger: the same protocol as a file, for processes on several machines."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import monotonic
from typing import Self

import anyio
import psycopg

from closeout.worker.domain.run import Run
from closeout.worker.ledger.lease import Terms
from closeout.worker.ledger.membership import Membership, WorkerRow
from closeout.worker.ledger.postgres.address import Address, parse_address
from closeout.worker.ledger.postgres.budget import PostgresBudget
from closeout.worker.ledger.postgres.connection import (
    CONNECT_TIMEOUT,
    FIRST_PATIENCE,
    LONG,
    Connection,
    Database,
    connect,
    cut_after,
    may_be_starting,
    reason_of,
)
from closeout.worker.ledger.postgres.intake import PostgresIntake
from closeout.worker.ledger.postgres.locks import ServerLock
from closeout.worker.ledger.postgres.membership import PostgresMembership
from closeout.worker.ledger.postgres.messages import PostgresMessages
from closeout.worker.ledger.postgres.migrate import expect_current, upgrade
from closeout.worker.ledger.postgres.reads import Reading
from closeout.worker.ledger.postgres.reports import PostgresReports
from closeout.worker.ledger.postgres.runs import Runs
from closeout.worker.ledger.postgres.work import Work
from closeout.worker.ledger.statements import load_migrations
from closeout.worker.pace.budget import BudgetKey, BudgetStore
from closeout.worker.support.errors import ConfigurationError, LedgerError, RunBusyError
from closeout.worker.support.log import get_logger
from closeout.worker.support.units import format_duration

_CONNECTIONS = 4  # claiming, recording, looking, and one more
_BUDGET_CONNECTIONS = 2
_ASK_AGAIN = 1.0  # seconds; a turn lasts minutes
_TRY_AGAIN = 1.0  # seconds, while a server starts


class PostgresLedger(Runs, Work, Reading):
    """See ``protocol.Ledger`` for what each method means."""

    def __init__(self, database: Database, permits: Database) -> None:
        self._database = database
        self._permits = permits
        self._snapshots: set[Connection] = set()
        self._crews: dict[int, PostgresMembership] = {}
        self.intake = PostgresIntake(database)
        self.messages = PostgresMessages(database)
        self.reports = PostgresReports(database)

    @classmethod
    @asynccontextmanager
    async def open(
        cls, address: str, *, create: bool = False, read_only: bool = False, patience: float = 0.0
    ) -> AsyncIterator[Self]:
        """Open the ledger at a URL, made or migrated as needed, or for reading alone.

        ``patience``: seconds for which a server that is away is waited for. Raises ConfigurationError and LedgerError.
        """
        place = parse_address(address)
        await _prepared(place, patience, create=create, read_only=read_only)
        durable = Database(place, size=_CONNECTIONS, read_only=read_only)
        fleeting = Database(place, size=_BUDGET_CONNECTIONS, durable=False)
        async with durable.opened(), fleeting.opened():
            ledger = cls(durable, fleeting)
            ledger.patience = max(patience, FIRST_PATIENCE)
            try:
                yield ledger
            finally:
                for connection in ledger._snapshots:
                    await connection.close()

    @property
    def patience(self) -> float:
        """For how many seconds a server that is away is borne, within one call."""
        return self._database.patience

    @patience.setter
    def patience(self, seconds: float) -> None:
        self._database.patience = self._permits.patience = seconds

    async def expect_writable(self) -> None:
        await self._database.write(lambda sql: sql.rows("touch"))

    @asynccontextmanager
    async def joined(self, run: Run, terms: Terms, *, alone: bool = False) -> AsyncIterator[Membership]:
        self.patience = terms.patience
        async with Database(self._database.address, size=1).opened() as heartbeats:
            heartbeats.patience = 0
            crew = PostgresMembership(heartbeats, self._database, run, terms, alone=alone)
            async with crew.joined():
                self._crews[run.id] = crew
                try:
                    yield crew
                finally:
                    del self._crews[run.id]

    async def workers(self) -> list[WorkerRow]:
        return [WorkerRow(*row) for row in await self._database.read(lambda sql: sql.rows("workers"))]

    @asynccontextmanager
    async def locked(self, run: Run) -> AsyncIterator[None]:
        busy = f"another process works on run {run.name}: wait for it, or stop it first"
        async with ServerLock(self._database, f"run {run.id}").held(busy):
            if await self._at_work(run):
                raise RunBusyError(busy)
            yield

    async def _at_work(self, run: Run) -> bool:
        return bool(await self._database.read(lambda sql: sql.rows("workers_alive", run=run.id)))

    @asynccontextmanager
    async def job_locked(self, job: str) -> AsyncIterator[None]:
        async with ServerLock(self._database, f"job {job}").held(
            f"job {job} is already running: wait for it, or stop it"
        ):
            yield

    @asynccontextmanager
    async def turn(self, organisation: str, stop: anyio.Event) -> AsyncIterator[bool]:
        lock = ServerLock(self._database, f"turn {organisation}")
        try:
            held = await lock.take()
            while not held and not stop.is_set():
                with anyio.move_on_after(_ASK_AGAIN):
                    await stop.wait()
                held = await lock.take()
            yield held and not stop.is_set()
        finally:
            await lock.drop()

    async def busy(self, run: Run) -> bool:
        return await self._at_work(run) or await ServerLock(self._database, f"run {run.id}").is_held()

    @asynccontextmanager
    async def budget(self, key: BudgetKey) -> AsyncIterator[BudgetStore]:
        store = PostgresBudget(self._permits, key)
        await store.make()
        yield store


async def _prepared(place: Address, patience: float, *, create: bool, read_only: bool) -> None:
    """Return once the schema is as this version needs it, and wait meanwhile for a server that may soon be there."""
    began, told = monotonic(), False
    while True:
        try:
            return await _prepare(place, create=create, read_only=read_only)
        except psycopg.Error as error:
            left = began + patience - monotonic()
            if left <= 0 or not may_be_starting(error):
                raise _refused(place, error) from None
            if not told:
                why = f"{place.shown}: {reason_of(error)}; waiting up to {format_duration(patience)} for it"
                get_logger().warning(f"the ledger cannot be reached: {why}")
                told = True
            await anyio.sleep(min(_TRY_AGAIN, left))


def _refused(place: Address, error: psycopg.Error) -> ConfigurationError | LedgerError:
    if isinstance(error, psycopg.OperationalError):
        return ConfigurationError(f"--ledger {place.shown}: {reason_of(error)}")
    return LedgerError(f"the ledger {place.shown} failed: {reason_of(error)}")


async def _prepare(place: Address, *, create: bool, read_only: bool) -> None:
    migrations = load_migrations("closeout.worker.ledger.postgres")
    connection = await connect(place)
    try:
        with cut_after(connection, CONNECT_TIMEOUT if read_only else LONG):
            if read_only:
                await expect_current(connection, place, migrations)
            else:
                await upgrade(connection, place, migrations, create=create)
    finally:
        await connection.close()
