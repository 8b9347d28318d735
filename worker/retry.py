"""When to try again, and when to give up: decisions, no I/O."""

import random
from dataclasses import dataclass

from closeout.worker.models import Claim, Millis

BACKOFF_BASE = 0.5
BACKOFF_CAP = 60.0
_LONGEST_UNTOLD_WAIT = 16.0  # a window of a minute is up again soon after it has opened
_LONGEST_TOLD_WAIT = 24 * 3600.0


def backoff(failures: int, rng: random.Random) -> float:
    """Seconds to wait after the given number of failures (1 and up): full jitter under a doubling ceiling.

    Full jitter spreads clients that failed together over the whole interval
    (Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015).
    """
    ceiling = min(BACKOFF_CAP, BACKOFF_BASE * 2.0 ** min(failures - 1, 16))
    return rng.uniform(0, ceiling)


def throttle_wait(told: float | None, streak: int, draw: float) -> float:
    """Seconds for which all requests wait after a 429.

    ``told`` is what the API asked for, already relative to now; a negative, zero or absurd value is as good as none.
    ``streak`` counts the waits in a row, this one included; untold waits double from one second to 16, and
    ``draw``, from [0, 1), says where between the half and the whole of that.
    """
    if told is not None and 0 < told <= _LONGEST_TOLD_WAIT:
        return told
    ceiling = min(_LONGEST_UNTOLD_WAIT, 2.0 ** min(streak - 1, 6))
    return ceiling * (1 + draw) / 2


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds on the attempts for one item: their number, and the milliseconds since the first.

    ``since`` is when this process began to work: time in which nobody tried is not held against an item.
    """

    max_attempts: int
    give_up_after: Millis
    since: Millis

    def exhausted(self, claim: Claim, attempts: int, now: Millis, clear: Millis = 0) -> bool:
        """Whether to give the item up; ``clear`` is when the API's last outage ended, 0 if there was none."""
        first = max(claim.first_attempt_at or now, self.since, clear)
        return attempts >= self.max_attempts or now - first >= self.give_up_after
