"""A glance at a ledger that may not be there: for completion, which must be quick, change nothing and never fail."""

from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import apsw

_MOST = 100
_PATIENCE_MS = 50
_NEWEST = "SELECT name, coalesce(nullif(job, ''), source), state FROM runs ORDER BY id DESC LIMIT"


@dataclass(frozen=True, slots=True)
class RunSeen:
    """What is told of a run beside its name."""

    name: str
    what: str
    state: str


def glance(address: str) -> list[RunSeen]:
    """The newest runs of the ledger there; none where there is none, or no time to look."""
    if "://" in address:
        return _glance_at_postgres(address)
    path = Path(address)
    try:
        if not path.is_file():
            return []
        # Not read-only: that would leave files beside the ledger. Nothing is created, nothing is brought up to date.
        with closing(apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)) as connection:
            connection.set_busy_timeout(_PATIENCE_MS)
            found = connection.execute(f"{_NEWEST} {_MOST}")
            return [RunSeen(str(name), str(what), str(state)) for name, what, state in found]
    except (apsw.Error, OSError, ValueError):
        return []


def _glance_at_postgres(address: str) -> list[RunSeen]:
    try:
        from worker.ledger.postgres.glance import glance_at  # noqa: PLC0415  # an extra, and slow to load
    except ImportError:
        return []
    found = glance_at(address, f"{_NEWEST} {_MOST}")
    return [RunSeen(str(name), str(what), str(state)) for name, what, state in found]
