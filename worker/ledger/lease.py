"""How long a worker may go on sending without a word from the ledger. No I/O but the clock.

A worker that is not heard of for longer than its lease counts as dead, and others look up what it had claimed. So it
sends only what is surely over by then: measured here, from before its last heartbeat was sent, its lease ends sooner
than on the server, which begins to count when that arrives.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

from closeout.worker.support.errors import ConfigurationError
from closeout.worker.support.units import format_duration

MARGIN = 0.5  # seconds: for clocks that do not run alike, and for what a request does after its time limit
_LEAST_SLACK = 0.5  # seconds in which heartbeats must come through
_LONGEST_BEAT = 1.0  # seconds between heartbeats, at most: they also tell of the run's end, and of a new lead
_DEFAULT = 60.0


def steady() -> float:
    """Seconds on a clock that nobody sets, and that goes on while the machine sleeps, where there is one."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


@dataclass(frozen=True, slots=True)
class Terms:
    """``lease``: seconds after which a worker counts as dead. ``timeout``: those that one request may take.

    ``patience``: those for which a ledger that cannot be reached is borne.
    """

    lease: float
    timeout: float
    patience: float

    @property
    def slack(self) -> float:
        """Seconds for which a worker may go on sending after a heartbeat."""
        return self.lease - self.timeout - MARGIN

    @property
    def beat(self) -> float:
        """Seconds between heartbeats."""
        return min(_LONGEST_BEAT, self.slack / 3)


def terms_of(lease: float | None, timeout: float, patience: float) -> Terms:
    """The terms that were asked for; without a lease one that fits. ConfigurationError for one that is too short."""
    terms = Terms(lease if lease is not None else max(_DEFAULT, 2 * timeout), timeout, patience)
    if terms.slack < _LEAST_SLACK:
        least = format_duration(timeout + MARGIN + _LEAST_SLACK)
        raise ConfigurationError(
            f"--lease {format_duration(terms.lease)}: with --timeout {format_duration(timeout)} it must be {least} at "
            "least, or what is in flight would not be over when it ends"
        )
    return terms


class Lease:
    """One worker's lease, as far as it is known here."""

    def __init__(self, terms: Terms, clock: Callable[[], float] = steady) -> None:
        self._terms = terms
        self._clock = clock
        self._until = -math.inf

    def renewed(self, sent_at: float) -> None:
        """A heartbeat that was sent then has been taken in."""
        self._until = max(self._until, sent_at + self._terms.lease)

    def lost(self) -> None:
        self._until = -math.inf

    @property
    def covers(self) -> bool:
        """Whether a request that leaves now is surely over when the lease ends."""
        return self._clock() + self._terms.timeout + MARGIN <= self._until
