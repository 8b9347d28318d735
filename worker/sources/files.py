"""Sources that are files or standard input: which one, in which format, and what to say when it cannot be read."""

import hashlib
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path
from stat import S_ISDIR
from typing import BinaryIO, Protocol

from closeout.worker.domain.item import SourceRow
from closeout.worker.sources.chunks import read_chunks
from closeout.worker.sources.decoding import decoded
from closeout.worker.sources.decompress import BrokenOffError, decompressed
from closeout.worker.sources.delimited import Table
from closeout.worker.sources.line_formats import JsonLines, PlainLines
from closeout.worker.sources.lines import Lines
from closeout.worker.sources.protocol import Source
from closeout.worker.sources.session_ids import ReadingError, normalise_id, problem_row, sample_of, shown, strip_blanks
from closeout.worker.support.errors import SourceError
from closeout.worker.support.suggestions import file_meant

STANDARD_INPUT = "-"
_FORMATS = {".csv": "csv", ".tsv": "tsv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".txt": "txt"}
_COMPRESSIONS = (".gz", ".zst")
_begins_array = re.compile(r'\[\s*(["\[{\]]|$|-?\d|null|true|false)').match
_begins_object = re.compile(r'\{\s*("|$|\})').match
_WORKBOOKS = (".xlsx", ".xls", ".xlsm", ".ods")


class Checksum:
    """``value`` is the digest in hexadecimal, once the bytes have been read to their end."""

    def __init__(self) -> None:
        self.value: str | None = None

    def over(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        """The same chunks."""
        digest, self.value = hashlib.sha256(), None
        for chunk in chunks:
            digest.update(chunk)
            yield chunk
        self.value = digest.hexdigest()


def open_source(
    source: str, *, id_column: str | None = None, lenient: bool = False, stdin: BinaryIO | None = None
) -> Source:
    """The source that ``source`` names: a file, or ``-`` for standard input (``stdin``, where it is given).

    ``id_column`` is the name of the id's column or field, or a column's 1-based number; ``lenient``: ids are read
    also where they are wrapped, as in a URL. Raises SourceError, here or at the first batch, if the source cannot be
    read at all.
    """
    if not source:
        raise SourceError("SOURCE is empty: name a file, or - for standard input")
    if id_column is not None and not strip_blanks(id_column):
        raise SourceError("--id-column is empty: give the name of the id's column or field, or the column's number")
    if source == STANDARD_INPUT:
        return _ByteSource("standard input", None, id_column, lenient, None, "", partial(_opened_stdin, stdin))
    name = shown(source, 4_096)
    try:
        location = _location(source)
        opened = partial(_opened_file, location)
        return _ByteSource(name, location, id_column, lenient, *_promised_by_name(source), opened)
    except SourceError as error:
        raise SourceError(f"{name} {error}") from error.__cause__


def format_of_beginning(beginning: list[str]) -> str:
    """The format of a text of unknown name with these first lines: ``jsonl``, ``txt`` or ``csv``.

    A first line in quotes is JSON only if it holds an id: CSV headers come in quotes as well.
    """
    line = next((line.strip() for line in beginning if _says_something(line)), "")
    is_id = normalise_id(line) is not None  # which may stand in braces
    if (line.startswith("{") and not is_id) or (line.startswith('"') and is_id):
        return "jsonl"
    return "txt" if is_id else "csv"


def refusal_of_json(beginning: list[str], format_: str | None) -> str | None:
    """Why a text with these first lines is not read: it is JSON, but not one value a line; None where it may be."""
    line = next((line.strip() for line in beginning if line.strip()), "")
    if _begins_array(line):
        return "is a JSON array: give one object or id a line (JSON lines)"
    if _begins_object(line) and format_ not in (None, "jsonl"):
        return f"holds JSON, and is named .{format_}: name it .jsonl, with one object a line"
    if line == "{":
        return "is JSON that spans lines: give one object a line (JSON lines)"
    return None


class _Rows(Protocol):
    """The rows of one format. ``reading`` says how their ids are found, once the first row has been read."""

    @property
    def reading(self) -> str: ...
    def rows(self) -> Iterator[SourceRow]: ...


@dataclass
class _ByteSource:
    """Rows from a stream of bytes; ``name`` stands at the beginning of every complaint.

    ``format`` is None where the beginning of the stream has to tell; ``compression`` is the suffix that promises one.
    """

    name: str
    location: str | None
    id_column: str | None
    lenient: bool
    format: str | None
    compression: str
    opened: Callable[[], AbstractContextManager[BinaryIO]]
    checksum: Checksum = field(default_factory=Checksum)
    reading: str | None = field(default=None, init=False)

    @property
    def sha256(self) -> str | None:
        return self.checksum.value

    def batches(self, size: int) -> Iterator[list[SourceRow]]:
        """Yields the rows in order, ``size`` at a time, or fewer where the stream pauses, as the protocol says."""
        if size < 1:
            raise ValueError("a batch holds at least one row")
        try:
            with self.opened() as stream:
                yield from self._batches(
                    Lines(decoded(decompressed(self.checksum.over(read_chunks(stream)), self.compression))), size
                )
        except (SourceError, ReadingError) as error:
            raise SourceError(f"{self.name} {error}") from error.__cause__

    def _batches(self, lines: Lines, size: int) -> Iterator[list[SourceRow]]:
        any_row = False
        parsed = self._parsed(lines)
        while True:
            rows = _with_break(parsed.rows(), lines, any_row=any_row)
            while batch := _filled(rows, size, begun=any_row):
                self.reading = self.reading or _reading_of(parsed, batch, lenient=self.lenient)
                any_row = True
                yield batch
            if not lines.paused:
                break
            lines.go_on()
        if not any_row:
            raise SourceError("is empty: give a source with at least one session id")

    def _parsed(self, lines: Lines) -> _Rows:
        beginning = lines.peek(_show_format)
        if (refusal := refusal_of_json(beginning, self.format)) is not None:
            raise SourceError(refusal)
        match self.format or format_of_beginning(beginning):
            case "jsonl":
                return JsonLines(lines, self.id_column, lenient=self.lenient)
            case "txt":
                return PlainLines(lines, self.id_column, lenient=self.lenient)
            case name:
                return Table(lines, self.id_column, tabs=name == "tsv", lenient=self.lenient)


def _show_format(beginning: list[str]) -> bool:
    return any(map(_says_something, beginning))


def _says_something(line: str) -> bool:
    return bool(line.strip()) and not strip_blanks(line).startswith("#")


def _reading_of(parsed: _Rows, batch: list[SourceRow], *, lenient: bool) -> str:
    first = next((row.session_id for row in batch if row.session_id is not None), None)
    how = f"ids: {parsed.reading}{', also wrapped (lenient)' if lenient else ''}"
    return how + (f"; first {sample_of(first)}" if first is not None else "")


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


def _with_break(rows: Iterator[SourceRow], lines: Lines, *, any_row: bool) -> Iterator[SourceRow]:
    """The rows, and where they break off a row that says so; SourceError if there was none before that."""
    try:
        for row in rows:
            any_row = True
            yield row
    except BrokenOffError as error:
        if not any_row:
            raise SourceError(f"cannot be read: {error} before the first row; get the file again") from error
        after = lines.number if error.after_line is None else error.after_line
        yield problem_row(after + 1, "", f"{error}: rows after line {after} could not be read")


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
        near = file_meant(path)
        hint = f"did you mean {shown(str(near), 4_096)!r}?" if near is not None else "check its path"
        raise SourceError(f"does not exist: {hint}") from error
    except OSError as error:
        raise SourceError(_refusal(error)) from error
    except ValueError as error:
        raise SourceError("is no file name") from error


def _promised_by_name(source: str) -> tuple[str, str]:
    """The format, and the suffix of a compression or nothing."""
    name = Path(source).name.lower()
    if name.endswith(_WORKBOOKS):
        raise SourceError("is a workbook: export it as CSV")
    compression = next((suffix for suffix in _COMPRESSIONS if name.endswith(suffix)), "")
    format_ = _FORMATS.get(Path(name.removesuffix(compression)).suffix)
    if format_ is None:
        supported = " ".join(_FORMATS)
        raise SourceError(
            f"has no extension that is known here: {supported} are, each also with {' or '.join(_COMPRESSIONS)}"
        )
    return format_, compression


def _refusal(error: OSError) -> str:
    if isinstance(error, PermissionError):
        return "cannot be opened, its permissions forbid it: allow reading it"
    return f"cannot be opened: {error.strerror or error}"
