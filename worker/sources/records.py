"""Records of a delimited text: which delimiter it has, and the cells between."""

import csv
import re
from collections.abc import Iterator
from typing import Self

from closeout.worker.sources.columns import holds_id, is_header
from closeout.worker.sources.decompress import BrokenOffError
from closeout.worker.sources.lines import CutLine, Lines, line_problem
from closeout.worker.sources.names import id_keys, number_of
from closeout.worker.sources.session_ids import LONGEST_SHOWN, is_uuid, strip_blanks
from closeout.worker.support.errors import SourceError

DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}
MOST_LINES_IN_RECORD = 1_000
LONGEST_QUOTED = 65_536

_separator_line = re.compile(r'"?sep=([^"\w\s]|\t)"?', re.IGNORECASE).fullmatch
# Possessive, so that a quote without its partner costs one pass.
_quoted_cells = re.compile(r'(?:\A|(?<=[,;\t|\n]))"(?:[^"]|"")*+"')
_opening_quote = re.compile(r'(?:\A|(?<=[,;\t|]))"').search

# The line on which the record begins; its cells, or the beginning of its text where there is a problem; the problem.
Record = tuple[int, list[str], str | None]


def read_records(lines: Lines, delimiter: str) -> Iterator[Record]:
    """The records of a delimited text as far as its next pause; blank lines are none.

    A record that a pause cuts off is read again from its first line when the lines go on.
    """
    quoted = _QuotedRecords(lines, delimiter)
    for line in lines:
        # Without a quote there is nothing that csv.reader would see and str.split would not.
        if '"' in line or "\0" in line or type(line) is CutLine:
            record = quoted.read(line)
            if record is None:
                return
            yield record
        elif line and (delimiter in line or not line.isspace()):
            yield lines.number, line.split(delimiter), None


class SpanningCells(list[str]):
    """The cells of a record that spans lines."""


def is_ghost(cells: list[str]) -> bool:
    """Whether the record is separators alone, as spreadsheets write below a table: nothing stands there."""
    return len(cells) > 1 and not any(map(strip_blanks, cells))


def delimiter_of(beginning: list[str], id_column: str | None, *, tabs: bool = False) -> str:
    """The delimiter of a text with these first lines: the candidate that stands outside quotes in a record that tells.

    That is the first that holds a UUID or names the id's column, else the first of all. Of several delimiters one that
    sets such a cell apart wins, then the most frequent one. Raises SourceError where two of them make a header.
    """
    records = _unquoted(beginning)
    record = next((one for one in records if _tells(one, id_column)), next(iter(records), ""))
    found = [delimiter for delimiter in DELIMITERS if delimiter in record]
    if not found or (tabs and "\t" in found):
        return "\t" if tabs else ","
    keys = _keys(id_column)
    headers = [delimiter for delimiter in found if is_header(record.split(delimiter), keys)]
    if len(headers) > 1:
        several = " or ".join(DELIMITERS[delimiter] for delimiter in headers)
        raise SourceError(
            f"may have its columns between either {several}: say which in a first line, such as sep={headers[-1]}"
        )

    def merit(delimiter: str) -> tuple[bool, int]:
        cells = record.split(delimiter)
        return delimiter in headers or any(map(is_uuid, cells)), len(cells)

    return max(found, key=merit)


def take_delimiter(lines: Lines, id_column: str | None, *, tabs: bool) -> str:
    """The delimiter of what follows; a line that declares it is taken away. Raises SourceError as ``delimiter_of``."""

    def enough(beginning: list[str]) -> bool:
        """No later line bears on the delimiter: a record that tells is there to its end."""
        records = _unquoted(beginning)
        whole = records[: next((at for at, one in enumerate(records) if _opening_quote(one)), len(records))]
        return any(_tells(record, id_column) for record in whole)

    beginning = lines.peek(enough)
    if beginning and (declared := _separator_line(beginning[0])):
        next(lines)
        return declared[1]
    return delimiter_of(beginning, id_column, tabs=tabs)


def _unquoted(beginning: list[str]) -> list[str]:
    """The records in these lines, without quotes; what was quoted holds no delimiter and no line end any more."""
    text = _quoted_cells.sub(lambda cell: re.sub(r"[,;\t|\n\"]", " ", cell[0][1:-1]), "\n".join(beginning))
    return [line for line in text.split("\n") if line.strip()]


def _tells(record: str, id_column: str | None) -> bool:
    keys = _keys(id_column)
    named = id_column is not None and number_of(id_column) is None
    tables = [record.split(delimiter) for delimiter in DELIMITERS]
    return any(is_header(cells, keys) or (not named and holds_id(cells)) for cells in tables)


def _keys(id_column: str | None) -> frozenset[str]:
    return id_keys(id_column if number_of(id_column) is None else None)


class _QuotedRecords:
    """Reads records that hold quotes, over as many lines as they span, and no further than a bound.

    It is the iterator of lines that its csv.reader pulls from, so it knows which lines a record took and can
    hand them back.
    """

    def __init__(self, lines: Lines, delimiter: str) -> None:
        self._lines = lines
        self._pending: str | None = None
        self._following: list[str] = []
        self._size = 0
        self._unclosed = False
        self._paused = False
        self._delimiter = delimiter
        # Strict over line ends: a cell that is never closed would otherwise join up with the next quote in the
        # file and swallow the rows between, unnoticed.
        self._reader = csv.reader(self, delimiter=delimiter, strict=True)

    def read(self, line: str) -> Record | None:
        """The record that begins with ``line``, the one handed out last; None, with its lines handed back, where a
        pause comes before its end."""
        number = self._lines.number
        if (problem := line_problem(line)) is not None:
            return number, [line[:LONGEST_SHOWN]], problem
        self._pending, self._following, self._size, self._unclosed, self._paused = line, [], 0, False, False
        try:
            cells = next(self._reader)
        except csv.Error:
            if self._paused:
                self._lines.push_back([line, *self._following])
                return None
            if not self._following and not self._unclosed:
                return self._read_leniently(line)
            self._lines.push_back(self._following)
            return number, [line[:LONGEST_SHOWN]], "a quoted cell that begins here is never closed"
        except BrokenOffError as error:
            error.after_line = number - 1
            raise
        if any("\0" in following for following in self._following):
            return number, [line[:LONGEST_SHOWN]], "contains a NUL byte"
        return number, SpanningCells(cells) if self._following else cells, None

    def _read_leniently(self, line: str) -> Record:
        """The record of one line with quotes in odd places."""
        try:
            return self._lines.number, next(csv.reader([line], delimiter=self._delimiter)), None
        except csv.Error:
            return (
                self._lines.number,
                [line[:LONGEST_SHOWN]],
                f"a cell is longer than {csv.field_size_limit():,} characters",
            )

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> str:
        """The next line of the record. Ends, for this record, where it has taken too much or nothing is left."""
        if self._pending is not None:
            line, self._pending = self._pending, None
            return line + "\n"
        following = next(self._lines, None)
        self._paused = following is None and self._lines.paused
        if following is not None:
            self._following.append(following)
            self._size += len(following)
        self._unclosed = (
            following is None
            or isinstance(following, CutLine)
            or len(self._following) > MOST_LINES_IN_RECORD
            or self._size > LONGEST_QUOTED
        )
        if following is None or self._unclosed:
            raise StopIteration
        return following + "\n"
