"""Rows that come bit by bit: what has come is handed out at each pause, and comes out as if it had come at once."""

import csv
import io
import json
import os
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from unittest.mock import patch

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from closeout.worker.domain.item import SourceRow
from closeout.worker.sources import open_source
from closeout.worker.support.errors import SourceError
from tests.sources.reading import A, B, C
from tests.sources.test_properties import PACKINGS, awkward, session_ids, tables

PAUSE = b""
moderate = settings(max_examples=150, deadline=None)


def batches_of(chunks: Iterator[bytes], size: int = 100, id_column: str | None = None) -> Iterator[list[SourceRow]]:
    """The batches of a source whose bytes arrive in these chunks, an empty one being a pause."""
    with patch("closeout.worker.sources.files.read_chunks", lambda _: chunks):
        yield from open_source("-", id_column=id_column, stdin=io.BytesIO()).batches(size)


def outcome(chunks: Sequence[bytes], size: int) -> list[SourceRow] | str:
    """The rows, or the refusal."""
    try:
        return [row for batch in batches_of(iter(chunks), size) for row in batch]
    except SourceError as refusal:
        return str(refusal)


def assert_alike(paused: list[SourceRow] | str, at_once: list[SourceRow] | str) -> None:
    """The same, but where a line further down tells that the file may be read otherwise: what was handed out before it
    came is not taken back, and the last row says why no more is read."""
    if isinstance(at_once, str) and isinstance(paused, list):
        told = at_once.removeprefix("standard input ")
        assert paused[-1].problem == f"{told}; nothing is read from there on"
    else:
        assert paused == at_once


def pieces_of(content: bytes, places: Sequence[int]) -> list[bytes]:
    """The content cut at these places; where two of them meet it pauses."""
    edges = [0, *sorted(place % (len(content) + 1) for place in places), len(content)]
    return [content[start:end] for start, end in pairwise(edges)]


contents = st.one_of(
    tables().map(lambda table: table.content),
    st.lists(session_ids, min_size=1).map(lambda ids: "\r\n".join(ids).encode()),
    st.lists(session_ids, min_size=1).map(lambda ids: "".join(json.dumps({"id": one}) + "\n" for one in ids).encode()),
    awkward,
)


@given(
    contents,
    st.sampled_from(list(PACKINGS)),
    st.integers(-40, 20),
    st.lists(st.integers(0, 5_000), max_size=30),
    st.integers(1, 9),
)
@settings(max_examples=400, deadline=None)
def test_pauses_change_no_row_wherever_they_come(
    content: bytes, packing: str, missing: int, places: list[int], size: int
) -> None:
    """Cut anywhere, with a pause anywhere, the same rows come under the same numbers, or the same refusal."""
    packed = PACKINGS[packing](content)
    packed = packed[: max(0, len(packed) - max(0, missing))]
    at_once = outcome([packed] if packed else [], size)
    if at_once != "standard input is not a text file: save it as CSV in UTF-8":  # which shows only as more comes
        assert_alike(outcome(pieces_of(packed, [*places, *places[::2]]), size), at_once)


@given(contents, st.sampled_from(list(PACKINGS)))
@moderate
def test_one_byte_at_a_time_with_a_pause_after_each_changes_no_row(content: bytes, packing: str) -> None:
    """The slowest of all pipes."""
    packed = PACKINGS[packing](content)
    at_once = outcome([packed] if packed else [], 5)
    if at_once != "standard input is not a text file: save it as CSV in UTF-8":
        assert_alike(outcome([piece for byte in packed for piece in (bytes([byte]), PAUSE)], 5), at_once)


@dataclass(frozen=True)
class Text:
    """Bytes, and how many of them must have come for the first row, the second and so on to be whole."""

    content: bytes
    ends: list[int]


@st.composite
def whole_texts(draw: st.DrawFn) -> Text:
    kind = draw(st.sampled_from(["header", "no header", "txt", "jsonl"]))
    end = draw(st.sampled_from(["\n", "\r\n"]))
    notes = st.text(st.sampled_from('ab é,;"\n'), max_size=8)
    out = io.StringIO("session_id,note" + end if kind == "header" else "", newline="")
    out.seek(0, io.SEEK_END)
    ends = []
    for session_id, note in draw(st.lists(st.tuples(session_ids, notes), min_size=1, max_size=8)):
        if kind == "txt":
            out.write(session_id + end)
        elif kind == "jsonl":
            out.write(json.dumps({"id": session_id, "note": note}) + end)
        else:
            csv.writer(out, lineterminator=end).writerow([session_id, note])
        ends.append(len(out.getvalue().encode()))
    return Text(out.getvalue().encode(), ends)


Packer = Callable[[bytes, bool], bytes]  # a piece, and whether it is the last one


def flushing_gzip() -> Packer:
    packer = zlib.compressobj(wbits=31)
    return lambda piece, last: packer.compress(piece) + packer.flush(zlib.Z_FINISH if last else zlib.Z_SYNC_FLUSH)


def flushing_zstd() -> Packer:
    packer = zstandard.ZstdCompressor().compressobj()
    modes = (zstandard.COMPRESSOBJ_FLUSH_BLOCK, zstandard.COMPRESSOBJ_FLUSH_FINISH)
    return lambda piece, last: packer.compress(piece) + packer.flush(modes[last])


def as_it_is() -> Packer:
    return lambda piece, _: piece


FLUSHING: dict[str, Callable[[], Packer]] = {"plain": as_it_is, "gzip": flushing_gzip, "zstd": flushing_zstd}


