"""What a person is told before a run: how long it will take, and at which share of the limit."""

from worker.admission import OpenedSource
from worker.clock import now_ms
from worker.forecast import Allowance, estimate_sessions, forecast, in_words
from worker.settings import Settings

_COMPRESSED = (".gz", ".zst")
_CHUNK = 1 << 20


def forecast_of(opened: OpenedSource, settings: Settings) -> str | None:
    """The forecast in one line, from the beginning of the source; None where its size cannot be guessed. Blocking."""
    rows = len({row.session_id for row in opened.beginning if row.session_id is not None})
    sessions = rows if opened.complete else _estimated(opened, rows)
    if not sessions:
        return None
    estimated = not opened.complete
    if settings.limit is not None and settings.limit < sessions:
        sessions, estimated = settings.limit, False
    allowance = Allowance(settings.allowed_rate, settings.org_limit, settings.quiet_windows, settings.zone)
    return in_words(forecast(sessions, allowance, now_ms(), settles=settings.settle, estimated=estimated), allowance)


def _estimated(opened: OpenedSource, rows: int) -> int | None:
    """As many more rows as the rest of the file is longer than its beginning."""
    if opened.location is None or opened.location.lower().endswith(_COMPRESSED):
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
