"""Files of one row a line: JSON objects, or ids alone."""

import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

from closeout.worker.domain.item import SourceRow
from closeout.worker.sources.columns import is_header
from closeout.worker.sources.lines import Lines, line_problem
from closeout.worker.sources.names import (
    ID_NAMES,
    REASON_NAME,
    WISH_NAMES,
    id_keys,
    name_key,
    names_an_id,
    rank_of,
    rivals_id,
    with_rivals,
)
from closeout.worker.sources.records import DELIMITERS
from closeout.worker.sources.session_ids import (
    ReadingError,
    given_reason,
    id_row,
    is_uuid,
    normalise_id,
    problem_row,
    sample_of,
    shown,
    strip_blanks,
    uuids_in,
    without_uuid,
)

_KINDS = {
    dict: "an object",
    list: "an array",
    str: "a string",
    bool: "true or false",
    int: "a number",
    float: "a number",
}
_ERROR_KEYS = frozenset({"error", "errors", "message", "detail", "fault", "exception", "errormessage"})
_DEPTH = 8  # so deep an object is searched for other ids


class JsonObject(dict[str, Any]):
    """A JSON object; ``pairs`` has all its members, also where a name stands twice."""

    def __init__(self, pairs: list[tuple[str, Any]]) -> None:
        super().__init__(pairs)
        self.pairs = pairs


decode_json = json.JSONDecoder(object_pairs_hook=JsonObject).decode


class JsonLines:
    """A file of JSON lines. The first line says whether they are objects or strings, the first object which field."""

    def __init__(self, lines: Lines, id_column: str | None, *, lenient: bool = False) -> None:
        self._lines = lines
        self._lenient = lenient
        self._id_column = id_column
        self._keys = id_keys(id_column)
        self._field: str | None = None
        self._strings: bool | None = None
        self._first = True  # no object has been read yet

    @property
    def reading(self) -> str:
        """How the ids are found, in words."""
        if self._strings:
            return "strings of JSON lines"
        return f'field "{shown(self._field or "", 40)}" of JSON lines'

    def rows(self) -> Iterator[SourceRow]:
        """One row for each line, as far as their next pause, that is not blank.

        Raises ReadingError where another field, too, may hold the id.
        """
        for line in self._lines:
            if (problem := line_problem(line)) is not None:
                yield problem_row(self._lines.number, line, problem)
            elif line and not line.isspace():
                yield self._row(self._lines.number, line)

    def _row(self, number: int, line: str) -> SourceRow:
        first = self._strings is None
        if first:
            self._strings = line.lstrip().startswith('"')
        try:
            value = decode_json(line)
        except json.JSONDecodeError as error:
            if first and error.pos >= len(line.rstrip()):
                raise ReadingError(number, "ends within a JSON value: give one object a line (JSON lines)") from None
            return problem_row(number, line, f"not JSON: {error.msg} at character {error.pos + 1}")
        except (ValueError, RecursionError):
            return problem_row(number, line, "not JSON: nested too deeply, or a number too long")
        return self.value_row(number, line, value)

    def value_row(self, number: int, line: str, value: object) -> SourceRow:
        """The row of one value; the first says whether they are objects or strings. ``line`` is its text."""
        if self._strings is None:
            self._strings = isinstance(value, str)
        if isinstance(value, str) and self._strings:
            return id_row(number, value, lenient=self._lenient)
        if isinstance(value, JsonObject) and not self._strings:
            return self._object_row(number, line, value)
        expected = "a string" if self._strings else "an object"
        return problem_row(number, line, f"{expected} expected, as in the lines above, found {kind_of(value)}")

    def _object_row(self, number: int, line: str, value: JsonObject) -> SourceRow:
        keys = self._keys if self._id_column is not None else with_rivals(frozenset(map(name_key, value)))
        found = [(name, field) for name, field in value.pairs if name_key(name) in keys]
        first, self._first = self._first, False
        if not found:
            if first:
                _expect_no_error(number, value)
            return problem_row(number, line, f"no field {self._field or self._id_column or ID_NAMES[0]!r}")
        name, held = self._chosen(number, found, value)
        if self._field is not None and name_key(name) != name_key(self._field):
            return problem_row(number, line, f"no field {self._field!r}, as in the lines above")
        if not isinstance(held, str):
            return problem_row(number, line, f"field {shown(name, 40)!r} holds {kind_of(held)}, not a string")
        self._field = self._field or name
        reasons = [field for other, field in value.pairs if name_key(other) == REASON_NAME and other != name]
        return _row_of(number, line, held, reasons, _wishes(value, name), lenient=self._lenient)

    def _chosen(self, number: int, found: list[tuple[str, Any]], value: JsonObject) -> tuple[str, Any]:
        """The field that holds the id. Raises ReadingError where more than one may."""
        named = self._id_column is not None
        if named:
            found = [field for field in found if field[0] == self._id_column] or found
        else:
            found = sorted(found, key=lambda field: rank_of(field[0]))
        (name, held), *others = found
        if others and not _settled(found, named=named):
            raise ReadingError(number, _several(found))
        rivals = _may_hold_id if name_key(name) == "id" else _may_hold_session
        if not named and (nested := _nested(value, rivals)) is not None:
            where = shown(nested, 40)
            mend = f"give what is in {where!r} a line each, or name the field with --id-column"
            raise ReadingError(number, f"holds ids both in {shown(name, 40)!r} and within {where!r}: {mend}")
        return name, held


