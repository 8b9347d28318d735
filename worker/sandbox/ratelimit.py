"""Three ways to keep an organisation to its rate. Pure: the caller brings the time, in seconds, never running back."""

import math
from collections import deque
from typing import Literal, Protocol

LimitKind = Literal["fixed", "sliding", "bucket"]


class RateLimiter(Protocol):
    """Decides on one request after the other."""

    def admit(self, now: float) -> float:
        """Return 0 and count the request, or the seconds (above 0) to wait; a refused request is not counted."""
        ...


class FixedWindow:
    """At most ``limit`` in each window; windows begin at whole multiples of ``period``."""

    def __init__(self, limit: int, period: float) -> None:
        self._limit = limit
        self._period = period
        self._window = -math.inf
        self._count = 0

    def admit(self, now: float) -> float:
        window = now // self._period
        if window != self._window:
            self._window = window
            self._count = 0
        if self._count < self._limit:
            self._count += 1
            return 0.0
        return max((window + 1) * self._period - now, 1e-9)


class SlidingWindow:
    """At most ``limit`` in any stretch of time as long as ``period``, its older end excluded."""

    def __init__(self, limit: int, period: float) -> None:
        self._limit = limit
        self._period = period
        self._admitted: deque[float] = deque()

    def admit(self, now: float) -> float:
        admitted = self._admitted
        while admitted and now - admitted[0] >= self._period:
            admitted.popleft()
        if len(admitted) < self._limit:
            admitted.append(now)
            return 0.0
        return max(self._period - (now - admitted[0]), 1e-9)


class TokenBucket:
    """At most ``burst`` at once, refilled evenly at ``limit`` per ``period``."""

    def __init__(self, limit: int, period: float, burst: int | None = None) -> None:
        self._rate = limit / period
        self._burst = float(burst if burst is not None else limit)
        self._tokens = self._burst
        self._filled_at = -math.inf

    def admit(self, now: float) -> float:
        if self._filled_at != -math.inf:
            refill = (now - self._filled_at) * self._rate
            self._tokens = min(self._burst, self._tokens + refill)
        self._filled_at = now
        if self._tokens >= 1:
            self._tokens -= 1
            return 0.0
        return (1 - self._tokens) / self._rate


def make_limiter(kind: LimitKind, limit: int, period: float, burst: int | None = None) -> RateLimiter:
    """Build the limiter of one organisation; ``burst`` concerns the bucket alone."""
    if kind == "fixed":
        return FixedWindow(limit, period)
    if kind == "sliding":
        return SlidingWindow(limit, period)
    return TokenBucket(limit, period, burst)
