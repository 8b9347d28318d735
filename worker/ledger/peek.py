"""A glance at a ledger that may not be there: for completion, which must be quick, change nothing and never fail."""

from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import apsw

from closeout.worker.ledger.sqlite.migrate import APPLICATION_ID

_MOST = 100
_QUEUES = {"messages", "intake_queues", "intake_sessions"}
_PATIENCE_MS = 50
_NEWEST = "SELECT name, coalesce(nullif(job, ''), source), state FROM runs ORDER BY id DESC LIMIT"


@dataclass(frozen=True, slots=True)
class RunBrief:
    """What is told of a run beside its name."""

    name: str
    what: str
    state: str


def glance(address: str) -> list[RunBrief]:
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
            return [RunBrief(str(name), str(what), str(state)) for name, what, state in found]
    except (apsw.Error, OSError, ValueError):
        return []


def sources_at(path: Path) -> list[str]:
    """Where the sources of a ledger's runs are; none where there is no ledger."""
    try:
        if not path.is_file():
            return []
        with closing(apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)) as connection:
            connection.set_busy_timeout(_PATIENCE_MS)
            found = connection.execute("SELECT DISTINCT location FROM runs WHERE location IS NOT NULL")
            return [str(location) for (location,) in found]
    except (apsw.Error, OSError, ValueError):
        return []


def runs_alone(path: Path) -> list[tuple[str | None, str]] | None:
    """Location and options of each run of a ledger, of any version, that holds nothing else: no queue.

    None for any other file, and for one that cannot be read now.
    """
    try:
        with closing(apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)) as connection:
            connection.set_busy_timeout(_PATIENCE_MS)
            if connection.pragma("application_id") != APPLICATION_ID:
                return None
            tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_schema")}
            if any(connection.execute(f"SELECT count(*) FROM {each}").get for each in tables & _QUEUES):  # noqa: S608  # constants
                return None
            found = connection.execute("SELECT location, options FROM runs")
            return [(location and str(location), str(options)) for location, options in found]
    except (apsw.Error, OSError, ValueError):
        return None


def _glance_at_postgres(address: str) -> list[RunBrief]:
    try:
        from closeout.worker.ledger.postgres.peek import glance_at  # noqa: PLC0415  # an extra, and slow to load
    except ImportError:
        return []
    found = glance_at(address, f"{_NEWEST} {_MOST}")
    return [RunBrief(str(name), str(what), str(state)) for name, what, state in found]
