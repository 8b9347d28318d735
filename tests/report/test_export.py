"""Exports: nothing is lost on the way to a file, and no cell runs in a spreadsheet."""

import csv
import hashlib
import io
import json
import stat
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any, cast

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from closeout.worker.domain.run import Run
from closeout.worker.export.formats import Format, format_of
from closeout.worker.export.placement import signature_of
from closeout.worker.export.run_export import export_file, export_run, write_rows
from closeout.worker.export.text import defused
from closeout.worker.ledger.protocol import Ledger
from closeout.worker.ledger.records import COLUMNS, RowFilter
from closeout.worker.support.errors import CloseoutError, ConfigurationError
from tests.report.support import RUN, SESSION, result_row

Row = tuple[object, ...]
DANGEROUS = "=+-@\t\r\n＝＋－＠"  # noqa: RUF001  # full-width signs are meant
TEXTS = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"])),
    st.text(alphabet=" '\"\t\r\n,;=+-@＝＠\x00\ufeffa1", max_size=6),  # noqa: RUF001
)
ROWS = st.tuples(*[st.one_of(st.none(), st.integers(-(2**40), 2**40), TEXTS) for _ in COLUMNS])


async def _batches(*batches: Sequence[Row]) -> AsyncIterator[list[Row]]:
    for batch in batches:
        yield list(batch)


def written(rows: Sequence[Row], format: Format) -> str:
    """What an export of the rows, in batches of two, consists of."""
    out = io.StringIO(newline="")
    pairs = [rows[at : at + 2] for at in range(0, len(rows), 2)]
    assert anyio.run(write_rows, _batches(*pairs), out, format) == len(rows)
    return out.getvalue()


def cells(text: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text, newline="")))


def undefused(cell: str) -> str:
    """What a cell was: one apostrophe less, where it guards a formula."""
    guarded = cell.startswith("'") and (
        cell.lstrip("'")[:1] in tuple(DANGEROUS) or cell.lstrip("'").lstrip(BLANKS)[:1] in tuple(DANGEROUS)
    )
    return cell[1:] if guarded else cell


BLANKS = "".join(chr(code) for code in range(0x3001) if chr(code).isspace()) + "\x00\ufeff"


@given(st.lists(ROWS, max_size=5))
def test_csv_reads_back_as_it_was_and_no_cell_is_a_formula(rows: list[Row]) -> None:
    header, *read = cells(written(rows, "csv"))
    assert header == list(COLUMNS)
    assert len(read) == len(rows)
    for got, row in zip(read, rows, strict=True):
        for cell, value in zip(got, row, strict=True):
            if isinstance(value, str):
                assert undefused(cell) == value
                assert not cell.startswith(tuple(DANGEROUS))
                assert not cell.lstrip(BLANKS).startswith(tuple("=+-@"))
            else:
                assert cell == ("" if value is None else str(value))


@given(st.lists(ROWS, max_size=5))
def test_json_lines_read_back_as_they_were(rows: list[Row]) -> None:
    lines = written(rows, "jsonl").split("\n")
    assert lines.pop() == ""
    assert [tuple(json.loads(line).values()) for line in lines] == rows
    assert all(list(json.loads(line)) == list(COLUMNS) for line in lines)


def test_lines_of_csv_end_with_a_line_feed_alone() -> None:
    text = written([result_row(session_id=SESSION), result_row(session_id=SESSION)], "csv")
    assert text.count("\n") == 3
    assert "\r" not in text
    assert text.splitlines()[1] == f",{SESSION}" + "," * 23


def test_an_empty_run_still_has_its_header() -> None:
    assert written([], "csv") == ",".join(COLUMNS) + "\n"
    assert written([], "jsonl") == ""


@pytest.mark.parametrize(
    "text",
    ["=1+1", "+1", "-1", "@SUM(A1)", "\tx", "\rx", "\nx", "  =1", "\u00a0=1", " \t=1", "＝1", "＋1", "－1", "＠A"],  # noqa: RUF001
)
def test_a_formula_is_defused(text: str) -> None:
    assert defused(text) == f"'{text}"


@pytest.mark.parametrize("text", ["", "a=b", SESSION, "2026-03-01T10:00:00Z", "it's", "'quoted'", " a", "1-1"])
def test_other_text_is_left_alone(text: str) -> None:
    assert defused(text) == text


def test_numbers_stay_numbers() -> None:
    read = cells(written([result_row(attempts=-1, detail="-1")], "csv"))[1]
    assert read[COLUMNS.index("attempts")] == "-1"
    assert read[COLUMNS.index("detail")] == "'-1"


def test_json_is_not_defused_nor_escaped() -> None:
    (line,) = written([result_row(detail="=größer")], "jsonl").splitlines()
    assert '"detail": "=größer"' in line
    assert '"error": null' in line


