"""Quiet hours: windows of local time in which a run sends less, or nothing.

A window is a matter of the wall clock: ``02:30-03:00`` does not happen on the night on which the clock skips that time,
and happens twice when it is set back. Throughout, a ``zone`` of None is this machine's.
"""

import re
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo, available_timezones

from closeout.worker.support.clock import NEVER, Millis
from closeout.worker.support.suggestions import did_you_mean

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MINUTE: Millis = 60_000
_DAY: Millis = 24 * 60 * _MINUTE
_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_EVERY_DAY = frozenset(range(7))
_WINDOW = re.compile(
    r"(?:([a-z]{3})(?:\s*-\s*([a-z]{3}))?\s+)?(\d{1,2}):(\d{2})\s*-\s*(\d{1,2}):(\d{2})\s*@\s*(\d+(?:\.\d+)?)\s*%",
    re.ASCII | re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class QuietWindow:
    """From ``start`` to before ``end``, in milliseconds of the local day; over midnight where end is not after start.

    ``share`` (0 to 1) of the organisation's limit may be used in it. ``days`` (Monday is 0) are those on which it
    begins.
    """

    start: Millis
    end: Millis
    share: float
    days: frozenset[int] = _EVERY_DAY

    def is_open(self, day: int, time: Millis) -> bool:
        if self.start < self.end:
            return day in self.days and self.start <= time < self.end
        return (day in self.days and time >= self.start) or ((day - 1) % 7 in self.days and time < self.end)


def parse_quiet_hours(text: str) -> tuple[QuietWindow, ...]:
    """The windows of ``08:00-20:00@30%`` or ``mon-fri 08:00-20:00@30%, 22:00-02:00@0%``. Raises ValueError."""
    return tuple(_window(part.strip()) for part in text.split(","))


def _window(text: str) -> QuietWindow:
    match = _WINDOW.fullmatch(text)
    if match is None:
        raise ValueError(f"invalid quiet hours {text!r}: use e.g. 08:00-20:00@30% or mon-fri 08:00-20:00@30%")
    start, end, share = _time(match[3], match[4]), _time(match[5], match[6]), float(match[7]) / 100
    if share > 1:
        raise ValueError(f"{text!r}: a share of the organisation's limit is 100% at most")
    if start in (end, _DAY):
        raise ValueError(f"{text!r}: which hours are meant? A whole day is written 00:00-24:00")
    return QuietWindow(start, end, share, _days(match[1], match[2]))


def _time(hours: str, minutes: str) -> Millis:
    at = (int(hours) * 60 + int(minutes)) * _MINUTE
    if int(minutes) > 59 or at > _DAY:
        raise ValueError(f"invalid time of day {hours}:{minutes}")
    return at


def _days(first: str | None, last: str | None) -> frozenset[int]:
    """``fri-mon`` goes over the end of the week."""
    if first is None:
        return _EVERY_DAY
    for name in (first, last or first):
        if name.lower() not in _DAYS:
            raise ValueError(f"invalid day {name!r}: use one of {', '.join(_DAYS)}")
    begin = _DAYS.index(first.lower())
    count = (_DAYS.index((last or first).lower()) - begin) % 7
    return frozenset((begin + each) % 7 for each in range(count + 1))


def parse_zone(name: str) -> ZoneInfo:
    """The zone of an IANA name such as ``Europe/Berlin``. Raises ValueError."""
    try:
        return ZoneInfo(name)
    except (LookupError, ValueError, OSError):  # unknown; not a relative path; the name of a folder
        hint = did_you_mean(name, available_timezones(), "; use a name such as Europe/Berlin")
        raise ValueError(f"unknown time zone {name!r}{hint}") from None


def local_time(zone: tzinfo | None, instant: Millis) -> datetime:
    """What the clock on the wall shows at that instant, with its offset."""
    return (_EPOCH + timedelta(milliseconds=instant)).astimezone(zone)


def share_at(windows: Sequence[QuietWindow], zone: tzinfo | None, instant: Millis, share: float) -> float:
    """The share of the organisation's limit to use at that instant: the lowest of ``share`` and the open windows'."""
    return min([share, *(window.share for window in _open(windows, zone, instant))])


def next_change(windows: Sequence[QuietWindow], zone: tzinfo | None, instant: Millis) -> Millis:
    """The first instant after this one at which other windows are open than now; NEVER if there is none.

    The share changes at no other instant.
    """
    now = _open(windows, zone, instant)
    at, end = instant, instant + 15 * _DAY  # a weekly window that a change of the clock skips is back a week later
    while windows and at < end:
        at = _next_edge(windows, zone, at)
        if _open(windows, zone, at) != now:
            return at
    return NEVER


def _open(windows: Sequence[QuietWindow], zone: tzinfo | None, instant: Millis) -> list[QuietWindow]:
    local = local_time(zone, instant)
    day, time = local.weekday(), _time_of_day(local)
    return [window for window in windows if window.is_open(day, time)]


def _time_of_day(local: datetime) -> Millis:
    return ((local.hour * 60 + local.minute) * 60 + local.second) * 1000 + local.microsecond // 1000


def _next_edge(windows: Sequence[QuietWindow], zone: tzinfo | None, at: Millis) -> Millis:
    """When the clock shows the start or end of a window next, or is set before that: then it may have passed one."""
    time = _time_of_day(local_time(zone, at))
    edges = {edge for window in windows for edge in (window.start, window.end)}
    edge = at + min((edge - time - 1) % _DAY + 1 for edge in edges)
    offset = local_time(zone, at).utcoffset()
    if local_time(zone, edge).utcoffset() == offset:  # no zone sets its clock forth and back within one day
        return edge
    return at + bisect_left(range(edge - at), True, key=lambda ms: local_time(zone, at + ms).utcoffset() != offset)
