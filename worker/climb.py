"""How the rate falls when the API is at its limit, and how it climbs back: pure functions."""

_CUT = 0.7
_SLOWEST = 0.1  # requests/s that are tried at any rate: one in ten seconds finds out that there is room again
_SECONDS_TO_PEAK = 40.0
_BELOW_PEAK = 0.97  # the limit lies below the rate at which it was met: staying just under that meets it less often


def cut(rate: float) -> float:
    """The rate after a 429."""
    return max(_SLOWEST, rate * _CUT)


def climbed(low: float, peak: float, calm: float) -> float:
    """The rate ``calm`` seconds after it was cut from ``peak`` to ``low``: CUBIC (RFC 9438) in time.

    It nears the peak fast and stays just below it for long, as that is where the limit was met; then it climbs ever
    faster, in case the limit has gone. Shape and constants were chosen by simulation: docs/decisions/pace.md.
    """
    level = max(low, peak * _BELOW_PEAK)
    return level + (level - low) * ((calm - _SECONDS_TO_PEAK) / _SECONDS_TO_PEAK) ** 3
