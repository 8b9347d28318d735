"""One connection to a SQLite file, used off the event loop."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Generic, Protocol, TypeVar, TypeVarTuple

import anyio
import anyio.to_thread
import apsw

from closeout.worker.support.errors import LedgerError

_T = TypeVar("_T")
_Args = TypeVarTuple("_Args")


class Closable(Protocol):
    """What works on one connection."""

    def close(self) -> None:
        """Close the connection."""
        ...


_Store = TypeVar("_Store", bound=Closable)


class Connection(Generic[_Store]):
    """One connection and the rule that one thread at a time uses it.

    A call is shielded: a cancelled caller must not leave a connection in the middle of a statement, nor lose what a
    transaction returned.
    """

    def __init__(self, store: _Store, path: Path) -> None:
        self.store = store
        self._path = path
        self._limiter = anyio.CapacityLimiter(1)
        self._turn = threading.Lock()

    def close(self) -> None:
        """Close it once no statement is at work: a native cancellation, as of Ctrl-C, comes through any shield."""
        with self._turn:
            self.store.close()

    async def run(self, work: Callable[[*_Args], _T], *args: *_Args) -> _T:
        with anyio.CancelScope(shield=True):
            try:
                result = await anyio.to_thread.run_sync(self._alone, work, *args, limiter=self._limiter)
            except apsw.Error as error:
                raise LedgerError(f"the ledger {self._path} failed: {error}") from error
        return result

    def _alone(self, work: Callable[[*_Args], _T], *args: *_Args) -> _T:
        with self._turn:
            return work(*args)


@contextmanager
def transaction(connection: apsw.Connection) -> Iterator[None]:
    """One transaction, which has the write lock from its beginning; what is raised inside takes it back.

    ``with connection:`` would hold Python's global lock at its begin and its commit: while it waits for the file, or
    for the disk, no other thread runs, neither the event loop nor the one that has the file and must let it go.
    """
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:  # some errors, such as a full disk, have taken it back already
            connection.execute("ROLLBACK")
        raise
