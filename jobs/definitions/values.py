"""Values of a job's table, read with errors for the one who wrote them: ValueError, as pydantic wants it."""

from datetime import date, datetime

from closeout.worker.domain.session import LIVE_STATUSES, TERMINAL_STATUSES
from closeout.worker.policy.selection import Age
from closeout.worker.support.suggestions import did_you_mean
from closeout.worker.support.units import parse_duration

Moment = Age | datetime | date


def read_statuses(value: object) -> tuple[str, ...]:
    """Statuses that a session can be closed in. Raises ValueError."""
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        raise ValueError('invalid list of statuses: use e.g. ["active", "paused"]')
    for name in value:
        if name in TERMINAL_STATUSES:
            raise ValueError(f"a session that is {name} has ended; for those past their time write expired = true")
        if name not in LIVE_STATUSES:
            meant = did_you_mean(name, LIVE_STATUSES, f"; use one of {', '.join(sorted(LIVE_STATUSES))}")
            raise ValueError(f"unknown status {name!r}{meant}")
    return tuple(dict.fromkeys(value))


def read_span(value: object, most: str | None = None) -> float:
    """Seconds of a duration that is written as text, ``most`` at most. Raises ValueError."""
    if not isinstance(value, str):
        raise ValueError('invalid duration: use a text such as "30m" or "24h"')  # noqa: TRY004  # see above
    seconds = parse_duration(value)
    if most is not None and seconds > parse_duration(most):
        raise ValueError(f"it must be {most} at most")
    return seconds


def read_moment(value: object) -> Moment:
    """A date or date-time, or an age such as ``24h``. Raises ValueError."""
    if isinstance(value, date):  # a datetime is one, too
        return value
    if isinstance(value, str):
        for read in (date.fromisoformat, datetime.fromisoformat, lambda text: Age(round(parse_duration(text) * 1000))):
            try:
                return read(value)
            except ValueError:
                continue
    raise ValueError('this is neither an age such as "24h" nor a date such as 2026-01-31')


def read_table(value: object, form: str) -> object:
    """The value, if it is a table; ``form`` is what should be written. Raises ValueError."""
    if not isinstance(value, dict):
        raise ValueError(f"write {form}")  # noqa: TRY004  # see above
    return value
