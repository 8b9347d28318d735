"""CSV in the shapes that people and spreadsheets write."""

import csv
import re
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from typing import Self

from worker.errors import SourceError
from worker.models import SourceRow
from worker.sources.bytestream import BrokenOffError
from worker.sources.columns import Layout, accepted_names, column_name, holds_uuid, layout_of
from worker.sources.identifiers import is_uuid, normalise_id
from worker.sources.lines import CutLine, Lines, line_problem
from worker.sources.problems import LONGEST_REASON, LONGEST_SHOWN, id_row, problem_row

DELIMITERS = ",;\t|"
MOST_LINES_IN_RECORD = 1_000
LONGEST_QUOTED = 65_536
_MOST_UNREADABLE = 1_000

_separator_line = re.compile(r'"?sep=([^"\w\s]|\t)"?', re.IGNORECASE).fullmatch
# Possessive, so that a quote without its partner costs one pass.
_quoted_cells = re.compile(r'(?:\A|(?<=[,;\t|\n]))"(?:[^"]|"")*+"')
_opening_quote = re.compile(r'(?:\A|(?<=[,;\t|]))"').search

# The line on which the record begins; its cells, or the beginning of its text where there is a problem; the problem.
Record = tuple[int, list[str], str | None]


def delimited_rows(lines: Lines, id_column: str | None, *, tabs: bool = False) -> Callable[[], Iterator[SourceRow]]:
    """A function that gives the rows of a delimited file as far as its next pause; ``tabs``: its name promises tabs.

    Raises SourceError, before any row, if no column holds the id or if nothing follows the header.
    """
    delimiter = _take_delimiter(lines, id_column, tabs)
    head = _take_head(lines, delimiter)
    first = next((at for at, record in enumerate(head) if record[2] is None), None)
    if first is None:
        layout = Layout(0, None, has_header=False)
    else:
        second = next((cells for _, cells, problem in head[first + 1 :] if problem is None), None)
        layout = layout_of(head[first][1], second, id_column)
        if layout.has_header:
            del head[first]
    if not head and layout.has_header and lines.broken is None:
        raise SourceError("has a header but no rows: there is nothing to close")
    head_rows = rows_of(head, layout)
    return lambda: chain(head_rows, rows_of(read_records(lines, delimiter), layout))


def _take_head(lines: Lines, delimiter: str) -> list[Record]:
    """The records as far as the one after the first that can be read, or that one if it can only be a row.

    A break that ends them stays to be read.
    """
    head: list[Record] = []
    readable = False
    try:
        for record in _awaited_records(lines, delimiter):
            head.append(record)
            _, cells, problem = record
            if readable or (problem is None and holds_uuid(cells)):
                break
            readable = problem is None
            if not readable and len(head) > _MOST_UNREADABLE:
                raise SourceError(f"none of its first {_MOST_UNREADABLE:,} rows can be read: {problem}")
    except BrokenOffError:
        pass
    return head


def _awaited_records(lines: Lines, delimiter: str) -> Iterator[Record]:
    """The records, waited for through pauses."""
    while True:
        yield from read_records(lines, delimiter)
        if not lines.paused:
            return
        lines.go_on()


def rows_of(records: Iterable[Record], layout: Layout) -> Iterator[SourceRow]:
    """One row for each record."""
    id_at, reason_at = layout.id_at, layout.reason_at
    for line, cells, problem in records:
        if problem is not None:
            yield problem_row(line, cells[0], problem)
        elif id_at >= len(cells):
            columns = "1 column" if len(cells) == 1 else f"{len(cells)} columns"
            yield problem_row(line, cells[0], f"row has {columns}, the id is in column {id_at + 1}")
        else:
            reason = None
            if reason_at is not None and reason_at < len(cells):
                reason = cells[reason_at].strip() or None
            session_id = normalise_id(cells[id_at])
            if session_id is None or (reason is not None and len(reason) > LONGEST_REASON):
                yield id_row(line, cells[id_at], reason)
            elif layout.wishes_at:
                yield SourceRow(line, session_id, reason, wishes=_wishes(cells, layout))
            else:
                yield SourceRow(line, session_id, reason)  # as id_row does, without another call for each row


def _wishes(cells: list[str], layout: Layout) -> dict[str, object] | None:
    found = {name: cells[at].strip() for name, at in layout.wishes_at if at < len(cells)}
    return {name: text for name, text in found.items() if text} or None


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


def holds_record(beginning: list[str]) -> bool:
    """Whether these first lines hold the first record to its end, so that no later line bears on the delimiter."""
    text = _quoted_cells.sub("x", "\n".join(beginning))
    record = next((line for line in text.split("\n") if line.strip()), None)
    return record is not None and _opening_quote(record) is None


def delimiter_of(beginning: list[str], id_column: str | None, *, tabs: bool = False) -> str:
    """The delimiter of a text with these first lines: the candidate that stands in the first record outside quotes.

    Of several, one that sets apart a UUID or the name of an id column wins, then the most frequent one.
    """
    text = _quoted_cells.sub(lambda cell: re.sub(r"[,;\t|\n]", " ", cell[0]), "\n".join(beginning))
    record = next((line for line in text.split("\n") if line.strip()), "")
    found = [delimiter for delimiter in DELIMITERS if delimiter in record]
    if not found or (tabs and "\t" in found):
        return "\t" if tabs else ","
    names = accepted_names(id_column)

    def merit(delimiter: str) -> tuple[bool, int]:
        cells = [cell.strip('"') for cell in record.split(delimiter)]
        return any(column_name(cell) in names or is_uuid(cell) for cell in cells), len(cells)

    return max(found, key=merit)


def _take_delimiter(lines: Lines, id_column: str | None, tabs: bool) -> str:
    beginning = lines.peek(holds_record)
    if beginning and (declared := _separator_line(beginning[0])):
        next(lines)
        return declared[1]
    return delimiter_of(beginning, id_column, tabs=tabs)


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
        return number, cells, None

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
