"""Rows as a Parquet file with typed columns, a group of rows at a time."""

import importlib
from typing import Any, BinaryIO

from closeout.worker.export.columns import DESCRIBED, Column
from closeout.worker.export.text import Rows, whole

_GROUP = 100_000  # rows; what is in memory at a time


class Parquet:
    """Integers as int64, instants as timestamps (ms, UTC), the rest as strings; compressed with zstd."""

    def __init__(self, out: BinaryIO) -> None:
        self._arrow: Any = importlib.import_module("pyarrow")  # an extra, and slow to load
        files: Any = importlib.import_module("pyarrow.parquet")
        self._schema = self._arrow.schema([(column.name, self._type(column)) for column in DESCRIBED])
        self._file = files.ParquetWriter(out, self._schema, compression="zstd")
        self._batches: list[Any] = []
        self._held = 0

    def _type(self, column: Column) -> Any:
        types = {"integer": self._arrow.int64(), "instant": self._arrow.timestamp("ms", tz="UTC")}
        return types.get(column.kind, self._arrow.string())

    def write(self, rows: Rows) -> None:
        columns = zip(*rows, strict=True) if rows else ((),) * len(DESCRIBED)
        arrays = [self._array(*pair) for pair in zip(DESCRIBED, columns, strict=True)]
        self._batches.append(self._arrow.RecordBatch.from_arrays(arrays, schema=self._schema))
        self._held += len(rows)
        if self._held >= _GROUP:
            self._write_group()

    def _array(self, column: Column, values: tuple[Any, ...]) -> Any:
        if column.kind == "integer":
            return self._arrow.array(values, self._arrow.int64())
        if column.kind == "text":
            return self._arrow.array([None if value is None else whole(value) for value in values], self._type(column))
        return self._arrow.array(values, self._arrow.string()).cast(self._type(column))

    def _write_group(self) -> None:
        table = self._arrow.Table.from_batches(self._batches, schema=self._schema)
        self._file.write_table(table, row_group_size=_GROUP)
        self._batches, self._held = [], 0

    def finish(self) -> None:
        if self._held:
            self._write_group()
        self._file.close()
