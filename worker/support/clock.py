"""Instants: reading and writing them, and how far the server's clock is from ours."""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import lru_cache

Millis = int
# Due at no time: given up until somebody asks again. A pending item that is due so long after an instant is *parked*:
# not to be closed before it has been looked up, which is to be done from that instant on.
NEVER: Millis = 2**62
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)  # whole numbers throughout: a float of seconds may fall one millisecond short
_LAST_INSTANT: Millis = 253_402_300_799_999  # the end of the year 9999
_READING: Millis = 2  # by how much an instant that was cut and a duration that was rounded may fall short together
# The machines that write the Date header and ``closed_at`` are different ones: 0.3 s apart where that was measured,
# and a few seconds where one is badly set. That somebody else closes a session so shortly before us is far rarer.
_APART: Millis = 5_000
# Without a Date header only our own clock is left, which may be hours off, or set to another zone's time.
_ASTRAY: Millis = 26 * 3_600_000
_ELAPSED: int | None = getattr(time, "CLOCK_BOOTTIME", getattr(time, "CLOCK_MONOTONIC", None))


def now_ms() -> Millis:
    """This machine's clock."""
    return time.time_ns() // 1_000_000


def steady_clock(at: Millis | None = None) -> Callable[[], Millis]:
    """A clock that says ``at`` now (None: the time of this machine), and goes on however that machine's is set later.

    It counts the time in which the machine sleeps, too, where the system can tell.
    """
    began, at = _elapsed(), now_ms() if at is None else at
    return lambda: at + round(1000 * (_elapsed() - began))


def _elapsed() -> float:
    return time.clock_gettime(_ELAPSED) if _ELAPSED is not None else time.monotonic()


def parse_instant(text: object) -> Millis | None:
    """An ISO 8601 date-time as the API writes it; without an offset it is UTC. None if it is none."""
    if not isinstance(text, str):
        return None
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        return (moment - _EPOCH) // _MILLISECOND
    except (ValueError, OverflowError):
        return None


def format_instant(at: Millis) -> str:
    """ISO 8601 in UTC, to the millisecond; what lies beyond the calendar becomes its last millisecond."""
    moment = _EPOCH + min(at, _LAST_INSTANT) * _MILLISECOND
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{at % 1000:03d}Z"


@lru_cache(maxsize=8)  # the Date header changes once a second
def parse_http_date(text: str | None) -> Millis | None:
    """The instant of a Date or Retry-After header (RFC 9110, whole seconds). None if it is none."""
    if not text:
        return None
    try:
        moment = parsedate_to_datetime(text)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        return (moment - _EPOCH) // _MILLISECOND
    except (ValueError, OverflowError):
        return None


def surely_before(theirs: Millis, earliest: Millis, *, same_clock: bool = True) -> bool:
    """Whether an instant that the API wrote lies before one that was noted here, and can have been no earlier.

    ``same_clock``: that was set down as the API's clock would tell it, as far as its Date header does.
    """
    return theirs < earliest - (_APART if same_clock else _ASTRAY)


class ServerClock:
    """Bounds on (server's clock - ours), narrowed by every answer's Date header.

    A Date of D means that the server's clock stood in [D, D + 1 s) at some moment between our sending and our
    receiving. Each answer gives such an interval; their intersection is soon a few milliseconds wide.
    """

    def __init__(self) -> None:
        self._low: Millis | None = None
        self._high: Millis | None = None

    def observe(self, date: Millis, sent_at: Millis, received_at: Millis) -> None:
        """Take in one answer. An interval that contradicts the earlier ones (a clock was set) replaces them."""
        low, high = date - received_at - _READING, date + 1000 - sent_at
        if self._low is None or self._high is None or low > self._high or high < self._low:
            self._low, self._high = low, high
        else:
            self._low, self._high = max(self._low, low), min(self._high, high)

    @property
    def known(self) -> bool:
        """Whether any answer has told the time."""
        return self._low is not None

    def surely_before(self, theirs: Millis, ours: Millis) -> bool:
        """Whether an instant that the API wrote lies before one of ours, however far apart the clocks may be."""
        return surely_before(theirs, self.earliest(ours), same_clock=self.known)

    def earliest(self, ours: Millis) -> Millis:
        """The earliest instant on the server's clock that our ``ours`` may have been."""
        return ours + (self._low or 0)

    def noted(self, ours: Millis) -> Millis | None:
        """The same as ``earliest``, to be kept for whoever reads it with another clock; None where nothing is known."""
        return None if self._low is None else self.earliest(ours)

    def latest(self, ours: Millis) -> Millis:
        """The latest instant on the server's clock that our ``ours`` may have been."""
        return ours + (self._high or 0)
