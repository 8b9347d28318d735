"""What the API tells in an answer that is no success: a code, and how long to wait. Pure functions."""

import re
from typing import Any

from closeout.worker.support.clock import Millis, parse_http_date

_CODE = re.compile(r"[A-Za-z][A-Za-z0-9_.:-]{0,63}")


def error_code(body: Any, status: int, *, secret: str) -> str:
    """The API's own error code, if it looks like one, else ``http_STATUS``.

    Never a message: a message may repeat personal data, or the key.
    """
    code = body.get("error") if isinstance(body, dict) else None
    if isinstance(code, str) and _CODE.fullmatch(code) and (not secret or secret not in code):
        return code
    return f"http_{status}"


def told_wait(header: str | None, body: Any, server_now: Millis) -> float | None:
    """Seconds to wait, from Retry-After (seconds or a date) or the body's ``retry_after``; None if not told.

    A date is taken relative to the answer's own Date. What is no number, or not finite, counts as not told.
    """
    if header is not None:
        seconds = _seconds(header.strip())
        if seconds is not None:
            return seconds
        date = parse_http_date(header)
        if date is not None:
            return (date - server_now) / 1000
    told = body.get("retry_after") if isinstance(body, dict) else None
    return _seconds(told)


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
