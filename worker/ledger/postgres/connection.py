"""Connections to the PostgreSQL server: each piece of work is one transaction, tried again while the server is away.

What a transaction did is known even where the connection broke at its commit: the server is asked what became of it.
"""

import asyncio
import logging
import os
import random
import secrets
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from itertools import count
from time import monotonic
from typing import Any, TypeVar, cast

import anyio
import psycopg
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from closeout.worker.ledger.postgres.address import Address
from closeout.worker.ledger.postgres.statements import Statements
from closeout.worker.ledger.rows import Row
from closeout.worker.support.errors import ConfigurationError, LedgerError

_T = TypeVar("_T")
Connection = psycopg.AsyncConnection[Row]
Work = Callable[[Statements], Awaitable[_T]]

OLDEST = 13  # the first version that tells what became of a transaction by its 64-bit number
CONNECT_TIMEOUT = 5  # seconds
_POOL_TIMEOUT = 2.0  # seconds to wait for a connection; one that takes longer to make is there for the next attempt
FIRST_PATIENCE = 5.0  # seconds for which a command that only looks bears a server that is away
TIME_LIMIT = 60.0  # seconds for one transaction
LONG = 900.0  # seconds for what reads all rows of a run, of which there may be millions
# After the connection was lost nothing is asked for so long: a server that crashed may have forgotten permits that it
# gave out for the next quarter of a second (worker/pace/budget.py).
_FIRST_PAUSE, _LONGEST_PAUSE = 0.3, 5.0
# The server lets go of what a client holds that has gone without a word.
_SESSION = """
SET search_path TO "{schema}"; SET timezone TO 'UTC'; SET client_min_messages TO warning;
SET idle_in_transaction_session_timeout TO '5s'; SET jit TO off;
SET tcp_keepalives_idle TO 10; SET tcp_keepalives_interval TO 5; SET tcp_keepalives_count TO 3;
SET synchronous_commit TO {commit};
"""
_FATAL = {"28P01", "28000", "3D000", "42501"}  # password, role, database, privilege: waiting helps none of them
_AGAIN = {"40001", "40P01", "57P01", "57P02", "57P03", "25P03", "53300"}  # lost a race, or the server restarts

_SOON = (  # what PostgreSQL says before it lets clients in, and while it shuts down or is full
    "starting up", "shutting down", "in recovery mode", "not yet accepting connections", "too many clients",
    "connection slots are reserved", "terminating connection",
)  # fmt: skip

for _name in ("psycopg", "psycopg.pool"):  # they warn of what is told here in our own words
    logging.getLogger(_name).addHandler(logging.NullHandler())
    logging.getLogger(_name).propagate = False


class _Unfinished:
    """A transaction whose commit may have been lost: its number, its mark, and what it gave.

    The number tells when it is over; whether it is committed the mark alone tells for sure, as a server that crashed
    gives out numbers once more that it had not written to its disk.
    """

    def __init__(self, done: list[int]) -> None:
        self.xid: str | None = None
        self.mark = secrets.randbits(62)
        self.done = done  # marks that go with it
        self.result: object = None


class Database:
    """A pool of connections to one ledger. ``patience`` is for how many seconds a server that is away is borne."""

    def __init__(self, address: Address, *, size: int, durable: bool = True, read_only: bool = False) -> None:
        self.address = address
        self.patience = FIRST_PATIENCE
        self._marks: list[int] = []  # of transactions that are over, and known to be
        self._rng = random.Random()  # noqa: S311  # jitter
        self._session = _SESSION.format(schema=address.schema, commit="on" if durable else "off")
        if read_only:
            self._session += "SET default_transaction_read_only TO on;"
        self._pool: AsyncConnectionPool[Connection] = AsyncConnectionPool(
            address.url,
            kwargs=_TRANSPORT,
            connection_class=cast("type[Connection]", psycopg.AsyncConnection),
            configure=self._configure,
            min_size=1,
            max_size=size,
            open=False,
            timeout=_POOL_TIMEOUT,
            reconnect_timeout=0,
        )

    @asynccontextmanager
    async def opened(self) -> AsyncIterator["Database"]:
        """With its connections, which are closed at the end."""
        await self._pool.open()
        try:
            yield self
        finally:
            with anyio.CancelScope(shield=True):
                await self._pool.close(timeout=1)

    async def connect(self) -> Connection:
        """A connection outside the pool, for what lasts. Raises LedgerError."""

        async def attempt() -> Connection:
            connection = await connect(self.address)
            await self._configure(connection)
            return connection

        return await self._until_done(attempt)

    async def _configure(self, connection: Connection) -> None:
        with cut_after(connection, CONNECT_TIMEOUT):
            await connection.execute(self._session)

    async def read(self, work: Work[_T], *, limit: float = TIME_LIMIT) -> _T:
        """Run work that changes nothing; each of its statements sees what is committed then."""
        return await self._until_done(lambda: self._read(work, limit))

    async def write(self, work: Work[_T], *, limit: float = TIME_LIMIT) -> _T:
        """Run work as one transaction, which is durable when this returns, and done once."""
        unfinished = _Unfinished(self._marks)
        self._marks = []
        result = await self._until_done(lambda: self._write(work, limit, unfinished))
        self._marks.append(unfinished.mark)
        return result

    async def transact(self, work: Work[_T], *, limit: float = TIME_LIMIT) -> _T:
        """The same for what does no harm when it is done twice, its first result lost."""

        async def attempt() -> _T:
            async with self._pool.connection() as connection:
                with cut_after(connection, limit):
                    async with connection.transaction():
                        return await work(Statements(connection))

        return await self._until_done(attempt)

    async def _until_done(self, attempt: Callable[[], Awaitable[_T]]) -> _T:
        """Shielded while it talks to the server, as a cancelled caller must not lose what a transaction returned."""
        began = monotonic()
        for failures in count(1):
            try:
                with anyio.CancelScope(shield=True):
                    result = await attempt()
            except (psycopg.Error, PoolTimeout, OSError) as error:
                if not _may_pass(error) or monotonic() - began >= self.patience:
                    raise self._failed(error) from error
                with anyio.move_on_after(_POOL_TIMEOUT, shield=True), suppress(Exception):  # the next attempt tells
                    await self._pool.check()
                pause = min(_LONGEST_PAUSE, _FIRST_PAUSE * 1.5 ** (failures - 1))
                await anyio.sleep(pause * (1 + self._rng.random() / 2))
            else:
                return result
        raise AssertionError("unreachable")

    async def _read(self, work: Work[_T], limit: float) -> _T:
        async with self._pool.connection() as connection:
            with cut_after(connection, limit):
                return await work(Statements(connection))

    async def _write(self, work: Work[_T], limit: float, unfinished: _Unfinished) -> _T:
        async with self._pool.connection() as connection:
            with cut_after(connection, limit):
                if unfinished.xid is not None and await _committed(connection, unfinished):
                    return cast("_T", unfinished.result)
                unfinished.xid = None
                async with connection.transaction():
                    result = await work(Statements(connection))
                    xid = await Statements(connection).value("written", mark=unfinished.mark, done=unfinished.done)
                    unfinished.xid, unfinished.result = str(xid), result
                return result

    def _failed(self, error: Exception) -> LedgerError:
        return LedgerError(f"the ledger {self.address.shown} failed: {reason_of(error)}")


