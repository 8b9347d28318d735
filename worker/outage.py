"""When failures are an outage of the API and not a trouble of single sessions. No I/O, no clock."""

from closeout.worker.models import Millis

_FAILURES = 10  # in a row: with other sessions answered in between, a few that always fail do not get there
_UNCONNECTED = 3  # in a row: a host that cannot be reached at all needs less proof


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
