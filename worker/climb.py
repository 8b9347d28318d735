"""How the rate falls when the API is at its limit, and how it climbs back: pure functions."""

_CUT = 0.7
_SLOWEST = 0.1  # requests/s that are tried at any rate: one in ten seconds finds out that there is room again
_RISES = 25.0  # seconds from the cut to just below the peak
_STAYS = 60.0  # seconds there: each look above the peak may cost a 429, and with it a wait of everyone
_GROWS = 40.0  # seconds after that in which the rate rises by as much as it was cut by
_BELOW_PEAK = 0.97  # the limit lies below the rate at which it was met: staying just under that meets it less often


def cut(rate: float) -> float:
    """The rate after a 429."""
    return max(_SLOWEST, rate * _CUT)


def climbed(low: float, peak: float, calm: float) -> float:
    """The rate ``calm`` seconds after it was cut from ``peak`` to ``low``: two cubics, as those of CUBIC (RFC 9438).

    It nears the peak fast and stays just below it for long, as that is where the limit was met; then it climbs ever
    faster, in case the limit has gone. Shape and constants were chosen by simulation: docs/decisions/pace.md.
    """
    level = max(low, peak * _BELOW_PEAK)
    missing = max(0.0, 1 - calm / _RISES)
    beyond = max(0.0, (calm - _RISES - _STAYS) / _GROWS)
    return level + (level - low) * (beyond**3 - missing**3)