def _expect_no_error(number: int, value: JsonObject) -> None:
    """Raises ReadingError if the first object is the answer of an API that has not given the list."""
    told = next((held for name, held in value.pairs if name_key(name) in _ERROR_KEYS and held), None)
    if told is not None:
        words = told if isinstance(told, str) else json.dumps(told)
        raise ReadingError(number, f"is an error that an API answered ({shown(words, 80)}), not a list: get it again")


def _row_of(
    number: int, line: str, held: str, reasons: list[object], wishes: dict[str, object] | None, *, lenient: bool
) -> SourceRow:
    told = [reason for reason in reasons if reason is not None]
    if len(told) > 1:
        return problem_row(number, line, "holds more than one field 'reason'")
    reason = told[0] if told else None
    if reason is not None and not isinstance(reason, str):
        return problem_row(number, line, f"field 'reason' holds {kind_of(reason)}, not a string")
    if reason is not None and "\0" in reason:
        return problem_row(number, line, "contains a NUL byte")
    own = given_reason(reason) if reason else None
    row = id_row(number, held, _encodable(own) if own else None, lenient=lenient)
    row.wishes = wishes
    return row


def _wishes(value: dict[str, Any], name: str) -> dict[str, object] | None:
    return {wish: value[wish] for wish in WISH_NAMES if wish != name and value.get(wish) is not None} or None


def _settled(found: list[tuple[str, Any]], *, named: bool) -> bool:
    """Whether the first of these fields holds the id beyond doubt: all hold the same, or the others something else."""
    (name, held), *others = found
    if not isinstance(held, str) or not is_uuid(held):
        return False
    if all(isinstance(other, str) and normalise_id(other) == normalise_id(held) for _, other in others):
        return True
    return not named and all(name_key(rival) != name_key(name) and _is_no_id(other) for rival, other in others)


def _is_no_id(held: object) -> bool:
    if isinstance(held, str):
        return bool(held.strip()) and not uuids_in(held)
    if isinstance(held, dict):
        return bool(held) and not uuids_in(json.dumps(held))
    return isinstance(held, bool | int | float)


def id_within(value: dict[str, Any]) -> str | None:
    """The name of a member within which a session's id seems to stand, where ``value`` has one that is just ``id``."""
    return _nested(value, _may_hold_id)


def _may_hold_id(key: str) -> bool:
    return key == "id" or _may_hold_session(key) or rivals_id(key)


