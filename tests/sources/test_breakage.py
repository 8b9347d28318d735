"""What is broken costs the rows it breaks, never the others, and never memory."""

import errno
import gzip
import io
import os
import re
import tracemalloc
from pathlib import Path

import pytest
import zstandard

from closeout.worker.domain.item import SourceRow
from closeout.worker.sources import open_source
from closeout.worker.sources.records import LONGEST_QUOTED, MOST_LINES_IN_RECORD
from closeout.worker.support.errors import SourceError
from tests.sources.reading import A, B, C, ids, read, read_content, read_stdin, write

UNCLOSED = "a quoted cell that begins here is never closed"
MEBIBYTE = 1_048_576


class FailingDisk(io.RawIOBase):
    """Gives its content, and an error where it ends."""

    def __init__(self, content: bytes) -> None:
        self._content = io.BytesIO(content)

    def read(self, size: int = -1) -> bytes:
        if piece := self._content.read(size):
            return piece
        raise OSError(errno.EIO, os.strerror(errno.EIO))


def test_a_nul_byte_costs_its_own_row(tmp_path: Path) -> None:
    text = f'id,x,reason\n{A},\0,\n{B},y,z\n"{C}","a\nb\0",\n{C},,\n'
    rows = read_content(tmp_path, "a.csv", text)
    assert ids(rows) == [(2, None), (3, B), (4, None), (6, C)]
    assert [rows[0].problem, rows[2].problem] == ["contains a NUL byte"] * 2
    assert "\0" not in rows[0].text


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl", "a.txt"])
@pytest.mark.parametrize("quote", ["", '"'])
def test_a_cell_of_ten_megabytes_costs_its_own_row_and_no_memory(tmp_path: Path, name: str, quote: str) -> None:
    path = write(tmp_path, name, f'"{A}"\n{quote}{"x" * 10_485_760}{quote}\n"{B}"\n')
    tracemalloc.start()
    rows = read(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert ids(rows) == [(1, A), (2, None), (3, B)]
    assert f"the line is {10_485_760 + 2 * len(quote):,} characters long" in (rows[1].problem or "")
    assert len(rows[1].text) == 200
    assert peak < 8 * MEBIBYTE


def test_cells_too_long_are_named_as_such(tmp_path: Path) -> None:
    text = f'id,reason\n{"x" * 70_000},\n{A},{"y" * 70_000}\n{B},"{"z" * 140_000}"\n{C},fine\n'
    rows = read_content(tmp_path, "a.csv", text)
    assert ids(rows) == [(2, None), (3, None), (4, None), (5, C)]
    assert [row.problem for row in rows[:3]] == [
        "not a UUID: the cell is 70,000 characters long",
        "the reason is 70,000 characters long; at most 65,536 are read",
        "a cell is longer than 131,072 characters",
    ]


@pytest.mark.parametrize("following", [1, 5, MOST_LINES_IN_RECORD + 500])
def test_a_quote_that_is_never_closed_costs_its_own_row(tmp_path: Path, following: int) -> None:
    text = f'id,reason\n{A},x\n{B},"open\n' + f"{C},y\n" * following
    rows = read_content(tmp_path, "a.csv", text)
    assert ids(rows) == [(2, A), (3, None), *((line, C) for line in range(4, 4 + following))]
    assert rows[1].problem == UNCLOSED
    assert rows[1].text == f'{B},"open'


def test_a_quote_is_given_up_after_so_many_characters(tmp_path: Path) -> None:
    filler = "y" * (LONGEST_QUOTED // 4)
    text = f'id,reason\n{B},"open\n' + f"{C},{filler}\n" * 6 + f'",x\n{A},x\n'
    rows = read_content(tmp_path, "a.csv", text)
    assert [row.session_id for row in rows] == [None, *[C] * 6, None, A]


def test_a_quote_is_given_up_after_so_many_lines(tmp_path: Path) -> None:
    text = f'id,reason\n{B},"open\n' + f"{C},y\n" * MOST_LINES_IN_RECORD + f'",x\n{A},x\n'
    rows = read_content(tmp_path, "a.csv", text)
    assert [row.session_id for row in rows] == [None, *[C] * MOST_LINES_IN_RECORD, None, A]


def test_a_quote_before_a_line_too_long_is_given_up(tmp_path: Path) -> None:
    text = f'id,reason\n{B},"open\n{C},y\n{"x" * (2 * MEBIBYTE)}\n",x\n{A},x\n'
    rows = read_content(tmp_path, "a.csv", text)
    assert ids(rows) == [(2, None), (3, C), (4, None), (5, None), (6, A)]


def test_a_long_record_within_the_bound_is_one_row(tmp_path: Path) -> None:
    reason = "\n".join(["line"] * MOST_LINES_IN_RECORD)
    rows = read_content(tmp_path, "a.csv", f'id,reason\n{A},"{reason}"\n{B},\n')
    assert ids(rows) == [(2, A), (2 + MOST_LINES_IN_RECORD, B)]
    assert rows[0].reason == reason


def test_a_header_with_an_open_quote_costs_only_itself(tmp_path: Path) -> None:
    rows = read_content(tmp_path, "a.csv", f'"id,reason\n{A},x\n{B},y\n')
    assert ids(rows) == [(1, None), (2, A), (3, B)]


def test_a_file_of_nothing_but_bad_rows_is_read(tmp_path: Path) -> None:
    rows = read_content(tmp_path, "a.csv", "id,reason\nx,\n,r\n\n" + "y" * 300 + "\x07,\n")
    assert [row.line for row in rows] == [2, 3, 5]
    assert [row.problem for row in rows] == [
        "not a UUID: 36 characters expected, found 1",
        "the cell is empty",
        "not a UUID: the cell is 301 characters long",
    ]
    assert [row.text for row in rows] == ["x", "", "y" * 200]


def test_control_characters_are_not_shown(tmp_path: Path) -> None:
    (row,) = read_content(tmp_path, "a.txt", "\x1b[31mred\u202e\x9b")
    assert row.text == "\ufffd[31mred\ufffd\ufffd"


def many_rows() -> tuple[bytes, list[tuple[int, str | None]]]:
    lines = [f"{number:08x}{A[8:]}" for number in range(1, 20_000)]
    text = "id,reason\n" + "".join(f"{line},r\n" for line in lines)
    return text.encode(), [(number, line) for number, line in enumerate(lines, start=2)]


def broken_off(rows: list[SourceRow], expected: list[tuple[int, str | None]], words: str) -> None:
    *whole, last = rows
    assert 0 < len(whole) < len(expected)
    assert ids(whole) == expected[: len(whole)]
    assert last.line == whole[-1].line + 1
    assert last.problem == f"{words}: rows after line {whole[-1].line} could not be read"


@pytest.mark.parametrize("suffix", ["gz", "zst"])
def test_compressed_data_cut_off_gives_the_rows_before_and_says_so(tmp_path: Path, suffix: str) -> None:
    content, expected = many_rows()
    packed = gzip.compress(content, mtime=0) if suffix == "gz" else zstandard.compress(content)
    kind = "gzip" if suffix == "gz" else "zstd"
    path = write(tmp_path, f"a.csv.{suffix}", packed[: len(packed) * 3 // 4])
    broken_off(read(path), expected, f"the {kind} data ends early")
    head = write(tmp_path, f"b.csv.{suffix}", packed[:12])
    with pytest.raises(SourceError, match=f"the {kind} data ends early before the first row"):
        read(head)


@pytest.mark.parametrize("suffix", ["gz", "zst"])
def test_damaged_data_gives_the_rows_before_and_says_so(tmp_path: Path, suffix: str) -> None:
    content, expected = many_rows()
    compress = gzip.compress if suffix == "gz" else zstandard.compress
    path = write(tmp_path, f"a.csv.{suffix}", compress(content[:600_000]) + b"not compressed")
    kind = "gzip" if suffix == "gz" else "zstd"
    broken_off(read(path), expected, f"the {kind} data is damaged")


def test_a_read_error_gives_the_rows_before_and_says_so() -> None:
    content, expected = many_rows()
    stream = io.BufferedReader(FailingReader(content[:400_000]))
    rows = [row for batch in open_source("-", stdin=stream).batches(7) for row in batch]
    broken_off(rows, expected, f"reading fails ({os.strerror(errno.EIO)})")


class FailingReader(FailingDisk):
    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        piece = self.read(len(buffer))
        buffer[: len(piece)] = piece
        return len(piece)


@pytest.mark.parametrize("kept", [f"id\n{A}\n{B}\n{C[:20]}", f'id\n{A}\n{B}\n{C},"half a\nrecord\n'])
def test_what_breaks_off_in_the_midst_of_a_record_leaves_it_out(kept: str) -> None:
    stream = FailingDisk(kept.encode())
    rows = [row for batch in open_source("-", stdin=stream).batches(10) for row in batch]  # type: ignore[arg-type]
    assert ids(rows) == [(2, A), (3, B), (4, None)]
    assert rows[-1].problem == f"reading fails ({os.strerror(errno.EIO)}): rows after line 3 could not be read"


def test_a_break_after_the_first_row_without_a_header_keeps_that_row() -> None:
    stream = FailingDisk(f"{A},x\n".encode())
    rows = [row for batch in open_source("-", stdin=stream).batches(10) for row in batch]  # type: ignore[arg-type]
    assert ids(rows) == [(1, A), (2, None)]


def test_a_break_after_unreadable_rows_keeps_them() -> None:
    stream = FailingDisk(b"\0\n\0\n")
    rows = [row for batch in open_source("-", stdin=stream).batches(10) for row in batch]  # type: ignore[arg-type]
    assert [row.line for row in rows] == [1, 2, 3]
    assert "rows after line 2" in (rows[-1].problem or "")


def test_a_frame_cut_off_keeps_the_whole_one_before_it(tmp_path: Path) -> None:
    for compress in (gzip.compress, zstandard.compress):
        packed = compress(f"{A}\n{B}\n".encode()) + compress(f"{C}\n".encode())[:-6]
        rows = read_content(tmp_path, "a.txt", packed)
        assert ids(rows)[:2] == [(1, A), (2, B)]
        assert "ends early: rows after line" in (rows[-1].problem or "")


def test_a_few_nul_bytes_do_not_make_a_small_file_binary(tmp_path: Path) -> None:
    assert ids(read_content(tmp_path, "a.txt", f"\0\0\0\n{A}\n")) == [(1, None), (2, A)]


def test_a_break_right_after_the_header_is_an_error() -> None:
    stream = FailingDisk(b"id,reason\n")
    with pytest.raises(SourceError, match="reading fails"):
        list(open_source("-", stdin=stream).batches(10))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.csv", b"", "is empty"),
        ("a.csv", b"\xef\xbb\xbf", "is empty"),
        ("a.csv", b"\n \r\n\n", "is empty"),
        ("a.csv.gz", gzip.compress(b"", mtime=0), "is empty"),
        ("a.csv", b"session_id,reason\n\n", "has a header but no rows"),
        ("a.csv", b"id", "has a header but no rows"),
        ("a.txt", b"# nothing\n", "is empty"),
        ("a.jsonl", b"\n", "is empty"),
        ("a.csv", b"name,age\nx,1\n", "has no column session_id, conversation_id or id, only: name, age"),
        ("a.csv", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "is an image"),
        ("a.csv", b"PK\x03\x04\x14\0\0\0[Content_Types].xml", "looks like an Excel workbook: export it as CSV"),
        ("a.csv", b"PK\x03\x04\x14\0\0\0readme.md", "is a ZIP archive"),
        ("a.csv", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1\0", "looks like an Excel workbook: export it as CSV"),
        ("a.csv", bytes(range(256)) * 8, "is not a text file"),
        ("a.json", b"[]", "lists no session: there is nothing to close"),
        ("a.json", b'{"items": []}', "lists no session: there is nothing to close"),
        ("a.csv", b"%PDF-1.7 ", "is a PDF document"),
        ("a.json", b'[{"id": "x", "y', "the JSON ends early before the first row"),
        ("a.json", b'[{"id" "x"}]', "the JSON is damaged in line 1"),
        ("a.csv.gz", gzip.compress(gzip.compress(b"id", mtime=0), mtime=0), "is compressed twice"),
        ("a.csv", b"\0,\n" * 3 + b"ab,c\n" * 99_999, "has no column"),
    ],
)
def test_what_cannot_be_read_at_all_is_one_clear_line(tmp_path: Path, name: str, content: bytes, words: str) -> None:
    path = write(tmp_path, name, content)
    with pytest.raises(SourceError) as refusal:
        next(iter(open_source(path).batches(10)))
    assert str(refusal.value).startswith(f"{path} ")
    assert words in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_more_unreadable_rows_than_are_held_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="none of its first 1,000 rows can be read: contains a NUL byte"):
        read_content(tmp_path, "a.csv", f"{'x' * 100}\0\n" * 2_000)
    assert len(read_content(tmp_path, "a.csv", f"{'x' * 100}\0\n" * 900)) == 900


def test_many_open_quotes_do_not_take_for_ever(tmp_path: Path) -> None:
    """Each costs a bounded look ahead; none may pair up with the next one and swallow the row between."""
    rows = read_content(tmp_path, "a.csv", "id,reason\n" + f'{A},"x\n{B},y\n' * 200)
    assert ids(rows) == [(line, None if line % 2 == 0 else B) for line in range(2, 402)]
    assert {row.problem for row in rows} == {UNCLOSED, None}


def test_quotes_in_odd_places_of_one_line_are_forgiven(tmp_path: Path) -> None:
    rows = read_content(tmp_path, "a.csv", f'id,reason\n{A},"said "no" twice"\n"{B}" ,5" pipe\n{C},"ok"\n')
    assert ids(rows) == [(2, A), (3, B), (4, C)]
    assert [row.reason for row in rows] == ['said no" twice"', '5" pipe', "ok"]


def test_compressed_zeros_do_not_unfold_in_memory(tmp_path: Path) -> None:
    content = f"{A}\n".encode() + b" " * (256 * MEBIBYTE) + f"\n{B}\n".encode()
    for name, packed in (
        ("a.txt.gz", gzip.compress(content, compresslevel=1, mtime=0)),
        ("a.txt.zst", zstandard.compress(content)),
    ):
        path = write(tmp_path, name, packed)
        tracemalloc.start()
        rows = read(path)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert [row.session_id for row in rows if row.session_id] == [A, B]
        assert peak < 12 * MEBIBYTE


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    path = write(tmp_path, "a.csv", "id,reason\n" + f'{A},"because"\n' * 100_000)
    tracemalloc.start()
    rows = sum(len(batch) for batch in open_source(path).batches(500))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert rows == 100_000
    assert peak < 3 * MEBIBYTE


def test_stdin_with_an_image_is_refused_by_name() -> None:
    with pytest.raises(SourceError, match=re.escape("standard input is an image")):
        read_stdin(b"\x89PNG\r\n\x1a\n")