@pytest.mark.parametrize("format", ["csv", "jsonl"])
def test_half_a_character_does_not_stop_an_export(format: Format) -> None:
    text = written([result_row(detail="a\ud800b", reason="ö")], format)
    text.encode()
    if format == "jsonl":
        assert json.loads(text)["detail"] == "a\ud800b"
        assert json.loads(text)["reason"] == "ö"


@pytest.mark.parametrize(
    ("output", "format", "expected"),
    [
        (None, None, "csv"),
        ("-", None, "csv"),
        ("a.csv", None, "csv"),
        ("a.CSV", None, "csv"),
        ("a.jsonl", None, "jsonl"),
        ("dir.csv/a.ndjson", None, "jsonl"),
        ("a.csv", "jsonl", "jsonl"),
        ("a.txt", "csv", "csv"),
        (None, "jsonl", "jsonl"),
    ],
)
def test_the_format_comes_from_the_option_else_from_the_name(
    output: str | None, format: str | None, expected: str
) -> None:
    assert format_of(output, format) == expected


@pytest.mark.parametrize(("output", "format"), [("a.xlsx", None), ("results", None), ("a.csv", "xml"), (None, "")])
def test_an_impossible_format_names_the_possible_ones(output: str | None, format: str | None) -> None:
    with pytest.raises(ConfigurationError, match=r"csv.*jsonl"):
        format_of(output, format)


def test_a_file_appears_whole_and_private(tmp_path: Path) -> None:
    path = tmp_path / "results.csv"
    path.write_text("older")
    seen: list[str] = []

    async def watched() -> AsyncIterator[list[Row]]:
        yield [result_row(session_id=SESSION)]
        seen.append(path.read_text())

    assert anyio.run(export_file, watched(), path, "csv", signature_of(path)) == 1
    assert seen == ["older"]
    assert SESSION in path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_an_export_that_breaks_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "results.csv"
    path.write_text("older")

    async def broken() -> AsyncIterator[list[Row]]:
        yield [result_row(session_id=SESSION)]
        raise RuntimeError

    with pytest.raises(RuntimeError):
        anyio.run(export_file, broken(), path, "csv")
    assert path.read_text() == "older"
    assert list(tmp_path.iterdir()) == [path]


class OneRow:
    """A ledger whose runs have one row, and which keeps what was made of them."""

    def __init__(self) -> None:
        self.made: list[tuple[str, str]] = []

    @property
    def reports(self) -> "OneRow":
        return self

    async def note_made(self, _: Run, kind: str, sha256: str) -> None:
        self.made.append((kind, sha256))

    def results(self, run: Run, _: RowFilter) -> AsyncIterator[list[Row]]:
        return _batches([result_row(run=run.name, session_id=SESSION)])


@pytest.mark.parametrize("output", [None, "-"])
def test_a_run_goes_to_standard_output_without_a_file(output: str | None, capsys: pytest.CaptureFixture[str]) -> None:
    assert anyio.run(export_run, cast("Ledger", OneRow()), RUN, output, "jsonl") == 1
    assert json.loads(capsys.readouterr().out)["session_id"] == SESSION


def test_a_run_goes_to_the_file_in_the_format_of_its_name(tmp_path: Path) -> None:
    path, ledger = tmp_path / "results.ndjson", OneRow()
    assert anyio.run(export_run, cast("Ledger", ledger), RUN, str(path), None) == 1
    assert json.loads(path.read_text())["run"] == RUN.name
    assert ledger.made == [("export", hashlib.sha256(path.read_bytes()).hexdigest())]


def test_what_has_appeared_or_changed_meanwhile_stays(tmp_path: Path) -> None:
    """Whatever could be replaced when that was looked at."""
    path = tmp_path / "results.csv"

    async def late() -> AsyncIterator[list[Row]]:
        path.write_text("somebody's own")
        yield [result_row(session_id=SESSION)]

    for _ in range(2):
        with pytest.raises(CloseoutError, match="something else is there by now"):
            anyio.run(export_file, late(), path, "csv", signature_of(path))
        assert path.read_text() == "somebody's own"
        assert list(tmp_path.iterdir()) == [path]


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    target, link = tmp_path / "target.csv", tmp_path / "link.csv"
    target.write_text("older")
    link.symlink_to(target)
    anyio.run(export_file, _batches([result_row(session_id=SESSION)]), link, "csv", signature_of(link))
    assert link.is_symlink()
    assert SESSION in target.read_text()


def test_a_device_is_written_and_not_replaced() -> None:
    null = Path("/dev/null")
    assert anyio.run(export_file, _batches([result_row()]), null, "csv") == 1
    assert null.is_char_device()


@pytest.mark.parametrize("name", ["missing/results.csv", "file/results.csv"])
def test_a_place_that_cannot_be_written_is_named(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").touch()
    arguments: tuple[Any, ...] = (_batches(), tmp_path / name, "csv")
    with pytest.raises(CloseoutError, match=name):
        anyio.run(export_file, *arguments)
