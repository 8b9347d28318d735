"""The rows of a run as a file, or on standard output."""

import sys
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import BinaryIO, TextIO, cast

import anyio.to_thread

from closeout.worker.domain.run import Run
from closeout.worker.export.formats import Format, compression_of, format_of
from closeout.worker.export.placement import Note, Signature, unnoted, written
from closeout.worker.export.text import Textual
from closeout.worker.export.writers import RowWriter, encoded
from closeout.worker.ledger.protocol import Ledger
from closeout.worker.ledger.records import ALL_ROWS, RowFilter
from closeout.worker.support.errors import ConfigurationError

Batches = AsyncIterator[list[tuple[object, ...]]]


async def write_rows(batches: Batches, out: TextIO, format: Format) -> int:
    """Write all rows as text, a batch at a time; returns how many. ``out`` must not translate line ends."""
    writer = Textual(out, format)
    count = await _pour(batches, writer)
    writer.finish()
    return count


async def export_file(
    batches: Batches, path: Path, format: Format, over: Signature | None = None, note: Note = unnoted
) -> int:
    """Write all rows to a file that appears, whole and private, when it is complete. Raises CloseoutError.

    ``over`` and ``note`` are those of ``placement.written``.
    """
    async with written(path, over, note) as out:
        with encoded(out, format, compression_of(path.name)) as writer:
            count = await _pour(batches, writer)
    return count


async def export_run(  # noqa: PLR0917  # what of a run, where to, and how
    ledger: Ledger,
    run: Run,
    output: str | None,
    format: str | None,
    chosen: RowFilter = ALL_ROWS,
    over: Signature | None = None,
) -> int:
    """Export a run to a file, or to standard output without one (or to ``-``); returns the number of rows.

    ``over`` is what stands there and may be replaced.

    Raises ConfigurationError for an impossible format, CloseoutError where the file cannot be written.
    """
    wanted = format_of(output, format)
    rows = ledger.results(run, chosen)
    if output is not None and output != "-":
        return await export_file(rows, Path(output), wanted, over, partial(ledger.reports.note_made, run, "export"))
    if wanted != "parquet":
        return await write_rows(rows, sys.stdout, wanted)
    if sys.stdout.isatty():
        raise ConfigurationError("Parquet is not for a terminal: name a file with --output")
    with encoded(cast("BinaryIO", sys.stdout.buffer), wanted) as writer:
        return await _pour(rows, writer)


async def _pour(batches: Batches, writer: RowWriter) -> int:
    """In a worker thread, as it blocks and takes its time."""
    count = 0
    async for batch in batches:
        await anyio.to_thread.run_sync(writer.write, batch)
        count += len(batch)
    return count
