"""The rate that a run's own settings allow, by the clock."""

from collections.abc import Callable

from closeout.worker.models import Millis
from closeout.worker.quiet_hours import next_change, share_at
from closeout.worker.settings import Settings


class Ceiling:
    """Requests per second that may be sent now; 0 in quiet hours that allow nothing."""

    def __init__(self, settings: Settings, now: Callable[[], Millis]) -> None:
        self._settings = settings
        self._now = now
        self._windows, self._zone = settings.quiet_windows, settings.zone
        self._rate = settings.allowed_rate
        self._until: Millis = 0

    def __call__(self) -> float:
        if not self._windows:
            return self._rate
        now = self._now()
        if now >= self._until:
            share = share_at(self._windows, self._zone, now, 1.0)
            self._rate = min(self._settings.allowed_rate, self._settings.org_limit * share)
            self._until = next_change(self._windows, self._zone, now)
        return self._rate
