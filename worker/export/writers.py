"""From rows to the bytes of a file: by format, and compressed where its name says so."""

import gzip
import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, BinaryIO, Protocol, cast

import zstandard

from closeout.worker.export.formats import Format
from closeout.worker.export.parquet import Parquet
from closeout.worker.export.text import Rows, Textual


class RowWriter(Protocol):
    """Takes rows, batch after batch; blocking."""

    def write(self, rows: Rows) -> None: ...
    def finish(self) -> None:
        """Write what must stand at the end; the file stays open."""
        ...


@contextmanager
def encoded(out: BinaryIO, format: Format, compression: str = "") -> Iterator[RowWriter]:
    """A writer of rows to ``out``, which is left open; all is in it once the block has ended well."""
    if format == "parquet":
        writer = Parquet(out)
        yield writer
        writer.finish()
        return
    with _compressed(out, compression) as inner:
        text = io.TextIOWrapper(cast("IO[bytes]", inner), encoding="utf-8", newline="", write_through=False)
        lines = Textual(text, format)
        yield lines
        lines.finish()
        text.detach()


@contextmanager
def _compressed(out: BinaryIO, compression: str) -> Iterator[object]:
    if compression == ".gz":
        with gzip.GzipFile(fileobj=out, mode="wb", compresslevel=6, mtime=0) as packed:
            yield packed
    elif compression == ".zst":
        with zstandard.ZstdCompressor().stream_writer(out, closefd=False) as frames:
            yield frames
    else:
        yield out
