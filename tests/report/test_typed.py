"""Exports for programs: Parquet with types, and what is compressed; as records, too."""

import gzip
import io
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import anyio
import pyarrow  # type: ignore[import-untyped]  # it brings none
import pyarrow.parquet as pq  # type: ignore[import-untyped]  # it brings none
import pytest
import zstandard

from closeout.worker.domain.item import Outcome
from closeout.worker.export import parquet
from closeout.worker.export.columns import DESCRIBED
from closeout.worker.export.formats import Format, check_place, filter_of, format_of
from closeout.worker.export.partial import Following
from closeout.worker.export.result_row import ResultRow, record_of
from closeout.worker.export.run_export import export_file
from closeout.worker.ledger.protocol import Ledger
from closeout.worker.ledger.records import COLUMNS, RowFilter
from closeout.worker.support.errors import ConfigurationError, LedgerError
from tests.report.support import SESSION, result_row

CLOSED_AT = "2026-03-02T10:00:00.123Z"
ROW = result_row(
    run="k3m9x2pq", session_id=SESSION, outcome="closed", eval_settled=1, attempts=2, closed_at=CLOSED_AT, line=7
)
INVALID = result_row(run="k3m9x2pq", session_id="=1\ud800", outcome="invalid", eval_settled=0, attempts=0, line=8)


async def _batches(count: int) -> AsyncIterator[list[tuple[object, ...]]]:
    yield [ROW, INVALID]
    for _ in range(count - 1):
        yield [ROW]


def written(path: Path, batches: int = 1) -> Path:
    format: Format = format_of(path.name, None)
    assert anyio.run(export_file, _batches(batches), path, format) == batches + 1
    return path


def test_columns_records_and_results_are_the_same_and_described() -> None:
    """In the order of the contract."""
    assert tuple(column.name for column in DESCRIBED) == COLUMNS == tuple(ResultRow.__dataclass_fields__)
    assert all(column.meaning for column in DESCRIBED)


def test_parquet_has_typed_columns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Integers, timestamps in UTC, strings; in groups of rows; half a character does not stop it."""
    monkeypatch.setattr(parquet, "_GROUP", 2)
    path = written(tmp_path / "rows.parquet", batches=4)
    table: Any = pq.read_table(path)
    types = {"text": pyarrow.string(), "integer": pyarrow.int64(), "instant": pyarrow.timestamp("ms", "UTC")}
    assert table.schema.equals(pyarrow.schema([(column.name, types[column.kind]) for column in DESCRIBED]))
    first, second, *_ = table.to_pylist()
    assert first["closed_at"] == datetime(2026, 3, 2, 10, 0, 0, 123_000, tzinfo=UTC)
    assert (first["attempts"], first["line"], first["http_status"], first["detail"]) == (2, 7, None, None)
    assert second["session_id"] == "=1�"
    assert pq.ParquetFile(path).metadata.num_row_groups == 3
    empty = pq.read_table(anyio.run(_empty, tmp_path / "none.parquet"))
    assert (empty.num_rows, empty.column_names) == (0, list(COLUMNS))


async def _empty(path: Path) -> Path:
    async def none() -> AsyncIterator[list[tuple[object, ...]]]:
        for rows in list[list[tuple[object, ...]]]():
            yield rows

    await export_file(none(), path, "parquet")
    return path


def test_a_record_has_the_types_of_its_fields() -> None:
    """Outcome, truth and instants; what is empty is None."""
    record = record_of(ROW)
    assert (record.outcome, record.eval_settled, record.line) == (Outcome.CLOSED, True, 7)
    assert record.closed_at == datetime(2026, 3, 2, 10, 0, 0, 123_000, tzinfo=UTC)
    assert record.settled_at is None


def test_a_compressed_file_holds_what_a_plain_one_does(tmp_path: Path) -> None:
    """Gzip and zstd, of CSV and JSON lines."""
    plain = written(tmp_path / "rows.csv").read_bytes()
    assert gzip.decompress(written(tmp_path / "rows.csv.gz").read_bytes()) == plain
    packed = io.BytesIO(written(tmp_path / "rows.jsonl.zst").read_bytes())
    assert zstandard.ZstdDecompressor().stream_reader(packed).read() == written(tmp_path / "rows.jsonl").read_bytes()


def test_what_cannot_be_written_is_told_before_any_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Parquet without its package or compressed once more, an unknown format, a folder that is not there."""
    with pytest.raises(ConfigurationError, match="compressed inside"):
        format_of("rows.parquet.gz", None)
    with pytest.raises(ConfigurationError, match="did you mean parquet"):
        format_of(None, "parket")
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(ConfigurationError, match=r"pip install 'closeout\[parquet\]'"):
        format_of("rows.parquet", None)
    for place, told in (("missing/rows.csv", "does not exist"), (".", "is a folder")):
        with pytest.raises(ConfigurationError, match=told):
            check_place(str(tmp_path / place), "--output")
    assert "pyarrow.parquet" in sys.modules  # what was missing above is missing to the check alone


def test_a_filter_takes_outcomes_in_any_spelling_and_verdicts_as_they_are() -> None:
    """An outcome that there is not is refused with the one that was meant."""
    assert filter_of("failed, Not-Found,in doubt", "success,It's new") == RowFilter(
        frozenset({Outcome.FAILED, Outcome.NOT_FOUND, Outcome.IN_DOUBT}), frozenset({"success", "It's new"})
    )
    assert filter_of(None, None) == RowFilter()
    for wrong, told in (("rejcted", "did you mean rejected?"), ("xyz", "use one of closed, already_closed")):
        with pytest.raises(ConfigurationError, match=told.replace("?", r"\?")):
            filter_of(wrong, None)


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_part_that_cannot_be_written_leaves_the_run_alone(tmp_path: Path) -> None:
    """Whatever is wrong, with the file or with the ledger, is said, and nothing is raised into the run."""
    said: list[str] = []
    log = SimpleNamespace(warning=lambda _, file, why: said.append(f"{Path(file).name}: {why}"))
    context: Any = SimpleNamespace(run=SimpleNamespace(name="run"), recorder=SimpleNamespace(listeners=[]), log=log)

    @asynccontextmanager
    async def locked() -> AsyncIterator[Ledger]:
        raise LedgerError("the ledger is locked")
        yield

    for folder in (tmp_path, tmp_path / "missing"):
        await Following(str(folder / "rows.csv"), locked).run(context)
    assert said == ["rows.csv.part: the ledger is locked", "rows.csv.part: No such file or directory"]
    assert context.recorder.listeners == []