@given(whole_texts(), st.sampled_from(list(FLUSHING)), st.lists(st.integers(0, 2_000), max_size=12))
@moderate
def test_at_each_pause_every_row_that_is_whole_has_been_handed_out(text: Text, packing: str, places: list[int]) -> None:
    """Nothing waits for a second row, for a number of bytes or for a full batch, compressed or not."""
    pack = FLUSHING[packing]()
    rows: list[SourceRow] = []

    def arriving() -> Iterator[bytes]:
        come = 0
        for piece in pieces_of(text.content, places):
            come += len(piece)
            yield from (pack(piece, False), PAUSE)
            assert len(rows) == sum(end <= come for end in text.ends)
        raise Hour

    take_into(rows, arriving())
    assert len(rows) == len(text.ends)


class Hour(Exception):  # noqa: N818  # no error: how long nothing comes after what a test is about
    """Nothing more comes for an hour."""


def take_into(rows: list[SourceRow], chunks: Iterator[bytes], id_column: str | None = None) -> None:
    """Take what is handed out before nothing comes any more."""
    try:
        for batch in batches_of(chunks, id_column=id_column):
            rows += batch
    except Hour:
        return
    raise AssertionError("reading ended of itself")


def rows_so_far(*chunks: bytes, id_column: str | None = None) -> list[str | None]:
    """The ids handed out when these chunks have come, each with a pause after it, and then nothing."""

    def arriving() -> Iterator[bytes]:
        for chunk in chunks:
            yield from (chunk, PAUSE)
        raise Hour

    rows: list[SourceRow] = []
    take_into(rows, arriving(), id_column)
    return [row.session_id for row in rows]


def test_a_header_of_unknown_name_waits_for_the_line_that_tells_what_it_is() -> None:
    """Lone words may be bad ids, or a title above a header that is still to come."""
    assert rows_so_far(b"customer tickets\n") == []
    assert rows_so_far(b"customer tickets\n", f"{A}\n".encode()) == [A]
    assert rows_so_far(b"customer tickets\n", b"x\n") == []
    assert rows_so_far(b"customer tickets\n", b"x\n", f"{A}\n".encode()) == [None, None, A]
    assert rows_so_far(b"customer tickets\n", b"x,session_id\n", f"{B},{A}\n".encode()) == [A]


def test_a_column_by_number_waits_for_the_second_line_too() -> None:
    """Unless the first line holds a UUID."""
    assert rows_so_far(f"x,{A}\n".encode(), id_column="2") == [A]
    assert rows_so_far(b"anything at all,y\n", id_column="2") == []
    assert rows_so_far(b"anything at all,y\n", f"z,{B}\n".encode(), id_column="2") == [B]


def test_a_delimiter_waits_for_the_end_of_the_first_record() -> None:
    """The quoted cell in it goes on over the pause."""
    first, rest = b'"a,b,c,d\n', f'e,f,";id\nx;{A}\n'.encode()
    assert rows_so_far(first, rest) == [A]


def test_rows_before_a_record_that_is_cut_off_do_not_wait_for_its_end() -> None:
    """The record comes later, under the number of its first line."""
    begun = f'id,reason\n{A},x\n{B},"two\nlines'.encode()
    assert rows_so_far(begun) == [A]
    assert rows_so_far(begun, b'"\n') == [A, B]
    found = [row for batch in batches_of(iter([begun, PAUSE, b"\n", PAUSE, f'"\n{C},\n'.encode()])) for row in batch]
    assert [(row.line, row.session_id) for row in found] == [(2, A), (3, B), (6, C)]
    assert found[1].reason == "two\nlines"


def test_a_beginning_that_may_be_no_text_waits_for_more() -> None:
    """So that what would be read when it comes at once is not refused because it comes slowly."""
    odd = f"{chr(0) * 9}\n".encode()
    assert rows_so_far(odd + f"{A}\n".encode()) == []
    assert rows_so_far(odd + f"{A}\n".encode(), f"{B}\n".encode() * 10) == [None, A, *[B] * 10]


def test_blank_lines_and_comments_before_a_pause_do_not_decide_or_end_anything() -> None:
    """The first line that says something may come later, and so may the first row."""
    assert rows_so_far(b"\n" * 20, f'{{"id": "{A}"}}\n'.encode()) == [A]
    assert rows_so_far(b"# what they asked for\n", f"{A}\n".encode()) == [A]


def test_a_break_after_a_pause_keeps_the_rows_before_it() -> None:
    """It is one more bad row, as without the pause."""
    begun = flushing_gzip()(f"{A}\n".encode(), False)
    found = [row for batch in batches_of(iter([begun, PAUSE])) for row in batch]
    assert [row.session_id for row in found] == [A, None]
    assert found[-1].problem == "the gzip data ends early: rows after line 1 could not be read"


@pytest.mark.parametrize("name", ["plain", "gzip", "zstd"])
def test_a_pipe_that_falls_silent_gives_what_has_come(name: str) -> None:
    """A real pipe, kept open: three rows, then two, then its end."""
    pack = FLUSHING[name]()
    receiver, sender = os.pipe()
    with open(receiver, "rb") as stream:
        batches = open_source("-", stdin=stream).batches(100)
        with open(sender, "wb", buffering=0) as pipe:
            pipe.write(pack(f"id\n{A}\n{B}\n{C}\n".encode(), False))
            assert [row.session_id for row in next(batches)] == [A, B, C]
            pipe.write(pack(f"{B}\n{A}\n".encode(), False))
            assert [row.session_id for row in next(batches)] == [B, A]
            pipe.write(pack(b"", True))
        assert list(batches) == []
