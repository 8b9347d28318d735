"""Locks on a SQLite ledger that other processes see: one for each run or job, and turns."""

import fcntl
import hashlib
import os
import struct
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import anyio

from closeout.worker.domain.run import Run
from closeout.worker.support.errors import LedgerError, RunBusyError

# POSIX drops all of a process's locks on a file as soon as it closes any handle on that file. So there is one handle
# for each lock file, which stays open, and what this process holds is known here.
_handles: dict[Path, int] = {}
_held: set[tuple[Path, int]] = set()
_JOBS = 1 << 56  # where the jobs' bytes begin, far behind any run's
# The system's ``struct flock``, which has no wrapper: kind of lock, whence, start, length and process, in its order.
_FLOCK, _KIND_FIRST = ("@qqihh", False) if sys.platform == "darwin" else ("@hhqqi", True)
_ASK_AGAIN = 1.0  # seconds; a turn lasts minutes


@contextmanager
def run_lock(ledger: Path, run: Run) -> Iterator[None]:
    """Hold the run among all processes on this ledger. Raises RunBusyError if it is held, also by this process.

    The lock is one byte, at the run's number, of the file ``LEDGER.lock`` beside the ledger; the file itself stays.
    """
    with _byte_lock(ledger, run.id, f"another process works on run {run.name}: wait for it, or stop it first"):
        yield


@contextmanager
def job_lock(ledger: Path, job: str) -> Iterator[None]:
    """Hold a job among all processes on this ledger, whatever run of it they begin or go on with. Raises RunBusyError.

    One byte of the same file, at a place that the job's name gives.
    """
    digest = hashlib.blake2b(job.encode(), digest_size=6).digest()
    with _byte_lock(ledger, _JOBS + int.from_bytes(digest), f"job {job} is already running: wait for it, or stop it"):
        yield


def run_busy(ledger: Path, run: int) -> bool:
    """Whether a process holds the run of that number. To ask takes nothing: who wants it at that moment gets it."""
    path = _lock_file(ledger)
    return (path, run) in _held or _held_elsewhere(_handle(path), run)


def is_locked(ledger: Path) -> bool:
    """Whether any process works on any run of a ledger."""
    path = _lock_file(ledger)
    return path.exists() and _held_elsewhere(_handle(path), 0, 0)


def _held_elsewhere(handle: int, at: int, length: int = 1) -> bool:
    """Whether another process holds any of these bytes; a length of 0 is all from there on."""
    wanted, start = (fcntl.F_WRLCK, os.SEEK_SET), at
    asked = (*wanted, start, length, 0) if _KIND_FIRST else (start, length, 0, *wanted)
    told = struct.unpack(_FLOCK, fcntl.fcntl(handle, fcntl.F_GETLK, struct.pack(_FLOCK, *asked)))
    return bool(told[0 if _KIND_FIRST else 3] != fcntl.F_UNLCK)


def _lock_file(ledger: Path) -> Path:
    path = ledger.resolve()
    return path.with_name(path.name + ".lock")


@contextmanager
def _byte_lock(ledger: Path, at: int, busy: str) -> Iterator[None]:
    path = _lock_file(ledger)
    if (path, at) in _held:
        raise RunBusyError(busy)
    handle = _handle(path)
    try:
        fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, at)
    except (BlockingIOError, PermissionError):
        raise RunBusyError(busy) from None
    _held.add((path, at))
    try:
        yield
    finally:
        _held.discard((path, at))
        fcntl.lockf(handle, fcntl.LOCK_UN, 1, at)


def _handle(path: Path) -> int:
    if path not in _handles or not _is_open_on(_handles[path], path):
        try:
            _handles[path] = _opened(path)
        except OSError as error:
            raise LedgerError(f"cannot create the lock file {path}: {error.strerror}") from error
    return _handles[path]


def _opened(path: Path) -> int:
    """A lock file, which is no link, and closed to others, also where somebody has made it before."""
    handle = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    if os.fstat(handle).st_mode & 0o077:
        os.fchmod(handle, 0o600)
    return handle


def _is_open_on(handle: int, path: Path) -> bool:
    """Whether the handle is on the file that is there now, and not on one that was removed."""
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except OSError:
        return False


@asynccontextmanager
async def turn_lock(ledger: Path, organisation: str, stop: anyio.Event) -> AsyncIterator[bool]:
    """Hold the turn of one organisation on this ledger: see ``protocol.Ledger.turn``.

    Unlike the lock of a run it is of one handle, not of the process. The file, beside the ledger, stays.
    """
    handle = _open(ledger, organisation)
    try:
        held = _taken(handle)
        while not held and not stop.is_set():
            with anyio.move_on_after(_ASK_AGAIN):
                await stop.wait()
            held = _taken(handle)
        yield held and not stop.is_set()
    finally:
        os.close(handle)


def _open(ledger: Path, organisation: str) -> int:
    path = ledger.resolve()
    digest = hashlib.blake2b(organisation.encode(), digest_size=8).hexdigest()  # a name may hold what no file's may
    path = path.with_name(f"{path.name}.turn-{digest}.lock")
    try:
        return _opened(path)
    except OSError as error:
        raise LedgerError(f"cannot create the lock file {path}: {error.strerror}") from error


def _taken(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
