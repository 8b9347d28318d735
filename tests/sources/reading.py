"""Shared by the tests of the sources: write a file, read it whole."""

import io
from pathlib import Path

from closeout.worker.domain.item import SourceRow
from closeout.worker.sources import open_source

A = "0b5c8d1e-3f7a-4c62-9d10-5e8f7a6b4c3d"
B = "f47ac10b-58cc-4372-a567-0e02b2c3d479"
C = "16fd2706-8baf-433b-82eb-8c7fada847da"


def write(folder: Path, name: str, content: str | bytes) -> str:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return str(path)


def read(source: str, *, id_column: str | None = None, size: int = 1_000) -> list[SourceRow]:
    batches = open_source(source, id_column=id_column).batches(size)
    return [row for batch in batches for row in batch]


def read_content(folder: Path, name: str, content: str | bytes, *, id_column: str | None = None) -> list[SourceRow]:
    return read(write(folder, name, content), id_column=id_column)


def read_stdin(content: str | bytes, *, id_column: str | None = None) -> list[SourceRow]:
    stream = io.BytesIO(content.encode() if isinstance(content, str) else content)
    batches = open_source("-", id_column=id_column, stdin=stream).batches(1_000)
    return [row for batch in batches for row in batch]


def ids(rows: list[SourceRow]) -> list[tuple[int, str | None]]:
    return [(row.line, row.session_id) for row in rows]
