"""One process per run: a lock that the system drops when its holder dies, however it dies."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from worker.errors import LedgerError, RunBusyError
from worker.models import Run


@contextmanager
def run_lock(ledger: Path, run: Run) -> Iterator[None]:
    """Hold the run among all processes on this ledger. Raises RunBusyError if another one holds it.

    The lock is one byte, at the run's number, of the file ``LEDGER.lock`` beside the ledger; the file itself stays.
    """
    path = ledger.with_name(ledger.name + ".lock")
    try:
        handle = os.open(path, os.O_CREAT | os.O_RDWR, 0o600)
    except OSError as error:
        raise LedgerError(f"cannot create the lock file {path}: {error.strerror}") from error
    try:
        fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, run.id)
        yield
    except BlockingIOError:
        raise RunBusyError(f"another process works on run {run.name}: wait for it, or stop it first") from None
    finally:
        os.close(handle)
