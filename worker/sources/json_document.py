"""JSON that is no JSON lines, as a stream of records: arrays, an API's listings, objects over several lines."""

import json
import re
from collections import deque
from collections.abc import Generator, Iterator
from contextlib import suppress
from itertools import chain
from typing import Any, Self

from closeout.worker.domain.item import SourceRow
from closeout.worker.sources.decompress import BrokenOffError
from closeout.worker.sources.line_formats import JsonLines, JsonObject, decode_json, id_within
from closeout.worker.sources.lines import LONGEST_LINE, Lines
from closeout.worker.sources.names import id_keys, name_key, rivals_id
from closeout.worker.sources.session_ids import LONGEST_SHOWN, ReadingError, normalise_id, shown, uuids_in

# The members in which an API lists what it was asked for.
LIST_KEYS = frozenset({"items", "data", "results", "records", "sessions", "conversations", "rows", "value", "entries"})
HEAD = 65_536  # characters from which the shape is told
_LONGEST_TOKEN = 12  # of those that are no strings: what is cut at the end of a text is an error so far before it
_MOST_IN_ROW = 50  # an array of more strings is no row of a table
_begins_array = re.compile(r'\[\s*(["\[{\]]|$|-?\d|null|true|false)').match
_begins_object = re.compile(r'\{\s*("|$|\})').match
_numeric = re.compile(r"[0-9.eE+\-]*").match
_blank = re.compile(r"[ \t\r\n\x1e\ufeff]*").match
_raw_decode = json.JSONDecoder(object_pairs_hook=JsonObject).raw_decode

# Records with their lines, and None for each pause.
_Steps = Generator[tuple[int, Any] | None, None, Any]


def is_document(head: str) -> bool:
    """Whether a text that begins so is a JSON document, and neither JSON lines nor another format.

    ``head`` reaches at least to the end of the first line that is not blank, unless that is longer than HEAD.
    """
    text = head[_blank(head).end() :]  # type: ignore[union-attr]  # it matches nothing, too
    first, line_end, _ = text.partition("\n")
    if _begins_array(first):
        return True
    if not _begins_object(first) or normalise_id(first) is not None:
        return False
    return _lists_early(first) if not line_end and len(head) >= HEAD else _is_no_json_line(first)


def _is_no_json_line(line: str) -> bool:
    """Whether a line that begins like an object lists records, holds several, or ends within one."""
    try:
        return _is_envelope(decode_json(line))
    except json.JSONDecodeError as error:
        if error.msg == "Extra data":
            return line.startswith("{", error.pos)
        return error.pos >= len(line.rstrip()) or error.msg.startswith("Unterminated string")
    except (ValueError, RecursionError):
        return False


def _lists_early(text: str) -> bool:
    """Whether a list of records begins in a text that begins with an object, before what is cut off."""
    elements = JsonElements(iter([text]), expects_no_id=False)
    with suppress(BrokenOffError, ReadingError):
        deque(elements, maxlen=0)
    return elements.lists


def _is_envelope(value: object) -> bool:
    """Whether the value lists records, and is none itself."""
    if not isinstance(value, dict) or any(map(_names_id, value)):
        return False
    return any(isinstance(held, list) and name_key(name) in LIST_KEYS for name, held in value.items())


def _names_id(name: str) -> bool:
    key = name_key(name)
    return key in id_keys(None) or rivals_id(key)


def take_beginning(text: Iterator[str]) -> tuple[str, Iterator[str]]:
    """The text to the end of its first line that is not blank, at least, or HEAD characters; and all of it again.

    An array is told by less. Pauses are waited through.
    """
    head = ""
    rest = text
    try:
        while len(head) < HEAD and not ("\n" in (begun := head.lstrip()) or (len(begun) > 1 and begun[0] == "[")):
            head += next(text)
    except StopIteration:
        rest = iter(())
    except BrokenOffError as error:
        rest = _raising(error)
    return head, chain([head] if head else [], rest)


def _raising(error: BrokenOffError) -> Iterator[str]:
    raise error
    yield ""


