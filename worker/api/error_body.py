"""What the API tells in an answer that is no success: a code, and how long to wait. Pure functions."""

import re
from collections.abc import Mapping
from typing import Any

from closeout.worker.support.clock import Millis, parse_http_date

_PART = re.compile(r"(?:\s*(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)[a-z]*, )?[^,]+")
_CODE = re.compile(r"[A-Za-z][A-Za-z0-9_.:-]{0,63}")


def error_code(body: Any, status: int, *, secret: str) -> str:
    """The API's own error code, if it looks like one, else ``http_STATUS``.

    Never a message: a message may repeat personal data, or the key.
    """
    code = body.get("error") if isinstance(body, dict) else None
    if isinstance(code, str) and _CODE.fullmatch(code) and (not secret or secret not in code):
        return code
    return f"http_{status}"


def told_wait(headers: Mapping[str, str], body: Any, server_now: Millis) -> float | None:
    """Seconds to wait, from Retry-After (RFC 9110: seconds or a date) and Retry-After-Ms, else the body's
    ``retry_after``; None if not told.

    Of several the longest holds, as of a list: each proxy on the way may add its own. A date is taken relative to the
    answer's own Date. What is no number, or not finite, counts as not told.
    """
    told = [_seconds(each.strip()) for each in _parts(headers.get("retry-after"))]
    dates = [parse_http_date(each) for each in _parts(headers.get("retry-after"))]
    told += [(date - server_now) / 1000 for date in dates if date is not None]
    told += [ms / 1000 for each in _parts(headers.get("retry-after-ms")) if (ms := _seconds(each.strip())) is not None]
    waits = [each for each in told if each is not None]
    if waits:
        return max(waits)
    return _seconds(body.get("retry_after") if isinstance(body, dict) else None)


def _parts(header: str | None) -> list[str]:
    """The parts of a list; the comma after the day of a date divides nothing."""
    return [] if header is None else _PART.findall(header)


def _seconds(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    if isinstance(value, str) and not re.fullmatch(r"-?\d{1,12}(\.\d+)?", value):
        return None
    try:
        seconds = float(value)
    except OverflowError:
        return None
    return seconds if abs(seconds) < 1e12 else None