_TRANSPORT: dict[str, Any] = {  # what libpq is told of the connection: a peer that is gone is noticed
    "autocommit": True,
    "connect_timeout": CONNECT_TIMEOUT,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
    "application_name": "closeout",
}


async def connect(address: Address) -> Connection:
    """One connection, not set up yet. Raises ConfigurationError where waiting would not help, else psycopg.Error."""
    try:
        return await psycopg.AsyncConnection.connect(address.url, **_TRANSPORT)
    except psycopg.ProgrammingError:
        # Its text repeats the address, password included.
        raise ConfigurationError(
            f"--ledger {address.shown}: the server's library cannot read this address: check its settings"
        ) from None


def reason_of(error: Exception) -> str:
    """What went wrong, in one line; nothing of the connection's settings is in it."""
    if isinstance(error, PoolTimeout):
        return "the server cannot be reached"
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    told = lines[0] if lines else type(error).__name__
    for mark in ("FATAL:", "ERROR:"):
        told = next((line.split(mark, 1)[1].strip() for line in lines if mark in line), told)
    return told.removeprefix("connection failed: ")


def _may_pass(error: Exception) -> bool:
    """Whether the same may well succeed a little later."""
    state = getattr(error, "sqlstate", None)
    if state in _FATAL:
        return False
    if state in _AGAIN or isinstance(error, PoolTimeout | OSError):
        return True
    return isinstance(error, psycopg.OperationalError | psycopg.InterfaceError) and not isinstance(
        error, psycopg.errors.DiskFull
    )


def may_be_starting(error: Exception) -> bool:
    """Whether a server that could not be connected to may soon be there: refused, out of reach, starting, or full.

    The client is told why in words alone; what is none of these, as a wrong password or host name, is not waited for.
    """
    if isinstance(error, psycopg.ProgrammingError) or "[Errno -2]" in str(error):  # EAI_NONAME: no such host
        return False
    if error_state := getattr(error, "sqlstate", None):
        return error_state in _AGAIN
    told = str(error)
    return isinstance(error, psycopg.OperationalError) and ("FATAL:" not in told or any(word in told for word in _SOON))


async def _committed(connection: Connection, unfinished: _Unfinished) -> bool:
    """Whether a transaction that was lost sight of at its end is committed; waits where it still goes on."""
    sql = Statements(connection)
    while await _in_progress(connection, unfinished.xid):  # noqa: ASYNC110  # it is the server that knows
        await anyio.sleep(_FIRST_PAUSE)
    return bool(await sql.rows("is_written", mark=unfinished.mark))


async def _in_progress(connection: Connection, xid: str | None) -> bool:
    try:
        cursor = await connection.execute("SELECT pg_xact_status(%s::text::xid8)", (xid,))
    except psycopg.errors.InvalidParameterValue:  # it lies in the future: a crash has undone it
        return False
    row = await cursor.fetchone()
    return row is not None and row[0] == "in progress"


@contextmanager
def cut_after(connection: Connection, seconds: float) -> Iterator[None]:
    """Break a connection whose server has not answered in time, whatever became of the packets.

    Cancelling the call instead would have to ask the same server to cancel it.
    """
    timer = asyncio.get_running_loop().call_later(seconds, _cut, connection)
    try:
        yield
    finally:
        timer.cancel()


def _cut(connection: Connection) -> None:
    with suppress(OSError, psycopg.Error), socket.socket(fileno=os.dup(connection.fileno())) as copy:
        copy.shutdown(socket.SHUT_RDWR)
