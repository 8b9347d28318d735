"""Locks of the server's: each is held by a connection, and let go of when the server sees that it is gone."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import anyio
import psycopg

from closeout.worker.ledger.postgres.connection import CONNECT_TIMEOUT, Connection, Database, cut_after
from closeout.worker.support.errors import LedgerError, RunBusyError

_LOOK = 1.0  # seconds between looks whether the connection is still there
_TRIES, _PAUSE = 5, 0.1  # a process that was killed holds its lock until the server has noticed


class ServerLock:
    """One lock, by its name within the ledger. Not for use by two tasks at once."""

    def __init__(self, database: Database, name: str) -> None:
        self._database = database
        self._name = f"{database.address.schema} {name}"
        self._connection: Connection | None = None

    async def take(self) -> bool:
        """Whether it is taken now; where the connection has broken, by another one."""
        with anyio.CancelScope(shield=True):
            for _ in range(2):
                connection = self._connection = self._connection or await self._database.connect()
                try:
                    query = "SELECT pg_try_advisory_lock(hashtextextended(%s, 0))"
                    with cut_after(connection, CONNECT_TIMEOUT):
                        row = await (await connection.execute(query, (self._name,))).fetchone()
                except psycopg.Error:
                    await self.drop()
                else:
                    return row is not None and bool(row[0])
        return False

    async def is_held(self) -> bool:
        """Whether anybody holds it; to ask takes nothing."""
        for _ in range(_TRIES):
            if not await self._database.read(lambda sql: sql.rows("lock_held", name=self._name)):
                return False
            await anyio.sleep(_PAUSE)
        return True

    async def drop(self) -> None:
        """Let it go, if it is held."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with anyio.CancelScope(shield=True), suppress(psycopg.Error):
                await connection.close()

    @asynccontextmanager
    async def held(self, busy: str) -> AsyncIterator[None]:
        """Hold it; RunBusyError with this text where another process does.

        Where it gets lost with the connection, and another process is quicker to take it, what goes on here is
        cancelled, and that is an error, too: two must never hold it.
        """
        try:
            for _ in range(_TRIES):
                if await self.take():
                    break
                await anyio.sleep(_PAUSE)
            else:
                raise RunBusyError(busy)
            with anyio.CancelScope() as scope:
                watching = asyncio.create_task(self._watch(scope))
                try:
                    yield
                finally:
                    watching.cancel()
                    with suppress(asyncio.CancelledError):
                        await watching
            if scope.cancelled_caught:
                raise RunBusyError(f"the connection to the database was lost, and meanwhile {busy}")
        finally:
            await self.drop()

    async def _watch(self, scope: anyio.CancelScope) -> None:
        while True:
            await anyio.sleep(_LOOK)
            try:
                if self._connection is not None:
                    with cut_after(self._connection, CONNECT_TIMEOUT):
                        await self._connection.execute("SELECT 1")
            except psycopg.Error:
                await self.drop()
                if not await self._taken_again():
                    scope.cancel()
                    return

    async def _taken_again(self) -> bool:
        try:
            return await self.take()
        except LedgerError:
            return False
