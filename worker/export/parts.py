"""The part of an export that grows while a run goes on: its place, and how it is known again after a crash."""

import csv
import json
import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TextIO, TypeVar

from closeout.worker.domain.run import Run
from closeout.worker.export.formats import Format, compression_of, format_of
from closeout.worker.ledger.records import COLUMNS

_T = TypeVar("_T")


def can_follow(output: str) -> bool:
    """Whether half of such a file can be read: text can, what is packed cannot, and a device keeps no part."""
    path = Path(output)
    if output == "-" or compression_of(output) or format_of(output, None) == "parquet":
        return False
    return not path.exists() or path.is_file()


def part_of(output: str) -> Path:
    """Where the rows go while the run is at work."""
    return Path(output + ".part")


def new_part(output: str, run: Run) -> TextIO:
    """An empty part, private, in the place of one that was left behind. Raises OSError where anything else is there."""
    remove_part(output, run)
    handle = os.open(part_of(output), os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW, 0o600)
    return os.fdopen(handle, "w", encoding="utf-8", newline="")


def remove_part(output: str, run: Run) -> None:
    """The file is complete, or the part begins anew. What is no part of an export of this run stays."""
    part = part_of(output)
    if can_follow(output) and is_part(part, run, format_of(output, None)):
        with suppress(OSError):
            part.unlink()


def is_part(path: Path, run: Run, format: Format) -> bool:
    """Whether it holds rows of this run and nothing else, the last one perhaps not whole."""
    try:
        if path.is_symlink() or not path.is_file():
            return False
        with path.open(encoding="utf-8", errors="replace", newline="") as lines:
            return _is_table(lines, run) if format == "csv" else _are_objects(lines, run)
    except (OSError, ValueError, csv.Error):
        return False


def _is_table(lines: Iterable[str], run: Run) -> bool:
    rows = csv.reader(lines)
    header = next(rows, None)
    if header is None:
        return True
    return tuple(header) == COLUMNS and all(
        row[0] == run.name and len(row) == len(COLUMNS) if not last else run.name.startswith(row[0])
        for row, last in _with_last(rows)
    )


def _are_objects(lines: Iterable[str], run: Run) -> bool:
    for line, last in _with_last(lines):
        if last and not line.endswith("\n"):
            return line.startswith(f'{{"run": "{run.name}"') or f'{{"run": "{run.name}"'.startswith(line)
        row = json.loads(line)
        if not isinstance(row, dict) or tuple(row) != COLUMNS or row["run"] != run.name:
            return False
    return True


def _with_last(items: Iterable[_T]) -> Iterator[tuple[_T, bool]]:
    """Each of them, and whether it is the last one."""
    before: list[_T] = []
    for item in items:
        yield from ((one, False) for one in before)
        before = [item]
    yield from ((one, True) for one in before)
