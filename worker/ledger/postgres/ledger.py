"""The PostgreSQL ledger: the same protocol as a file, for processes on several machines."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Self

import anyio
import psycopg

from worker.budget import BudgetKey, BudgetStore
from worker.errors import ConfigurationError, LedgerError, RunBusyError
from worker.ledger.migrate import load_migrations
from worker.ledger.postgres.address import Address, parse_address
from worker.ledger.postgres.budget import PostgresBudget
from worker.ledger.postgres.database import Connection, Database, connect, reason_of
from worker.ledger.postgres.intake import PostgresIntake
from worker.ledger.postgres.messages import PostgresMessages
from worker.ledger.postgres.reading import Reading
from worker.ledger.postgres.reports import PostgresReports
from worker.ledger.postgres.runs import Runs
from worker.ledger.postgres.upgrade import expect_current, upgrade
from worker.ledger.postgres.work import Work
from worker.models import Run

_CONNECTIONS = 4  # claiming, recording, looking, and one more
_BUDGET_CONNECTIONS = 2
_ASK_AGAIN = 1.0  # seconds; a turn lasts minutes
_TRIES, _PAUSE = 5, 0.1  # a process that was killed holds its lock until the server has noticed


class PostgresLedger(Runs, Work, Reading):
    """See ``protocol.Ledger`` for what each method means."""

    def __init__(self, database: Database, permits: Database) -> None:
        self._database = database
        self._permits = permits
        self._snapshots: set[Connection] = set()
        self.intake = PostgresIntake(database)
        self.messages = PostgresMessages(database)
        self.reports = PostgresReports(database)

    @classmethod
    @asynccontextmanager
    async def open(cls, address: str, *, create: bool = False, read_only: bool = False) -> AsyncIterator[Self]:
        """Open the ledger at a URL, made or migrated as needed, or for reading alone.

        Raises ConfigurationError and LedgerError.
        """
        place = parse_address(address)
        await _prepare(place, create=create, read_only=read_only)
        durable = Database(place, size=_CONNECTIONS, read_only=read_only)
        fleeting = Database(place, size=_BUDGET_CONNECTIONS, durable=False)
        async with durable.opened(), fleeting.opened():
            ledger = cls(durable, fleeting)
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
    async def locked(self, run: Run) -> AsyncIterator[None]:
        busy = f"another process works on run {run.name}: wait for it, or stop it first"
        async with self._hold(f"run {run.id}", busy):
            yield

    @asynccontextmanager
    async def job_locked(self, job: str) -> AsyncIterator[None]:
        async with self._hold(f"job {job}", f"job {job} is at work already: wait for it, or stop it"):
            yield

    @asynccontextmanager
    async def turn(self, organisation: str, stop: anyio.Event) -> AsyncIterator[bool]:
        async with self._connected() as connection:
            held = await self._taken(connection, f"turn {organisation}")
            while not held and not stop.is_set():
                with anyio.move_on_after(_ASK_AGAIN):
                    await stop.wait()
                held = await self._taken(connection, f"turn {organisation}")
            yield held and not stop.is_set()

    @asynccontextmanager
    async def _hold(self, what: str, busy: str) -> AsyncIterator[None]:
        async with self._connected() as connection:
            for _ in range(_TRIES):
                if await self._taken(connection, what):
                    break
                await anyio.sleep(_PAUSE)
            else:
                raise RunBusyError(busy)
            yield

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[Connection]:
        connection = await self._database.connect()
        try:
            yield connection
        finally:
            with anyio.CancelScope(shield=True):
                await connection.close()

    async def _taken(self, connection: Connection, what: str) -> bool:
        """Whether this connection has a lock now, which the server drops as soon as it sees that it is gone."""
        name = f"{self._database.address.schema} {what}"
        with anyio.CancelScope(shield=True):
            cursor = await connection.execute("SELECT pg_try_advisory_lock(hashtextextended(%s, 0))", (name,))
            row = await cursor.fetchone()
        return row is not None and bool(row[0])

    async def busy(self, run: Run) -> bool:
        try:
            async with self.locked(run):
                return False
        except RunBusyError:
            return True

    @asynccontextmanager
    async def budget(self, key: BudgetKey) -> AsyncIterator[BudgetStore]:
        store = PostgresBudget(self._permits, key)
        await store.make()
        yield store


async def _prepare(place: Address, *, create: bool, read_only: bool) -> None:
    migrations = load_migrations("worker.ledger.postgres")
    try:
        connection = await connect(place)
        try:
            if read_only:
                await expect_current(connection, place, migrations)
            else:
                await upgrade(connection, place, migrations, create=create)
        finally:
            await connection.close()
    except psycopg.OperationalError as error:
        raise ConfigurationError(f"--ledger {place.shown}: {reason_of(error)}") from None
    except psycopg.Error as error:
        raise LedgerError(f"the ledger {place.shown} failed: {reason_of(error)}") from error
