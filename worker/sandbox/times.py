"""Instants inside the sandbox: whole microseconds since the epoch, UTC, and their two spellings."""

from datetime import UTC, datetime, timedelta
from email.utils import formatdate

_EPOCH = datetime(1970, 1, 1)  # naive on purpose: isoformat() then leaves room for the Z
_AWARE_EPOCH = _EPOCH.replace(tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def to_micros(moment: datetime) -> int:
    """Give the microseconds of an instant; one without a zone is taken as UTC."""
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return (moment - _AWARE_EPOCH) // _MICROSECOND


def to_datetime(micros: int) -> datetime:
    """Give the aware UTC datetime of an instant."""
    return _AWARE_EPOCH + timedelta(microseconds=micros)


def iso(micros: int) -> str:
    """Spell an instant as the API does in JSON: ISO 8601 with a Z, microseconds where there are any."""
    return (_EPOCH + timedelta(microseconds=micros)).isoformat() + "Z"


def http_date(seconds: float) -> str:
    """Spell an instant (seconds since the epoch) as an HTTP date; the part of a second is dropped."""
    return formatdate(int(seconds), usegmt=True)


def parse_iso(text: str) -> int:
    """Read an ISO 8601 date or date-time. Raises ValueError for anything else."""
    try:
        return to_micros(datetime.fromisoformat(text))
    except OverflowError as error:
        raise ValueError(str(error)) from error
