"""Whether the API answers, and whether it answers as fast as when it was calm. No I/O."""

from collections import deque

from closeout.worker.support.clock import Millis

_FAILURES = 10  # in a row: with other sessions answered in between, a few that always fail do not get there
_UNCONNECTED = 3  # in a row: a host that cannot be reached at all needs less proof
_WINDOW = 100  # answers: enough for a 95th percentile, few enough to notice soon
_TOO_MANY = 5  # of the window: then its 95th percentile lies above the bar
_TIMES = 3.0  # over the calm value
_CALM_AT_LEAST = 50.0  # milliseconds: below, our own machine's moods are larger than the API's
_FORGETS = 1.02  # by which the calm value may rise from one window to the next: an API may be slower for good


class Streak:
    """The failures in a row, over all sessions. ``since`` is when the first of them was sent.

    Many only make an outage likely; ``confirmed`` is that a probe has failed, too.
    """

    def __init__(self) -> None:
        self.since: Millis | None = None
        self.confirmed = False
        self._count = 0
        self._unconnected = 0

    def failed(self, at: Millis, *, sent: bool) -> bool:
        """Take in a failure of a request sent ``at``; whether it is the one that makes an outage likely."""
        self.since = at if self.since is None else min(self.since, at)
        self._count += 1
        self._unconnected = 0 if sent else self._unconnected + 1
        if self._count % _FAILURES and self._unconnected < _UNCONNECTED:
            return False
        self._unconnected = 0
        return True

    def broken(self) -> None:
        """Take in a sign of life."""
        self.since, self.confirmed = None, False
        self._count = self._unconnected = 0


class Latency:
    """Watches the milliseconds of one kind of request.

    The calm value is the lowest 95th percentile of any window so far, slowly forgotten; the API is slow while the 95th
    percentile of the last hundred answers is over three times that.
    """

    def __init__(self) -> None:
        self._window: deque[float] = deque(maxlen=_WINDOW)
        self._above = 0
        self._since = 0
        self.calm: float | None = None

    @property
    def bar(self) -> float:
        """Milliseconds above which an answer counts as slow."""
        return _TIMES * max(self.calm or 0.0, _CALM_AT_LEAST)

    def add(self, ms: float) -> bool:
        """Take in one answer; whether the API is slow now. After a yes, a new window has to fill first."""
        if len(self._window) == _WINDOW:
            self._above -= self._window[0] > self.bar
        self._window.append(ms)
        self._above += ms > self.bar
        self._since += 1
        if self._since >= _WINDOW:
            self._learn()
        if self.calm is None or len(self._window) < _WINDOW or self._above <= _TOO_MANY:
            return False
        self._restart()
        return True

    def _learn(self) -> None:
        """Once a window: the percentile costs a sort."""
        self._since = 0
        p95 = sorted(self._window)[_WINDOW - _TOO_MANY - 1]
        if self.calm is None or p95 < self.calm:
            self.calm = p95
        else:
            self.calm = min(p95, self.calm * _FORGETS)
        self._above = sum(ms > self.bar for ms in self._window)

    def _restart(self) -> None:
        self._window.clear()
        self._above = self._since = 0
