"""The rows of one stream of bytes: unpacked, decoded, in the format that its beginning shows."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Protocol

from closeout.worker.domain.item import SourceRow
from closeout.worker.sources.columns import is_header
from closeout.worker.sources.decoding import decoded
from closeout.worker.sources.decompress import MAGIC, BrokenOffError, decompressed, is_packed, take_head
from closeout.worker.sources.delimited import Table
from closeout.worker.sources.json_document import JsonDocument, JsonElements, is_document, take_beginning
from closeout.worker.sources.line_formats import JsonLines, PlainLines
from closeout.worker.sources.lines import Lines
from closeout.worker.sources.names import id_keys, number_of
from closeout.worker.sources.records import DELIMITERS
from closeout.worker.sources.session_ids import ReadingError, normalise_id, problem_row, sample_of, strip_blanks
from closeout.worker.support.errors import EmptySourceError, SourceError


@dataclass(frozen=True, slots=True)
class Asked:
    """How ids are to be found: ``id_column`` as in ``open_source``, ``lenient`` also where they are wrapped."""

    id_column: str | None = None
    lenient: bool = False


@dataclass(frozen=True, slots=True)
class Promised:
    """What a name promises: a format (``csv``, ``tsv``, ``txt``) or None, and the suffix of a compression if any."""

    format: str | None = None
    compression: str = ""


class _Rows(Protocol):
    """The rows of one format. ``reading`` says how their ids are found, once the first row has been read."""

    @property
    def reading(self) -> str: ...
    def rows(self) -> Iterator[SourceRow]: ...


class _Flow(Protocol):
    """What the rows come from, pause by pause."""

    @property
    def number(self) -> int: ...
    @property
    def paused(self) -> bool: ...
    def go_on(self) -> None: ...


class Reader:
    """Reads one stream. ``how`` says how its ids are found, and ``first`` is the beginning of the first id, once known.

    ``by_lines``: its rows stand on lines, and are not packed.
    """

    def __init__(self, chunks: Iterator[bytes], asked: Asked, promised: Promised) -> None:
        self.how: str | None = None
        self.first: str | None = None
        self.by_lines = False
        self._asked = asked
        self._promised = promised
        self.chunks = chunks

    def batches(self, size: int) -> Iterator[list[SourceRow]]:
        """Yields the rows in order, ``size`` at a time, or fewer where the stream pauses.

        Raises SourceError and ReadingError where nothing of it can be read.
        """
        any_row = False
        head, chunks = take_head(self.chunks, MAGIC)
        flow, parsed = self._parsed(decoded(decompressed(chunks, self._promised.compression)))
        self.by_lines = isinstance(flow, Lines) and not is_packed(head)
        while True:
            rows = _with_break(parsed.rows(), flow, any_row=any_row)
            while batch := _filled(rows, size, begun=any_row):
                self._tell(parsed, batch)
                any_row = True
                yield batch
            if not flow.paused:
                break
            flow.go_on()
        if not any_row:
            if isinstance(flow, JsonElements) and flow.begun:
                raise EmptySourceError("lists no session: there is nothing to close")
            raise SourceError("is empty: give a source with at least one session id")

    def _parsed(self, text: Iterator[str]) -> tuple[_Flow, _Rows]:
        asked = self._asked
        head, text = take_beginning(text)
        if is_document(head):
            elements = JsonElements(text, expects_no_id=asked.id_column is None)
            return elements, JsonDocument(elements, asked.id_column, lenient=asked.lenient)
        lines = Lines(text)
        match self._format_of(lines.peek(_show_format)):
            case "jsonl":
                return lines, JsonLines(lines, asked.id_column, lenient=asked.lenient)
            case "txt":
                return lines, PlainLines(lines, asked.id_column, lenient=asked.lenient)
            case name:
                return lines, Table(lines, asked.id_column, tabs=name == "tsv", lenient=asked.lenient)

    def _format_of(self, beginning: list[str]) -> str:
        """What the content shows goes before what the name promises."""
        seen, promised = format_of_beginning(beginning), self._promised.format
        if promised == "txt" and seen == "csv":
            return "csv" if _begins_table(beginning, self._asked.id_column) else "txt"
        return seen if seen == "jsonl" or promised is None else promised

    def _tell(self, parsed: _Rows, batch: list[SourceRow]) -> None:
        if self.how is None:
            first = next((row.session_id for row in batch if row.session_id is not None), None)
            self.how = f"{parsed.reading}{', also wrapped (lenient)' if self._asked.lenient else ''}"
            self.first = sample_of(first) if first is not None else None


def format_of_beginning(beginning: list[str]) -> str:
    """The format of a text of unknown name with these first lines: ``jsonl``, ``txt`` or ``csv``.

    A first line in quotes is JSON only if it holds an id: CSV headers come in quotes as well.
    """
    line = next((line.strip() for line in beginning if _says_something(line)), "")
    is_id = normalise_id(line) is not None  # which may stand in braces
    if (line.startswith("{") and not is_id) or (line.startswith('"') and is_id):
        return "jsonl"
    return "txt" if is_id else "csv"


def _begins_table(beginning: list[str], id_column: str | None) -> bool:
    """Whether the first line that says something is the header of several columns, one of them the id's."""
    first = next(filter(_says_something, beginning), "")
    keys = id_keys(id_column if number_of(id_column) is None else None)
    tables = [first.split(delimiter) for delimiter in DELIMITERS]
    return any(len(cells) > 1 and is_header([cell.strip('"') for cell in cells], keys) for cells in tables)


def _show_format(beginning: list[str]) -> bool:
    return any(map(_says_something, beginning))


def _says_something(line: str) -> bool:
    return bool(line.strip()) and not strip_blanks(line).startswith("#")


def _filled(rows: Iterator[SourceRow], size: int, *, begun: bool) -> list[SourceRow]:
    """The next batch. Where the file is read otherwise from a line on, the last row says so; raises ReadingError if no
    batch has ``begun`` before: then nothing of it is read."""
    batch: list[SourceRow] = []
    try:
        batch.extend(islice(rows, size))
    except ReadingError as error:
        if not begun:
            raise
        batch.append(problem_row(error.line, "", f"{error}; nothing is read from there on"))
    return batch


def _with_break(rows: Iterator[SourceRow], flow: _Flow, *, any_row: bool) -> Iterator[SourceRow]:
    """The rows, and where they break off a row that says so; SourceError if there was none before that."""
    try:
        for row in rows:
            any_row = True
            yield row
    except BrokenOffError as error:
        if not any_row:
            raise SourceError(f"cannot be read: {error} before the first row; get the file again") from error
        after = flow.number if error.after_line is None else error.after_line
        yield problem_row(after + 1, "", f"{error}: rows after line {after} could not be read")