class JsonElements:
    """The records of a JSON document, one after the other, each with the line on which it begins.

    They are the elements of arrays and of the lists of an API's pages, and objects that stand by themselves. Iteration
    ends at a pause with ``paused`` set, and begins again after ``go_on``. ``expects_no_id``: an id beside such a list
    may be meant as well, and is refused. Raises BrokenOffError where the document is damaged or ends early, and
    ReadingError where more than one reading is possible.
    """

    def __init__(self, chunks: Iterator[str], *, expects_no_id: bool) -> None:
        self.number = 1
        self.paused = False
        self.begun = False  # whether an array or an object has begun
        self.lists = False  # whether a list of records has begun within an object
        self._chunks = chunks
        self._expects_no_id = expects_no_id
        self._text, self._at = "", 0
        self._ended = False
        self._counted = 0  # up to where in the text lines are counted
        self._steps = self._walk()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> tuple[int, Any]:
        found = next(self._steps)
        if found is None:
            self.paused = True
            raise StopIteration
        return found

    def go_on(self) -> None:
        """After a pause: the next record is worth asking for again."""
        self.paused = False

    def _walk(self) -> _Steps:
        arrays_of_strings = 0
        held: list[tuple[int, Any]] = []
        while begins := (yield from self._token()):
            self.begun = True
            if begins == "{":
                yield from self._object()
            elif begins == "[":
                line = self._line()
                strings = yield from self._array(held)
                arrays_of_strings += strings
                if strings and arrays_of_strings > 1:
                    raise ReadingError(line, "is another array of strings, like a row of a table: give each id a line")
            else:
                raise self._damaged("an array or an object expected")
        yield from held

    def _array(self, held: list[tuple[int, Any]] | None = None) -> _Steps:
        """The elements of an array; returns whether there are strings. Those that may be a row are ``held`` back."""
        self._at += 1
        strings = False
        if (yield from self._token()) == "]":
            self._at += 1
            return strings
        while True:
            yield from self._token()
            line = self._line()
            value = yield from self._value()
            strings = strings or isinstance(value, str)
            if isinstance(value, str) and held is not None and len(held) < _MOST_IN_ROW:
                held.append((line, value))
            else:
                if held:
                    yield from held
                    held.clear()
                    held = None
                yield from self._expanded(line, value)
            if (yield from self._separated("]")):
                return strings

    def _expanded(self, line: int, value: Any) -> _Steps:
        """The records of a page that is itself an element, else the element."""
        if not _is_envelope(value):
            yield line, value
            return
        listed = next(name for name, held in value.items() if isinstance(held, list) and name_key(name) in LIST_KEYS)
        self._check_beside(line, listed, [(name, held) for name, held in value.pairs if name != listed])
        yield from ((line, one) for one in value[listed])

    def _object(self) -> _Steps:
        """The object as a record, or the records that it lists."""
        line, listed = self._line(), None
        members: list[tuple[str, Any]] = []
        self._at += 1
        done = (yield from self._token()) == "}"
        self._at += done
        while not done:
            name = yield from self._name()
            begins = yield from self._token()
            lists = begins == "[" and name_key(name) in LIST_KEYS and not any(_names_id(one) for one, _ in members)
            if lists and listed is None:
                listed, self.lists = name, True
                self._check_beside(line, listed, members)
                yield from self._array()
            else:
                members.append((name, (yield from self._value())))
                if listed is not None:
                    self._check_beside(line, listed, members[-1:])
            done = yield from self._separated("}")
        if listed is None:
            yield line, JsonObject(members)

    def _check_beside(self, line: int, listed: str, members: list[tuple[str, Any]]) -> None:
        """Raises ReadingError where one of the members beside a list may hold the id that is meant."""
        if not self._expects_no_id:
            return
        beside = next(
            (name for name, held in members if _names_id(name) and isinstance(held, str) and uuids_in(held)), None
        )
        beside = beside or id_within(JsonObject(members))
        if beside is not None:
            both = f"both in {shown(beside, 40)!r} and within {shown(listed, 40)!r}"
            raise ReadingError(line, f"holds ids {both}: give what is in {shown(listed, 40)!r} a line each")

    def _name(self) -> _Steps:
        if (yield from self._token()) != '"':
            raise self._damaged("a name in quotes expected")
        name = yield from self._value()
        if (yield from self._token()) != ":":
            raise self._damaged("a colon expected")
        self._at += 1
        return name

    def _separated(self, end: str) -> _Steps:
        """Passes over what separates elements; whether it was the ``end`` of all."""
        found = yield from self._token()
        if found not in (",", end) or not found:
            raise self._damaged(f"a comma or {end} expected")
        self._at += 1
        return found == end

    def _token(self) -> _Steps:
        """The next character that is not blank, which stays to be read; nothing at the end."""
        while True:
            self._at = _blank(self._text, self._at).end()  # type: ignore[union-attr]
            if self._at < len(self._text):
                return self._text[self._at]
            if not (yield from self._more()):
                return ""

    def _value(self) -> _Steps:
        """The value that begins here."""
        yield from self._token()
        while True:
            try:
                value, end = _raw_decode(self._text, self._at)
            except json.JSONDecodeError as error:
                token = 0 if self._ended else _LONGEST_TOKEN
                cut = error.pos >= len(self._text.rstrip()) - token or error.msg.startswith("Unterminated string")
                if not cut or self._ended or len(self._text) - self._at > LONGEST_LINE:
                    raise self._damaged(error.msg, early=cut and self._ended) from error
            except (ValueError, RecursionError) as error:
                raise self._damaged("nested too deeply, or a number too long") from error
            else:
                whole = isinstance(value, str | dict | list) or _numeric(self._text, end).end() < len(self._text)  # type: ignore[union-attr]
                if whole or self._ended:
                    self._at = end
                    return value
            wanted = 2 * (len(self._text) - self._at)  # so that a long value is not looked at too often
            while len(self._text) - self._at < wanted and (yield from self._more()):
                pass

    def _more(self) -> _Steps:
        """Reads on; whether there was more."""
        if self._ended:
            return False
        for chunk in self._chunks:
            if chunk:
                self._line()
                self._text, self._at, self._counted = self._text[self._at :] + chunk, 0, 0
                return True
            yield None
        self._ended = True
        return False

    def _line(self) -> int:
        """The line of what is read next."""
        self.number += self._text.count("\n", self._counted, self._at)
        self._counted = self._at
        return self.number

    def _damaged(self, why: str, *, early: bool = False) -> BrokenOffError:
        line = self._line()
        if early or (self._ended and self._at >= len(self._text)):
            return BrokenOffError("the JSON ends early")
        return BrokenOffError(f"the JSON is damaged in line {line:,} ({why})")


class JsonDocument(JsonLines):
    """The rows of a JSON document."""

    def __init__(self, elements: JsonElements, id_column: str | None, *, lenient: bool = False) -> None:
        super().__init__(Lines(()), id_column, lenient=lenient)
        self._elements = elements

    @property
    def reading(self) -> str:
        """How the ids are found, in words."""
        return super().reading.replace("JSON lines", "a JSON document")

    def rows(self) -> Iterator[SourceRow]:
        """One row for each record, as far as the next pause. Raises ReadingError where more than one may be meant."""
        for line, value in self._elements:
            row = self.value_row(line, "", value)
            if row.problem is not None and not row.text:
                row.text = shown(json.dumps(value)[:LONGEST_SHOWN])
            yield row
