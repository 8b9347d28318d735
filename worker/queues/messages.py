"""What a message says: a bare session id, or a JSON object. Pure."""

import hashlib
import json
import re
from collections.abc import Callable
from typing import Any

from closeout.worker.domain.item import QueuedRow, SourceRow
from closeout.worker.sources.session_ids import explain_no_id, normalise_id, problem_row, shown
from closeout.worker.support.clock import Millis, parse_instant

LONGEST_KEY = 200
_FIELDS = ("session_id", "reason", "key", "not_before")
_LAST_INSTANT: Millis = 253_402_300_799_999  # the end of the year 9999
_KINDS = {
    dict: "an object",
    list: "an array",
    str: "a string",
    bool: "true or false",
    int: "a number",
    float: "a number",
}


_seconds = re.compile(r"[0-9]{1,12}(\.[0-9]+)?").fullmatch  # of those that are no date without its dashes


class _MalformedError(Exception):
    """What is wrong with a message."""


def _no_problem(_reason: str) -> None:
    return None


def read_message(body: bytes, reason_problem: Callable[[str], str | None] = _no_problem) -> QueuedRow:
    """What a message asks for. A malformed one is a problem row, whose key is made of its text.

    ``reason_problem`` says why a reason must not be sent, or None.
    """
    text = body.decode("utf-8-sig", "replace")
    try:
        return _row_of(text, reason_problem)
    except _MalformedError as error:
        digest = hashlib.blake2b(body, digest_size=16).hexdigest()
        return QueuedRow(problem_row(0, text, str(error)), f"malformed {digest}")


def write_message(row: SourceRow) -> bytes:
    """A message that asks for what a row of a source does; the row names a session. Its wishes may be malformed."""
    asked = dict(row.wishes or {})
    if row.reason is not None:
        asked["reason"] = row.reason
    if not asked:
        return str(row.session_id).encode()
    return json.dumps({"session_id": row.session_id, **asked}).encode()


def _row_of(text: str, reason_problem: Callable[[str], str | None]) -> QueuedRow:
    if normalise_id(text) is not None or not text.lstrip().startswith("{"):
        return QueuedRow(_row(text, None))
    try:
        value = json.loads(text, object_pairs_hook=_object)
    except json.JSONDecodeError as error:
        raise _MalformedError(f"not JSON: {error.msg} at character {error.pos + 1}") from None
    except (ValueError, RecursionError):
        raise _MalformedError("not JSON: nested too deeply, or a number too long") from None
    session = _text(value, "session_id")
    if session is None:
        raise _MalformedError("no field 'session_id'")
    reason = _text(value, "reason")
    problem = reason_problem(reason.strip()) if reason and reason.strip() else None
    if problem is not None:
        raise _MalformedError(problem)
    key = _text(value, "key")
    if key is not None and len(key) > LONGEST_KEY:
        raise _MalformedError(f"field 'key' is {len(key):,} characters long; at most {LONGEST_KEY} are read")
    return QueuedRow(_row(session, reason), key or None, _instant(value.get("not_before")))


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Which of two values a sender means, nobody can tell."""
    found = dict(pairs)
    twice = next((name for name in _FIELDS if name in found and sum(name == other for other, _ in pairs) > 1), None)
    if twice is not None:
        raise _MalformedError(f"field {twice!r} stands there more than once")
    return found


def _row(session: str, reason: str | None) -> SourceRow:
    session_id = normalise_id(session)
    if session_id is None:
        raise _MalformedError(explain_no_id(session).replace("the cell", "the id"))
    return SourceRow(0, session_id, (reason or "").strip() or None)


def _text(value: dict[str, Any], name: str) -> str | None:
    found = value.get(name)
    if found is not None and not isinstance(found, str):
        raise _MalformedError(f"field {name!r} holds {_KINDS.get(type(found), 'null')}, not a string")
    if found is not None and (not found.isprintable() and shown(found, len(found)) != found):
        raise _MalformedError(f"field {name!r} holds characters that cannot be printed")
    return found


def _instant(value: object) -> Millis:
    """ISO 8601 or seconds since the epoch, which those who have nothing but text may write as text."""
    if value is None:
        return 0
    at = parse_instant(value)
    if at is None and isinstance(value, str) and _seconds(value):
        value = float(value)
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= _LAST_INSTANT / 1000:
        at = round(value * 1000)
    if at is None or at > _LAST_INSTANT:
        raise _MalformedError("invalid 'not_before': use ISO 8601 or seconds since the epoch")
    return max(at, 0)
