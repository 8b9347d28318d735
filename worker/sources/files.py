"""Sources that are files or standard input: which one, in which format, and what to say when it cannot be read."""

import difflib
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from stat import S_ISDIR
from typing import BinaryIO

from worker.errors import SourceError
from worker.models import SourceRow
from worker.sources.bytestream import BrokenOffError, decompressed, read_chunks
from worker.sources.decoding import decoded
from worker.sources.delimited import delimited_rows
from worker.sources.identifiers import normalise_id
from worker.sources.jsonlines import json_rows
from worker.sources.lines import Lines
from worker.sources.plain import plain_rows
from worker.sources.problems import problem_row, shown
from worker.sources.protocol import Source

STANDARD_INPUT = "-"
_FORMATS = {".csv": "csv", ".tsv": "tsv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".txt": "txt"}
_COMPRESSIONS = (".gz", ".zst")
_WORKBOOKS = (".xlsx", ".xls", ".xlsm", ".ods")
_MOST_NAMES_COMPARED = 10_000


def open_source(source: str, *, id_column: str | None = None, stdin: BinaryIO | None = None) -> Source:
    """The source that ``source`` names: a file, or ``-`` for standard input (``stdin``, where it is given).

    ``id_column`` is the name of the id's column or field, or a column's 1-based number. Raises SourceError, here
    or at the first batch, if the source cannot be read at all.
    """
    if source == STANDARD_INPUT:
        return _ByteSource("standard input", None, id_column, None, partial(_opened_stdin, stdin))
    name = shown(source, 4_096)
    try:
        location = _location(source)
        return _ByteSource(name, location, id_column, _format_of_name(source), partial(_opened_file, location))
    except SourceError as error:
        raise SourceError(f"{name} {error}") from error.__cause__


def format_of_beginning(beginning: list[str]) -> str:
    """The format of a text of unknown name with these first lines: ``jsonl``, ``txt`` or ``csv``.

    A first line in quotes is JSON only if it holds an id: CSV headers come in quotes as well.
    """
    line = next((line.strip() for line in beginning if line.strip()), "")
    if line.startswith("{") or (line.startswith('"') and normalise_id(line)):
        return "jsonl"
    return "txt" if line.startswith("#") or normalise_id(line) else "csv"


@dataclass(frozen=True)
class _ByteSource:
    """Rows from a stream of bytes; ``name`` stands at the beginning of every complaint.

    ``format`` is None where the beginning of the stream has to tell.
    """

    name: str
    location: str | None
    id_column: str | None
    format: str | None
    opened: Callable[[], AbstractContextManager[BinaryIO]]

    def batches(self, size: int) -> Iterator[list[SourceRow]]:
        """Yields the rows in order, ``size`` at a time, as the protocol says."""
        if size < 1:
            raise ValueError("a batch holds at least one row")
        try:
            with self.opened() as stream:
                rows = self._rows(stream)
                while batch := list(islice(rows, size)):
                    yield batch
        except SourceError as error:
            raise SourceError(f"{self.name} {error}") from error.__cause__

    def _rows(self, stream: BinaryIO) -> Iterator[SourceRow]:
        lines = Lines(decoded(decompressed(read_chunks(stream))))
        any_row = False
        try:
            for row in self._parsed(lines):
                any_row = True
                yield row
        except BrokenOffError as error:
            if not any_row:
                raise SourceError(f"cannot be read: {error} before the first row; get the file again") from error
            after = lines.number if error.after_line is None else error.after_line
            yield problem_row(after + 1, "", f"{error}: rows after line {after} could not be read")
            return
        if not any_row:
            raise SourceError("is empty: give a source with at least one session id")

    def _parsed(self, lines: Lines) -> Iterator[SourceRow]:
        match self.format or format_of_beginning(lines.peek()):
            case "jsonl":
                return json_rows(lines, self.id_column)
            case "txt":
                return plain_rows(lines)
            case name:
                return delimited_rows(lines, self.id_column, tabs=name == "tsv")


def _opened_file(location: str) -> BinaryIO:
    try:
        return Path(location).open("rb")
    except OSError as error:
        raise SourceError(_refusal(error)) from error


def _opened_stdin(stdin: BinaryIO | None) -> AbstractContextManager[BinaryIO]:
    if stdin is not None:
        return nullcontext(stdin)
    if sys.stdin is None:
        raise SourceError("is closed: pipe the session ids in, or name a file")
    return nullcontext(sys.stdin.buffer)


def _location(source: str) -> str:
    """The absolute path of an existing file, links resolved."""
    path = Path(source)
    try:
        if S_ISDIR(path.stat().st_mode):
            raise SourceError("is a folder: name one of its files")
        return str(path.resolve())
    except FileNotFoundError as error:
        near = difflib.get_close_matches(path.name, _names_beside(path), n=1)
        hint = f"did you mean {shown(str(path.with_name(near[0])), 4_096)!r}?" if near else "check its path"
        raise SourceError(f"does not exist: {hint}") from error
    except OSError as error:
        raise SourceError(_refusal(error)) from error
    except ValueError as error:
        raise SourceError("is no file name") from error


def _names_beside(path: Path) -> list[str]:
    try:
        with os.scandir(path.parent) as entries:
            return [entry.name for entry in islice(entries, _MOST_NAMES_COMPARED) if entry.is_file()]
    except OSError:
        return []


def _format_of_name(source: str) -> str:
    name = Path(source).name.lower()
    if name.endswith(_WORKBOOKS):
        raise SourceError("is a workbook: export it as CSV")
    for compression in _COMPRESSIONS:
        if name.endswith(compression):
            name = name.removesuffix(compression)
            break
    format_ = _FORMATS.get(Path(name).suffix)
    if format_ is None:
        supported = " ".join(_FORMATS)
        raise SourceError(
            f"has no extension that is known here: {supported} are, each also with {' or '.join(_COMPRESSIONS)}"
        )
    return format_


def _refusal(error: OSError) -> str:
    if isinstance(error, PermissionError):
        return "cannot be opened, its permissions forbid it: allow reading it"
    return f"cannot be opened: {error.strerror or error}"
