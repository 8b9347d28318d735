"""Whatever a writer of tables does, the same ids come back from the same lines; whatever the bytes, no surprise."""

import csv
import gzip
import io
import json
import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest
import zstandard
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from closeout.worker.domain.item import SourceRow
from closeout.worker.sources import open_source
from closeout.worker.sources.session_ids import normalise_id
from closeout.worker.support.errors import SourceError
from tests.sources.reading import read, read_stdin, write

moderate = settings(max_examples=120, deadline=None)
QUOTINGS: list[Literal[0, 1, 2]] = [csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC]
PACKINGS: dict[str, Callable[[bytes], bytes]] = {"": bytes, ".gz": gzip.compress, ".zst": zstandard.compress}

session_ids = st.uuids().filter(lambda value: value.int != 0).map(str)
spelled_ids = st.one_of(session_ids, session_ids.map(str.upper), session_ids.map(lambda text: "{" + text + "}"))
bad_ids = st.sampled_from(["", "x", "abc-def", "0" * 36, "née", "a\nb", 'q"q', "a,b;c\td|e"])
texts = st.text(st.sampled_from("ab é,;|\t\"\n'#{"), max_size=12)


@dataclass(frozen=True)
class Table:
    content: bytes
    expected: list[tuple[int, str | None, str | None]]


@st.composite
def tables(draw: st.DrawFn) -> Table:
    delimiter = draw(st.sampled_from(",;\t|"))
    end = draw(st.sampled_from(["\n", "\r\n", "\r"]))
    quoting = draw(st.sampled_from(QUOTINGS))
    encoding = draw(st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "latin-1"]))
    header = draw(st.permutations(["session_id", "Reason", "note"]))
    out = io.StringIO()
    writer = csv.writer(out, delimiter=delimiter, lineterminator=end, quoting=quoting)
    writer.writerow(header)
    expected = []
    for id_text, reason, note in draw(
        st.lists(st.tuples(spelled_ids | bad_ids, texts, texts), min_size=1, max_size=12)
    ):
        line = _lines_so_far(out.getvalue(), end)
        cells = {"session_id": id_text, "Reason": reason, "note": note}
        # csv.writer leaves a line break bare unless the file's own line end holds it.
        writer.writerow([cells[name].replace("\n", end[-1]) for name in header])
        session_id = normalise_id(id_text)
        if any(text.strip() for text in (id_text, reason, note)):  # else it is a ghost row
            expected.append((line, session_id, (reason.strip() or None) if session_id else None))
        if draw(st.integers(0, 5)) == 0:
            out.write(end)
    assume(expected)
    return Table(out.getvalue().encode(encoding), expected)


def _lines_so_far(text: str, end: str) -> int:
    return text.replace(end, "\n").count("\n") + 1


def seen(rows: list[SourceRow]) -> list[tuple[int, str | None, str | None]]:
    return [(row.line, row.session_id, row.reason) for row in rows]


def read_file(name: str, content: bytes, size: int = 1_000) -> list[SourceRow]:
    with tempfile.TemporaryDirectory() as folder:
        return read(write(Path(folder), name, content), size=size)


@given(tables(), st.sampled_from(list(PACKINGS)), st.sampled_from(["a.csv", "a.Tsv"]), st.integers(1, 20))
@moderate
def test_a_written_table_is_read_back(table: Table, packing: str, name: str, size: int) -> None:
    rows = read_file(name + packing, PACKINGS[packing](table.content), size)
    assert seen(rows) == table.expected
    assert all((row.session_id is None) == (row.problem is not None) for row in rows)


@given(tables())
@moderate
def test_a_table_on_standard_input_is_read_as_from_a_file(table: Table) -> None:
    assert seen(read_stdin(table.content)) == table.expected


