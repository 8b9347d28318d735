"""Rows as lines of CSV or JSON."""

import csv
import json
import re
from collections.abc import Sequence
from typing import TextIO

from closeout.worker.export.formats import Format
from closeout.worker.ledger.records import COLUMNS

Rows = Sequence[Sequence[object]]

# What a spreadsheet takes for the beginning of a formula, blanks before it included. Apostrophes before it count as
# well, so that taking one away restores any cell.
_FORMULA = re.compile(r"'*[\s\x00\ufeff]*[=+\-@＝＋－＠]|'*[\t\r\n]")  # noqa: RUF001  # full-width signs are meant
_SURROGATE = re.compile(r"[\ud800-\udfff]")


class Textual:
    """Writes rows to a text file that does not translate line ends; a CSV begins with its header."""

    def __init__(self, out: TextIO, format: Format) -> None:
        self._out = out
        self._table = csv.writer(_Lines(out), lineterminator="\r\n") if format == "csv" else None
        if self._table is not None:
            self._table.writerow(COLUMNS)

    def write(self, rows: Rows) -> None:
        if self._table is not None:
            self._table.writerows([_cell(value) for value in row] for row in rows)
        else:
            self._out.writelines(_json(dict(zip(COLUMNS, row, strict=True))) + "\n" for row in rows)

    def finish(self) -> None:
        self._out.flush()


class _Lines:
    """Ends each line of a csv.writer with a bare line feed.

    The writer is told CR LF, because some versions quote only those line ends which they write themselves.
    """

    def __init__(self, out: TextIO) -> None:
        self._out = out

    def write(self, line: str) -> None:
        self._out.write(line.removesuffix("\r\n") + "\n")


def _cell(value: object) -> object:
    """A NULL is an empty cell; text is defused, numbers stay as they are."""
    return defused(whole(value)) if isinstance(value, str) else value


def whole(text: str) -> str:
    """The text without halves of characters, which no encoding has."""
    return _SURROGATE.sub("�", text)


def defused(text: str) -> str:
    """The text, with an apostrophe before it where a spreadsheet would run it as a formula."""
    return f"'{text}" if _FORMULA.match(text) else text


def _json(row: dict[str, object]) -> str:
    """One line. A lone surrogate has no UTF-8 and is escaped, with whatever stands beside it."""
    line = json.dumps(row, ensure_ascii=False)
    return json.dumps(row) if _SURROGATE.search(line) else line
