"""The rows of a run as CSV or JSON lines."""

import csv
import json
import os
import re
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path, PurePath
from typing import Literal, TextIO, cast

from worker.errors import CloseoutError, ConfigurationError
from worker.ledger.protocol import COLUMNS, Ledger
from worker.models import Run

Format = Literal["csv", "jsonl"]
Batches = AsyncIterator[list[tuple[object, ...]]]
_ENDINGS: dict[str, Format] = {".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl"}

# What a spreadsheet takes for the beginning of a formula, blanks before it included. Apostrophes before it count as
# well, so that taking one away restores any cell.
_FORMULA = re.compile(r"'*[\s\x00\ufeff]*[=+\-@＝＋－＠]|'*[\t\r\n]")  # noqa: RUF001  # full-width signs are meant
_SURROGATE = re.compile(r"[\ud800-\udfff]")


def format_of(output: str | None, format: str | None) -> Format:
    """The format that was asked for, else the one the file's name ends in, else CSV. Raises ConfigurationError."""
    if format is not None:
        if format not in _ENDINGS.values():
            raise ConfigurationError(f"--format {format!r} is not possible: choose csv or jsonl")
        return cast("Format", format)
    if output is None or output == "-":
        return "csv"
    found = _ENDINGS.get(PurePath(output).suffix.lower())
    if found is None:
        raise ConfigurationError(
            f"the name {output!r} does not tell a format: let it end in {', '.join(_ENDINGS)}, "
            "or give --format csv or --format jsonl"
        )
    return found


async def write_rows(batches: Batches, out: TextIO, format: Format) -> int:
    """Write all rows, a batch at a time; returns how many there were. ``out`` must not translate line ends."""
    write = _csv_writer(out) if format == "csv" else _jsonl_writer(out)
    count = 0
    async for batch in batches:
        write(batch)
        count += len(batch)
    return count


async def export_file(batches: Batches, path: Path, format: Format) -> int:
    """Write all rows to a file that appears, whole and private, when it is complete. Raises CloseoutError."""
    with _replaced(path) as out:
        count = await write_rows(batches, out, format)
    return count


async def export_run(ledger: Ledger, run: Run, output: str | None, format: str | None) -> int:
    """Export a run to a file, or to standard output without one (or to ``-``); returns the number of rows.

    Raises ConfigurationError for an impossible format, CloseoutError where the file cannot be written.
    """
    chosen = format_of(output, format)
    if output is None or output == "-":
        return await write_rows(ledger.results(run), sys.stdout, chosen)
    return await export_file(ledger.results(run), Path(output), chosen)


_Write = Callable[[Sequence[Sequence[object]]], None]


class _Lines:
    """Ends each line of a csv.writer with a bare line feed.

    The writer is told CR LF, because some versions quote only those line ends which they write themselves.
    """

    def __init__(self, out: TextIO) -> None:
        self._out = out

    def write(self, line: str) -> None:
        self._out.write(line.removesuffix("\r\n") + "\n")


def _csv_writer(out: TextIO) -> _Write:
    writer = csv.writer(_Lines(out), lineterminator="\r\n")
    writer.writerow(COLUMNS)

    def write(batch: Sequence[Sequence[object]]) -> None:
        writer.writerows([_cell(value) for value in row] for row in batch)

    return write


def _cell(value: object) -> object:
    """A NULL is an empty cell; text is defused, numbers stay as they are."""
    return defused(_SURROGATE.sub("�", value)) if isinstance(value, str) else value


def defused(text: str) -> str:
    """The text, with an apostrophe before it where a spreadsheet would run it as a formula."""
    return f"'{text}" if _FORMULA.match(text) else text


def _jsonl_writer(out: TextIO) -> _Write:
    def write(batch: Sequence[Sequence[object]]) -> None:
        out.writelines(_json(dict(zip(COLUMNS, row, strict=True))) + "\n" for row in batch)

    return write


def _json(row: dict[str, object]) -> str:
    """One line. A lone surrogate has no UTF-8 and is escaped, with whatever stands beside it."""
    line = json.dumps(row, ensure_ascii=False)
    return json.dumps(row) if _SURROGATE.search(line) else line


@contextmanager
def _replaced(path: Path) -> Iterator[TextIO]:
    """A file to write, moved to ``path`` at the end. What is no plain file (a device, a pipe) is written as it is."""
    try:
        if path.exists() and not path.is_file():
            with path.open("w", encoding="utf-8", newline="") as out:
                yield out
        else:
            with _moved_into_place(path.resolve()) as out:
                yield out
    except OSError as error:
        raise CloseoutError(f"cannot write {path}: {error.strerror or error}") from error


@contextmanager
def _moved_into_place(path: Path) -> Iterator[TextIO]:
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # mode 0600
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="") as out:
            yield out
            out.flush()
            os.fsync(out.fileno())
        Path(name).replace(path)
    except BaseException:
        with suppress(OSError):
            Path(name).unlink()
        raise
