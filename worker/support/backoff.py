"""When to try again, and when to give up: decisions, no I/O."""

import random

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

    ``told`` is what the API asked for, already relative to now, of which a day is kept: whoever gives up sooner does so
    at once. One in the past, of nothing, or no number is as good as none.
    ``streak`` counts the waits in a row, this one included; untold waits double from one second to 16, and
    ``draw``, from [0, 1), says where between the half and the whole of that.
    """
    if told is not None and told > 0:
        return min(told, _LONGEST_TOLD_WAIT)
    ceiling = min(_LONGEST_UNTOLD_WAIT, 2.0 ** min(streak - 1, 6))
    return ceiling * (1 + draw) / 2
