"""What a person is told before a run: how long it will take, and at which share of the limit."""

from dataclasses import dataclass
from pathlib import Path

from closeout.worker.admission import OpenedSource
from closeout.worker.clock import now_ms
from closeout.worker.forecast import Allowance, estimate_sessions, forecast, in_words
from closeout.worker.ledger.protocol import Ledger
from closeout.worker.settings import Settings
from closeout.worker.units import counted

_COMPRESSED = (".gz", ".zst")
_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class Expected:
    """How many sessions a source holds, as far as its beginning tells; ``estimated``: it was not read to its end.

    ``listed`` are these before a cap has cut them.
    """

    sessions: int
    estimated: bool
    listed: int

    def __str__(self) -> str:
        return f"some {self.sessions:,} sessions" if self.estimated else counted(self.sessions, "session")


def expected_of(opened: OpenedSource, settings: Settings) -> Expected | None:
    """How many sessions are to be closed; None where that cannot be guessed. Blocking."""
    rows = len(_sessions_of(opened))
    complete = opened.complete and _is_file(opened)
    sessions = rows if complete else _estimated(opened, rows)
    if sessions is not None and settings.limit is not None and settings.limit < sessions:
        return Expected(settings.limit, estimated=False, listed=sessions)
    return Expected(sessions, not complete, sessions) if sessions is not None else None


async def forecast_from(
    opened: OpenedSource, expected: Expected | None, settings: Settings, ledger: Ledger
) -> str | None:
    """The forecast in one line; None where the size of the source cannot be guessed."""
    beginning = sorted(_sessions_of(opened))
    if expected is None or not expected.sessions or not beginning:
        return None
    share = await ledger.known_count(settings.host, beginning) / len(beginning)
    known = round(share * expected.listed)
    new = expected.listed - known if settings.limit is None else min(settings.limit, expected.listed - known)
    allowance = Allowance(settings.allowed_rate, settings.org_limit, settings.quiet_windows, settings.zone)
    estimated = expected.estimated
    told = forecast(new + known, allowance, now_ms(), settles=settings.settle, estimated=estimated, known=known)
    return in_words(told, allowance)


def _sessions_of(opened: OpenedSource) -> set[str]:
    return {row.session_id for row in opened.beginning if row.session_id is not None}


def _is_file(opened: OpenedSource) -> bool:
    """A named pipe has a location, too, and must not be opened again."""
    return opened.location is not None and Path(opened.location).is_file()


def _estimated(opened: OpenedSource, rows: int) -> int | None:
    """As many more rows as the rest of the file is longer than its beginning."""
    if opened.location is None or not _is_file(opened) or opened.location.lower().endswith(_COMPRESSED):
        return None
    lines = opened.beginning[-1].line
    with open(opened.location, "rb") as file:  # a location is text, as the ledger keeps it
        read = 0
        while lines > 0 and (chunk := file.read(_CHUNK)):
            found = chunk.count(b"\n")
            if found >= lines:
                read += len(chunk) - len(chunk.split(b"\n", lines)[-1])
            else:
                read += len(chunk)
            lines -= found
        size = file.seek(0, 2)
    return estimate_sessions(rows, read, size)
