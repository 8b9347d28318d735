"""JSON lines: one object or one string a line."""

import json
from collections.abc import Iterator
from typing import Any

from worker.models import SourceRow
from worker.sources.columns import REASON_NAME, WISH_NAMES, accepted_names, column_name
from worker.sources.lines import Lines, line_problem
from worker.sources.problems import id_row, problem_row

_KINDS = {
    dict: "an object",
    list: "an array",
    str: "a string",
    bool: "true or false",
    int: "a number",
    float: "a number",
}


def json_rows(lines: Lines, id_column: str | None) -> Iterator[SourceRow]:
    """One row for each line, as far as their next pause, that is not blank."""
    names = accepted_names(id_column)
    for line in lines:
        if (problem := line_problem(line)) is not None:
            yield problem_row(lines.number, line, problem)
        elif line and not line.isspace():
            yield _row(lines.number, line, names)


def _row(number: int, line: str, names: tuple[str, ...]) -> SourceRow:
    try:
        value = json.loads(line)
    except json.JSONDecodeError as error:
        return problem_row(number, line, f"not JSON: {error.msg} at character {error.pos + 1}")
    except (ValueError, RecursionError):
        return problem_row(number, line, "not JSON: nested too deeply, or a number too long")
    if isinstance(value, str):
        return id_row(number, value)
    if not isinstance(value, dict):
        return problem_row(number, line, f"an object or a string expected, found {_kind(value)}")
    return _object_row(number, line, value, names)


def _object_row(number: int, line: str, value: dict[str, Any], names: tuple[str, ...]) -> SourceRow:
    fields = {column_name(name): field for name, field in value.items()}
    name = next((name for name in names if name in fields), None)
    if name is None:
        return problem_row(number, line, f"no field {names[0]!r}")
    if not isinstance(fields[name], str):
        return problem_row(number, line, f"field {name!r} holds {_kind(fields[name])}, not a string")
    reason = fields.get(REASON_NAME) if name != REASON_NAME else None
    if reason is not None and not isinstance(reason, str):
        return problem_row(number, line, f"field 'reason' holds {_kind(reason)}, not a string")
    if reason is not None and "\0" in reason:
        return problem_row(number, line, "contains a NUL byte")
    row = id_row(number, fields[name], _encodable(reason.strip()) or None if reason else None)
    row.wishes = {wish: fields[wish] for wish in WISH_NAMES if wish != name and fields.get(wish) is not None} or None
    return row


def _kind(value: object) -> str:
    return _KINDS.get(type(value), "null")


def _encodable(text: str) -> str:
    """``text`` with lone surrogates, which JSON can spell and UTF-8 cannot, replaced."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
