"""The pace of all requests of this process: spaced evenly, and held while the API asks to wait."""

import random
import time
from collections.abc import Callable

import anyio
from aiolimiter import AsyncLimiter

from worker.retry import throttle_wait

_TIMER_SLACK = 0.003  # seconds by which a timer of the event loop may be late


def bucket(rate: float) -> tuple[float, float]:
    """Capacity and seconds to drain it, such that no second sees more than ``rate + 1`` requests.

    A leaky bucket lets capacity + (drain rate x 1 s) through in any second. A capacity of just under two makes good for
    timers that are late by less than one interval; at high rates it takes more, and the drain rate gives way for it.
    """
    capacity = max(1.9, 1 + _TIMER_SLACK * rate)
    drain = rate + 1.9 - capacity
    return capacity, capacity / drain


class Pace:
    """Hands out permits, one a request. ``rate`` is in requests per second.

    A budget shared by several processes would take the place of this class: its users know ``permit`` and what they
    tell it of answers alone. ``is_unreachable`` is true from a connection that could not be made to the next answer.
    """

    def __init__(self, rate: float, rng: random.Random, clock: Callable[[], float] = time.monotonic) -> None:
        self.rate = rate
        self._limiter = AsyncLimiter(*bucket(rate))
        self._rng = rng
        self._clock = clock
        self._held_until = 0.0
        self._streak = 0
        self.throttled_count = 0
        self.waited = 0.0
        self.is_unreachable = False

    @property
    def held_for(self) -> float:
        """Seconds until requests may leave again; 0 when they may now."""
        return max(0.0, self._held_until - self._clock())

    async def permit(self) -> None:
        """Return when one request may leave."""
        while True:
            await self._limiter.acquire()
            held = self.held_for
            if held <= 0:
                return
            await anyio.sleep(held)

    def throttled(self, told: float | None) -> None:
        """Take in a 429: everything waits."""
        self.throttled_count += 1
        self.is_unreachable = False
        self._hold(told)

    def unreachable(self) -> None:
        """Take in a connection that could not be made: everything waits, longer each time."""
        self.is_unreachable = True
        self._hold(None)

    def _hold(self, told: float | None) -> None:
        """What was sent before a wait began does not lengthen it, unless it is told to."""
        if self.held_for > 0 and told is None:
            return
        if self.held_for <= 0:
            self._streak += 1
        until = self._clock() + throttle_wait(told, max(self._streak, 1), self._rng)
        if until > self._held_until:
            self.waited += until - max(self._held_until, self._clock())
            self._held_until = until

    def answered(self) -> None:
        """Take in any other answer: the API is there and not throttling now."""
        self.is_unreachable = False
        if self.held_for <= 0:
            self._streak = 0