@given(st.lists(st.tuples(session_ids, texts), min_size=1, max_size=10), st.sampled_from(["\n", "\r\n"]))
@moderate
def test_written_json_lines_are_read_back(records: list[tuple[str, str]], end: str) -> None:
    content = "".join(json.dumps({"reason": reason, "id": id_}) + end for id_, reason in records)
    expected = [(line, id_, reason.strip() or None) for line, (id_, reason) in enumerate(records, start=1)]
    assert seen(read_file("a.jsonl", content.encode())) == expected


awkward = st.lists(
    st.one_of(
        st.binary(max_size=30),
        st.sampled_from([b'"', b"\n", b"\r", b",", b";", b"\0", b"id", b"session_id,reason\n", b"{", b"sep=;\n", b"#"]),
        session_ids.map(str.encode),
        st.sampled_from([b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"\xff\xfe", b"\xfe\xff", b"\xef\xbb\xbf", b'"\\ud800"']),
    ),
    max_size=20,
).map(b"".join)
suffixes = [f"{kind}{packing}" for kind in (".csv", ".tsv", ".jsonl", ".txt") for packing in PACKINGS]


@given(
    awkward,
    st.sampled_from(suffixes),
    st.sampled_from(list(PACKINGS)),
    st.integers(0, 40),
    st.sampled_from([None, "2"]),
)
@settings(max_examples=400, deadline=None)
def test_any_bytes_are_refused_or_give_rows(
    content: bytes, suffix: str, packing: str, missing: int, id_column: str | None
) -> None:
    packed = PACKINGS[packing](content)
    packed = packed[: max(0, len(packed) - missing)]
    lines: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        path = write(Path(folder), "a" + suffix, packed)
        try:
            rows = read(path, id_column=id_column, size=3)
        except SourceError as refusal:
            lines, rows = str(refusal).splitlines(), []
    assert rows or len(lines) == 1
    assert [row.line for row in rows] == sorted({row.line for row in rows})
    for row in rows:
        assert (row.session_id is None) == bool(row.problem)
        assert len(row.text) <= 200
        f"{row.text}{row.reason}{row.problem}".encode()
        assert "\0" not in f"{row.text}{row.reason}{row.problem}"


class Dribble(io.BytesIO):
    """A stream that gives so many bytes at a time."""

    def __init__(self, content: bytes, step: int) -> None:
        super().__init__(content)
        self._step = step

    def read1(self, _size: int | None = -1, /) -> bytes:
        return self.read(self._step)


@given(awkward, st.sampled_from(list(PACKINGS)), st.integers(1, 7))
@moderate
def test_how_the_bytes_arrive_makes_no_difference(content: bytes, packing: str, step: int) -> None:
    packed = PACKINGS[packing](content)

    def outcome(stream: io.BytesIO) -> object:
        try:
            return [row for batch in open_source("-", stdin=stream).batches(5) for row in batch]
        except SourceError as refusal:
            return str(refusal)

    assert outcome(Dribble(packed, step)) == outcome(io.BytesIO(packed))


def test_a_larger_table_across_many_chunks(tmp_path: Path) -> None:
    """Blocks are 64 KiB: quoted line breaks, CR LF pairs and letters of two bytes fall on their edges."""
    records = [
        (f"{number:08x}-0000-4000-8000-000000000000", "é" * (number % 7) + "\r\nz") for number in range(1, 9_000)
    ]
    out = io.StringIO()
    csv.writer(out).writerows([("id", "reason"), *records])
    expected = [
        (2 * number, id_, reason.replace("\r\n", "\n").strip()) for number, (id_, reason) in enumerate(records, 1)
    ]
    assert seen(read(write(tmp_path, "a.csv", out.getvalue().encode("utf-8-sig")))) == expected


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_names_are_checked_without_reading(tmp_path: Path) -> None:
    """A named pipe would be used up, or block, if naming the source already opened it."""
    os.mkfifo(tmp_path / "a.csv")
    assert open_source(str(tmp_path / "a.csv")).location == str((tmp_path / "a.csv").resolve())
