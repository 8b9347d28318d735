"""The rate that settings and the time of day allow, now and from an instant on."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import tzinfo

from closeout.worker.config.quiet_hours import QuietWindow, next_change, share_at
from closeout.worker.config.settings import Settings
from closeout.worker.pace.law import Terms
from closeout.worker.support.clock import Millis


def terms_of(settings: Settings) -> Terms:
    """What a run with these settings goes by, out of its quiet hours."""
    tolerated = settings.tolerate if settings.pace == "fair" else 0.0
    return Terms(settings.allowed_rate, settings.org_limit, settings.min_rate, tolerated)


class Ceiling:
    """Requests per second that may be sent now; 0 in quiet hours that allow nothing."""

    def __init__(self, settings: Settings, now: Callable[[], Millis]) -> None:
        self._settings = settings
        self._now = now
        self._windows, self._zone = settings.quiet_windows, settings.zone
        self._rate = settings.allowed_rate
        self._since, self._until = 0, 0  # for when the rate was reckoned

    def __call__(self) -> float:
        if not self._windows:
            return self._rate
        now = self._now()
        if not self._since <= now < self._until:  # before it: the clock was set
            self._since = now
            share = share_at(self._windows, self._zone, now, 1.0)
            self._rate = min(self._settings.allowed_rate, self._settings.org_limit * share)
            self._until = next_change(self._windows, self._zone, now)
        return self._rate


@dataclass(frozen=True, slots=True)
class Allowance:
    """How fast requests may leave, in requests per second: ``rate`` of the organisation's ``org_limit``.

    In the quiet hours it is less; a ``zone`` of None is this machine's.
    """

    rate: float
    org_limit: float
    windows: Sequence[QuietWindow] = ()
    zone: tzinfo | None = None
