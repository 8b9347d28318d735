"""Rates, shares and durations as people write them."""

import re

_UNIT_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
_RATE_SECONDS = {
    "s": 1.0,
    "sec": 1.0,
    "second": 1.0,
    "m": 60.0,
    "min": 60.0,
    "minute": 60.0,
    "h": 3600.0,
    "hour": 3600.0,
}
_RATE = re.compile(r"(\d+(?:\.\d+)?)\s*/\s*([a-z]+)", re.I)
_DURATION_PART = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|min|s|m|h|d)", re.I)


def parse_rate(text: str) -> float:
    """Requests per second of ``40/s``, ``6000/min`` or ``100/h``. Raises ValueError."""
    match = _RATE.fullmatch(text.strip())
    if match is None or match[2].lower() not in _RATE_SECONDS:
        raise ValueError(f"invalid rate {text!r}: use e.g. 40/s or 6000/min")
    rate = float(match[1]) / _RATE_SECONDS[match[2].lower()]
    if rate <= 0:
        raise ValueError(f"{text!r}: a rate must be above zero")
    return rate


def parse_share(text: str) -> float:
    """The fraction (0 to 1] of ``50%``. Raises ValueError."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*%", text.strip())
    share = float(match[1]) / 100 if match else 0.0
    if not 0 < share <= 1:
        raise ValueError(f"invalid share {text!r}: use e.g. 50%, above 0% and up to 100%")
    return share


def parse_duration(text: str) -> float:
    """Seconds of ``90s``, ``15m``, ``1h30m`` or ``500ms``. Raises ValueError."""
    stripped = text.strip()
    parts = list(_DURATION_PART.finditer(stripped))
    if not parts or "".join(part[0] for part in parts) != stripped:
        raise ValueError(f"invalid duration {text!r}: use e.g. 30s, 15m or 1h30m")
    return sum(float(part[1]) * _UNIT_SECONDS[part[2].lower()] for part in parts)


def format_duration(seconds: float) -> str:
    """A duration for people: ``4.2 s``, ``3 min 20 s``, ``2 h 5 min``."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def format_rate(rate: float) -> str:
    """A rate for people: ``50/s``, ``0.5/s``, ``1,500/s``."""
    return f"{rate:,.0f}/s" if rate >= 100 else f"{rate:.3g}/s"


def format_share(share: float) -> str:
    """A fraction for people: ``50%``, ``6.1%``, ``150%``."""
    percent = share * 100
    return f"{percent:,.0f}%" if percent >= 100 else f"{percent:.3g}%"


def counted(number: int, noun: str) -> str:
    """``1 row``, ``2,000 rows``; of nouns that take an s."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
