"""Whose turn it is among the processes of this machine: a lock that the system drops when its holder dies."""

import fcntl
import hashlib
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio

from closeout.worker.errors import LedgerError

_ASK_AGAIN = 1.0  # seconds; a turn lasts minutes


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
        return os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise LedgerError(f"cannot create the lock file {path}: {error.strerror}") from error


def _taken(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
