"""One connection to a SQLite file, used off the event loop."""

import os
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
    transaction returned. It also raises LedgerError as soon as the file that ``stays``, or its log, is not the one
    that was opened: SQLite goes on writing to what is deleted.
    """

    def __init__(self, store: _Store, path: Path, *, stays: Path | None = None) -> None:
        self.store = store
        self._path = path
        places = () if stays is None else (stays, stays.with_name(f"{stays.name}-wal"))
        self._places = {str(place): found for place in places if (found := _identity(str(place))) is not None}
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
                raise LedgerError(f"the ledger {self._path} {what_failed(error)}") from error
        return result

    def _alone(self, work: Callable[[*_Args], _T], *args: *_Args) -> _T:
        with self._turn:
            for place, opened in self._places.items():
                if _identity(place) != opened:
                    raise LedgerError(
                        f"{place} was deleted, moved or replaced while closeout worked with it: nothing more is sent; "
                        "put it back, with all that lies beside it, before anything else is done with this ledger"
                    )
            return work(*args)


def what_failed(error: apsw.Error) -> str:
    """What SQLite met, and what to do about it: the rest of a sentence about the file."""
    if isinstance(error, apsw.CorruptError | apsw.NotADBError):
        return f"is damaged ({error}): copy it and what lies beside it, then `sqlite3 FILE .recover` saves what it can"
    if isinstance(error, apsw.FullError):
        return "has no room left on its disk: make room"
    if isinstance(error, apsw.IOError):
        return f"cannot be read or written ({error}): look at the disk and the system's log"
    return f"failed: {error}"


def _identity(place: str) -> tuple[int, int] | None:
    try:
        found = os.stat(place)  # before each piece of work: a Path costs three times as much
    except OSError:
        return None
    return found.st_dev, found.st_ino


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