def _may_hold_session(key: str) -> bool:
    return key != "id" and key in id_keys(None)


def _nested(value: dict[str, Any], is_rival: Callable[[str], bool], depth: int = _DEPTH) -> str | None:
    """The name of a member within which, at any depth, such a field holds a UUID; None where none does."""
    for name, held in value.items():
        meant = _written_out(held)
        for one in meant if isinstance(meant, list) else [meant]:
            if isinstance(one, dict) and (_holds_id(one, is_rival) or (depth and _nested(one, is_rival, depth - 1))):
                return name
    return None


def _written_out(held: object) -> object:
    """The object or array that a string holds as JSON, as the messages of queues do; any other value as it is."""
    if isinstance(held, str) and held.lstrip().startswith(("{", "[")) and uuids_in(held):
        with suppress(ValueError, RecursionError):
            return decode_json(held)
    return held


def _holds_id(value: dict[str, Any], is_rival: Callable[[str], bool]) -> bool:
    return any(is_rival(name_key(name)) and isinstance(held, str) and uuids_in(held) for name, held in value.items())


def _several(found: list[tuple[str, Any]]) -> str:
    samples = [sample_of(held) if isinstance(held, str) else kind_of(held) for _, held in found]
    told = [f"{shown(name, 40)!r} ({sample})" for (name, _), sample in zip(found, samples, strict=True)]
    if len({name for name, _ in found}) == 1:
        return f"has the field {shown(found[0][0], 40)!r} more than once: {', '.join(told)}: correct the file"
    return f"has more than one field that may hold the session id: {', '.join(told)}; name it with --id-column"


def kind_of(value: object) -> str:
    """What a JSON value is, in words."""
    return next((word for kind, word in _KINDS.items() if isinstance(value, kind)), "null")


def _encodable(text: str) -> str:
    """``text`` with lone surrogates, which JSON can spell and UTF-8 cannot, replaced."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


class PlainLines:
    """A list of ids. A line that is the id's name may stand above them, and again further down."""

    def __init__(self, lines: Lines, id_column: str | None, *, lenient: bool = False) -> None:
        self._lines = lines
        self._lenient = lenient
        self._keys = id_keys(id_column)
        self._header: int | None = None
        self._any = False

    @property
    def reading(self) -> str:
        """How the ids are found, in words."""
        return "one a line"

    def rows(self) -> Iterator[SourceRow]:
        """One row for each line, as far as their next pause, that is neither blank nor a comment.

        Raises ReadingError for a line that belongs to a table.
        """
        for line in self._lines:
            text = strip_blanks(line)
            if not text or text.startswith("#"):
                continue
            if (problem := line_problem(line)) is not None:
                row: SourceRow | None = problem_row(self._lines.number, line, problem)
            else:
                row = self._row(self._lines.number, text)
            if row is not None:
                self._any = True
                yield row

    def _row(self, number: int, text: str) -> SourceRow | None:
        if name_key(text) in self._keys and (self._header is not None or not self._any):
            self._header = self._header or number
            return None
        if any(is_header(text.split(delimiter), self._keys) for delimiter in DELIMITERS):
            raise ReadingError(number, "is a header, but this is a list of ids: give each table as a .csv of its own")
        if self._any and (names_an_id(text) or self._is_joined(text)):
            raise ReadingError(number, "holds the name of other ids, but ids stand above: give each list as a file")
        several = list(dict.fromkeys(uuids_in(text)))
        if len(several) < 2:
            return id_row(number, text, lenient=self._lenient)
        problem = f"holds several UUIDs ({' and '.join(map(sample_of, several))}): give one a line"
        if not self._any:
            raise ReadingError(number, f"{problem}, or a .csv with a header")
        return problem_row(number, text, problem)

    def _is_joined(self, text: str) -> bool:
        """Whether the name of other ids follows an id on its line, as in files joined with no line end between."""
        behind = without_uuid(text)
        return behind is not None and name_key(behind) not in self._keys and names_an_id(behind)
