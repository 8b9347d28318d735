"""Opening the file of a SQLite ledger: to work on it, or to read it alone."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import apsw

from closeout.worker.ledger.sqlite.connection import what_failed
from closeout.worker.ledger.sqlite.migrate import APPLICATION_ID, check_version, migrate
from closeout.worker.ledger.sqlite.own_files import refusal_of, stray_beside
from closeout.worker.ledger.statements import load_migrations
from closeout.worker.support.errors import LedgerError
from closeout.worker.support.suggestions import did_you_mean_file

BUSY_MS = 30_000
WRITER_CACHE_KIB = 32 * 1024  # the index over random ids lives in it
READER_CACHE_KIB = 2 * 1024
_PAUSE = 0.05  # seconds


def connect(path: Path, *, create: bool = False, cache_kib: int = WRITER_CACHE_KIB) -> apsw.Connection:
    """Open a ledger, made or migrated as needed. Raises LedgerError in one line."""
    _expect_reachable(path)
    if create and not path.exists():
        expect_no_stray(path)
        make_private_file(path)
    with _explained(path):
        return patiently(lambda: _prepare(path, cache_kib))


def patiently(opened: Callable[[], apsw.Connection]) -> apsw.Connection:
    """Open a file that others may be making at that moment: they refuse each other at once, whatever the timeout."""
    ends = time.monotonic() + BUSY_MS / 1000
    while True:
        try:
            return opened()
        except apsw.BusyError:
            if time.monotonic() >= ends:
                raise
        time.sleep(_PAUSE)


def connect_reading(path: Path) -> apsw.Connection:
    """Open a ledger for reading alone. Raises LedgerError in one line, also for one of an older schema."""
    _expect_reachable(path)
    with _explained(path):
        connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
        connection.set_busy_timeout(BUSY_MS)
        connection.pragma("cache_size", -READER_CACHE_KIB)
        check_version(connection, str(path), load_migrations(), may_be_older=False)
    return connection


def _expect_reachable(path: Path) -> None:
    """Raise LedgerError for a link that leads to itself, and for a name that can be none."""
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        raise LedgerError(f"cannot open the ledger {path}: {error.strerror}: name another file with --ledger") from None


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """What goes wrong while a ledger is opened, in one line."""
    if not path.exists():
        near = did_you_mean_file(path, ".db", ".sqlite", ".sqlite3")
        hint = near or ": name it with --ledger, or run `closeout close` first"
        raise LedgerError(f"there is no ledger at {path}{hint}")
    if path.is_dir():
        raise LedgerError(f"{path} is a folder: name a file with --ledger")
    if (refusal := refusal_of(path, APPLICATION_ID)) is not None:
        raise LedgerError(f"{path} {refusal}: name another file with --ledger")
    expect_no_stray(path)
    try:
        yield
    except apsw.NotADBError:
        raise LedgerError(f"{path} is not a SQLite database: name another file with --ledger") from None
    except apsw.CorruptError as error:
        raise LedgerError(f"the ledger {path} {what_failed(error)}") from error
    except apsw.Error as error:
        raise LedgerError(f"cannot open the ledger {path}: {error}") from error


def expect_no_stray(path: Path) -> None:
    """Raise LedgerError where something lies beside that SQLite would do away with."""
    if (stray := stray_beside(path)) is not None:
        raise LedgerError(
            f"{stray} exists, and SQLite would replace it: move it away unless it is part of a ledger at {path}, "
            "or name another file with --ledger"
        )


def close_to_others(path: Path) -> None:
    """Let only its owner read a file that was made before. Raises LedgerError where it is another user's."""
    if path.stat().st_mode & 0o077:
        try:
            path.chmod(0o600)
        except OSError as error:
            raise LedgerError(
                f"{path} can be read or written by others, and cannot be closed to them ({error.strerror}): "
                f"let its owner run `chmod 600`, or name another ledger with --ledger"
            ) from None


def make_private_file(path: Path) -> None:
    """An empty file that only its owner may read. Raises LedgerError."""
    try:
        os.close(os.open(path, os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW, 0o600))
    except OSError as error:
        raise LedgerError(f"cannot create the ledger {path}: {error.strerror}") from error


def _prepare(path: Path, cache_kib: int) -> apsw.Connection:
    connection = apsw.Connection(str(path))
    connection.set_busy_timeout(BUSY_MS)
    migrations = load_migrations()
    check_version(connection, str(path), migrations)
    close_to_others(path)
    connection.pragma("journal_mode", "wal")
    connection.pragma("synchronous", "full")
    connection.pragma("cache_size", -cache_kib)
    migrate(connection, str(path), migrations)
    return connection
