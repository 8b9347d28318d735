"""Where a source may be: several files, folders, patterns, archives, what a shell hands over; and how it is packed."""

import bz2
import gzip
import hashlib
import io
import json
import lzma
import os
import threading
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

from closeout.worker.sources import open_source
from closeout.worker.support.errors import EmptySourceError, SourceError
from tests.sources.reading import A, B, C, ids, read, read_content, read_stdin, write

TABLE = f"session_id,x\n{A},1\n{B},2\n"
PACKINGS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress, "zstd": zstandard.compress, "bzip2": bz2.compress, "xz": lzma.compress,
}  # fmt: skip


def archive(**members: str | bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as made:
        for name, content in members.items():
            made.writestr(name, content)
    return out.getvalue()


def refusal_of(*sources: str) -> str:
    with pytest.raises(SourceError) as refusal:
        next(open_source(sources).batches(10))
    return str(refusal.value)


@pytest.mark.parametrize("packing", PACKINGS)
@pytest.mark.parametrize("name", ["a.csv", "part-0000", "a.gz", "a.csv.bz2", "a.xz"])
def test_packed_data_is_told_by_its_content(tmp_path: Path, packing: str, name: str) -> None:
    content = PACKINGS[packing](TABLE.encode())
    assert ids(read_content(tmp_path, name, content)) == [(2, A), (3, B)]
    assert ids(read_stdin(content)) == [(2, A), (3, B)]
    assert ids(read_content(tmp_path, name, content + PACKINGS[packing](f"{C},3\n".encode())))[2:] == [(4, C)]


@pytest.mark.parametrize("packing", PACKINGS)
def test_packed_data_that_is_cut_off_gives_the_rows_before(tmp_path: Path, packing: str) -> None:
    content = PACKINGS[packing]("".join(f"{n:08x}{A[8:]}\n" for n in range(1, 9_000)).encode())
    *rows, last = read_content(tmp_path, "a", content[: len(content) // 2 * 2 - 9])
    assert all(row.session_id for row in rows)
    assert f"the {packing} data" in (last.problem or "")


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-16", "utf-8-sig", "latin-1"])
@pytest.mark.parametrize("content", [TABLE, f"{A}\n{B}\n", json.dumps([A, B])])
def test_the_encoding_is_told_by_the_content(tmp_path: Path, encoding: str, content: str) -> None:
    """PowerShell writes UTF-16, some programs without the mark."""
    assert [row.session_id for row in read_content(tmp_path, "a", content.encode(encoding))] == [A, B]


def test_several_files_are_read_in_their_order_each_with_its_header(tmp_path: Path) -> None:
    first, second = write(tmp_path, "b.csv", TABLE), write(tmp_path, "a.csv", f"session_id,x\n{C},3\nbad,4\n")
    source = open_source([first, second])
    rows = [row for batch in source.batches(3) for row in batch]
    assert ids(rows) == [(2, A), (3, B), (2, C), (3, None)]
    assert rows[3].problem == f"{second}: not a UUID: 36 characters expected, found 3"
    assert source.name == "2 files"
    assert (source.reading or "").startswith('2 files, each so: ids: column 1 "session_id" of 2')
    both = Path(first).read_bytes() + Path(second).read_bytes()
    assert source.sha256 == hashlib.sha256(both).hexdigest()
    assert [len(batch) for batch in open_source(source.location or "").batches(3)] == [3, 1]


def test_a_folder_is_its_files_in_order(tmp_path: Path) -> None:
    """As Spark, Athena and Redshift write them: parts, some empty, and files of their own beside them."""
    write(tmp_path, "part-00001", "session_id,x\n")
    write(tmp_path, "part-00002", gzip.compress(f"session_id,x\n{C},3\n".encode()))
    write(tmp_path, "part-00000", TABLE)
    write(tmp_path, "_SUCCESS", "")
    write(tmp_path, ".part-00000.crc", b"crc")
    assert ids(read(str(tmp_path))) == [(2, A), (3, B), (2, C)]
    assert ids(read(str(tmp_path / "part-0000[12]"))) == [(2, C)]
    assert len(read(str(tmp_path / "part-*"))) == 3


def test_a_file_named_like_a_pattern_is_that_file(tmp_path: Path) -> None:
    write(tmp_path, "a.csv", f"session_id\n{C}\n")
    assert ids(read(write(tmp_path, "[a].csv", TABLE))) == [(2, A), (3, B)]


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (f"x,session_id\n1,{C}\n", "is read otherwise"),
        (f"{C},3\n", "is read otherwise"),
        (f"{C}\n", "is read otherwise"),
        (f'{{"session_id": "{C}"}}\n', "is read otherwise"),
        (f"session_id,id\n{C},{A}\n", "more than one column"),
        ("%PDF-1.7", "is a PDF document"),
        ("", "is empty"),
    ],
)
def test_a_file_unlike_the_others_stops_all_before_the_first_row(tmp_path: Path, other: str, words: str) -> None:
    """The rest of a table that was split, without its header, may hold other ids in the place of the session's."""
    first, second = write(tmp_path, "1.csv", TABLE), write(tmp_path, "2.csv", other)
    refusal = refusal_of(first, second)
    assert words in refusal
    assert second in refusal


def test_files_without_rows_are_no_list(tmp_path: Path) -> None:
    write(tmp_path, "1.csv", "session_id\n")
    write(tmp_path, "2.csv", "session_id\n")
    with pytest.raises(EmptySourceError, match="none of the files holds a row"):
        read(str(tmp_path))


def test_what_stands_alone_is_refused_among_others(tmp_path: Path) -> None:
    assert "stands alone" in refusal_of("-", write(tmp_path, "a.csv", TABLE))
    (tmp_path / "empty").mkdir()
    assert "is a folder without files" in refusal_of(str(tmp_path / "empty"))


def test_an_archive_is_its_files(tmp_path: Path) -> None:
    """Those of a Mac's are left out, and what is packed within is unpacked."""
    members: dict[str, str | bytes] = {"b.csv.gz": gzip.compress(f"session_id,x\n{C},3\n".encode()), "a.csv": TABLE}
    content = archive(**members, **{"__MACOSX/._a.csv": b"\0\5", "d/.DS_Store": b"x"})
    path = write(tmp_path, "export.zip", content)
    source = open_source(path)
    rows = [row for batch in source.batches(10) for row in batch]
    assert ids(rows) == [(2, A), (3, B), (2, C)]
    assert (source.location, source.sha256) == (path, hashlib.sha256(content).hexdigest())


def test_an_archive_of_one_file_is_that_file(tmp_path: Path) -> None:
    assert ids(read_content(tmp_path, "a.csv", archive(**{"a.csv": TABLE}))) == [(2, A), (3, B)]


def test_a_damaged_archive_gives_no_row_that_is_not_there(tmp_path: Path) -> None:
    content = bytearray(archive(**{"a.csv": TABLE}))
    content[50] ^= 0xFF
    with pytest.raises(SourceError, match="ZIP archive is damaged"):
        read_content(tmp_path, "a.zip", bytes(content))


def test_an_archive_from_a_pipe_and_a_workbook_are_named(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="ZIP archive within another or from a pipe"):
        read_stdin(archive(**{"a.csv": TABLE}))
    workbook = archive(**{"[Content_Types].xml": "<x/>", "xl/workbook.xml": "<x/>"})
    assert "looks like an Excel workbook" in refusal_of(write(tmp_path, "a", workbook))


@pytest.mark.parametrize("handed_over", ["fifo", "descriptor"])
def test_what_a_shell_hands_over_is_read(tmp_path: Path, handed_over: str) -> None:
    """A named pipe, and ``<(command)``."""
    if handed_over == "fifo":
        path = str(tmp_path / "pipe")
        os.mkfifo(path)
        writing = threading.Thread(target=Path(path).write_bytes, args=(TABLE.encode(),))
        writing.start()
        assert ids(read(path)) == [(2, A), (3, B)]
        writing.join()
    else:
        reader, writer = os.pipe()
        os.write(writer, TABLE.encode())
        os.close(writer)
        source = open_source(f"/dev/fd/{reader}")
        assert source.location is None
        assert [row.session_id for batch in source.batches(10) for row in batch] == [A, B]
        os.close(reader)


@pytest.mark.parametrize("content", ["array", "listing", "pages"])
def test_a_long_document_is_read_in_little_memory_and_line_by_line(tmp_path: Path, content: str) -> None:
    """Whatever the chunks are that it comes in."""
    wanted = [f"{n:08x}{A[8:]}" for n in range(1, 5_001)]
    records = [{"id": one, "subject": 'a "quoted" [text] {x}' * 3, "n": n} for n, one in enumerate(wanted)]
    text = {
        "array": json.dumps(records),
        "listing": json.dumps({"total": 5_000, "items": records, "has_more": False}, indent=1),
        "pages": "\n".join(json.dumps({"items": records[at : at + 200]}) for at in range(0, 5_000, 200)),
    }[content]
    rows = read_content(tmp_path, "a.json", text)
    assert [row.session_id for row in rows] == wanted
    assert [row.line for row in rows] == sorted(row.line for row in rows)


def test_a_document_that_is_cut_off_gives_the_records_before(tmp_path: Path) -> None:
    rows = read_content(tmp_path, "a.json", f'[{{"id": "{A}"}},\n{{"id": "{B}"}},\n{{"id": "{C}"')
    assert ids(rows)[:2] == [(1, A), (2, B)]
    assert "the JSON ends early" in (rows[2].problem or "")
