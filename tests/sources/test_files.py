import gzip
import io
import os
import subprocess
import sys
from pathlib import Path

import pytest
import zstandard

from closeout.worker.sources import open_source
from closeout.worker.support.errors import SourceError
from tests.sources.reading import A, B, C, ids, read, read_stdin, write

PLAIN = f"id\n{A}\n{B}\n".encode()
PACKED = {"plain": PLAIN, "gzip": gzip.compress(PLAIN), "zstd": zstandard.compress(PLAIN)}


@pytest.mark.parametrize("name", ["a.csv", "a.CSV.GZ", "a.csv.Zst"])
@pytest.mark.parametrize("packing", ["gzip", "zstd"])
def test_which_compression_is_judged_by_the_content(tmp_path: Path, name: str, packing: str) -> None:
    assert ids(read(write(tmp_path, name, PACKED[packing]))) == [(2, A), (3, B)]


@pytest.mark.parametrize(("name", "suffix"), [("a.csv.gz", ".gz"), ("a.CSV.GZ", ".gz"), ("a.jsonl.zst", ".zst")])
@pytest.mark.parametrize("content", [PLAIN, b"\x1f", b"\x1f\x8c" + PLAIN])
def test_a_name_that_promises_compressed_data_which_is_not_there_is_refused(
    tmp_path: Path, name: str, suffix: str, content: bytes
) -> None:
    """A file that is not what its name says was made or fetched wrongly; what it lists must not be closed."""
    path = write(tmp_path, name, content)
    assert refusal_of(path) == (
        f"{path} is named {suffix}, but holds no compressed data: get it again, or drop {suffix} from its name "
        "if it is text"
    )


@pytest.mark.parametrize("packing", PACKED)
def test_standard_input_is_unpacked(packing: str) -> None:
    assert ids(read_stdin(PACKED[packing])) == [(2, A), (3, B)]


@pytest.mark.parametrize(
    "content",
    [
        gzip.compress(PLAIN) + gzip.compress(f"{C}\n".encode()),
        gzip.compress(PLAIN) + b"\0" * 512 + gzip.compress(f"{C}\n".encode()) + b"\0" * 100,
        zstandard.compress(PLAIN) + zstandard.compress(f"{C}\n".encode()),
        b"\x50\x2a\x4d\x18\x04\0\0\0note" + zstandard.compress(PLAIN + f"{C}\n".encode()),
    ],
)
def test_all_members_and_frames_are_read(tmp_path: Path, content: bytes) -> None:
    assert ids(read(write(tmp_path, "a.csv.gz", content))) == [(2, A), (3, B), (4, C)]


@pytest.mark.parametrize("size", [1, 2, 3, 1_000])
def test_batches_hold_as_many_rows_as_asked_in_order(tmp_path: Path, size: int) -> None:
    path = write(tmp_path, "a.txt", f"{A}\n{B}\n{C}\n")
    batches = list(open_source(path).batches(size))
    assert [row.session_id for batch in batches for row in batch] == [A, B, C]
    assert {len(batch) for batch in batches[:-1]} <= {size}
    assert len(batches[-1]) <= size


def test_a_batch_of_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="at least one row"):
        next(open_source(write(tmp_path, "a.txt", A)).batches(0))


def test_a_file_is_located_by_its_absolute_path_and_can_be_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, "a.txt", A)
    (tmp_path / "link.txt").symlink_to("a.txt")
    monkeypatch.chdir(tmp_path)
    source = open_source("link.txt")
    assert (source.name, source.location) == ("link.txt", str((tmp_path / "a.txt").resolve()))
    monkeypatch.chdir("/")
    assert list(source.batches(5)) == list(source.batches(5)) != []


def test_standard_input_has_no_location() -> None:
    source = open_source("-", stdin=io.BytesIO(PLAIN))
    assert (source.name, source.location) == ("standard input", None)


def refusal_of(source: str) -> str:
    with pytest.raises(SourceError) as refusal:
        list(open_source(source).batches(10))
    return str(refusal.value)


def test_a_missing_file_is_answered_with_the_nearest_name(tmp_path: Path) -> None:
    write(tmp_path, "sessions.csv", PLAIN)
    assert refusal_of(str(tmp_path / "sesions.csv")).endswith(
        f"does not exist: did you mean '{tmp_path}/sessions.csv'?"
    )
    assert refusal_of(str(tmp_path / "zzz.txt")).endswith("does not exist: check its path")
    assert refusal_of(str(tmp_path / "no" / "zzz.txt")).endswith("does not exist: check its path")


@pytest.mark.parametrize("name", ["a.json", "a", "a.data", "0000_part_00", ".csv", "a.log", "sessions.xlsx"])
def test_the_content_tells_what_it_is_and_not_the_name(tmp_path: Path, name: str) -> None:
    assert ids(read(write(tmp_path, name, PLAIN))) == [(2, A), (3, B)]


def test_other_things_that_are_no_file_to_read(tmp_path: Path) -> None:
    assert "is a folder without files" in refusal_of(str(tmp_path))
    assert refusal_of("").startswith("SOURCE is empty: name a file")
    assert "is no file name" in refusal_of("a\0.csv")
    assert "cannot be opened" in refusal_of(write(tmp_path, "a.csv", PLAIN) + "/b.csv")
    assert "cannot be opened" in refusal_of("x" * 5_000 + ".csv")


def test_a_file_that_may_not_be_read_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path, "a.csv", PLAIN)
    Path(path).chmod(0)
    if os.access(path, os.R_OK):  # the superuser may read everything
        monkeypatch.setattr(Path, "open", _forbidden)
    assert "its permissions forbid it" in refusal_of(path)


def _forbidden(*_: object) -> None:
    raise PermissionError(13, "Permission denied")


def test_a_file_that_goes_after_it_was_named_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, "a.csv", PLAIN)
    source = open_source(path)
    Path(path).unlink()
    with pytest.raises(SourceError, match="cannot be opened: No such file"):
        next(source.batches(1))


def test_the_file_is_closed_when_reading_stops_early(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path, "a.txt", f"{A}\n{B}\n")
    opened: list[io.BufferedReader] = []
    real = Path.open

    def remembering(self: Path, mode: str) -> io.BufferedReader:
        opened.append(real(self, mode))  # type: ignore[arg-type]
        return opened[-1]

    monkeypatch.setattr(Path, "open", remembering)
    batches = open_source(path).batches(1)
    next(batches)
    assert not opened[-1].closed
    batches.close()  # type: ignore[attr-defined]
    assert opened[-1].closed


def test_a_pipe_is_read_as_it_is() -> None:
    script = (
        "from closeout.worker.sources import open_source\n"
        "print([row.session_id for batch in open_source('-').batches(9) for row in batch])"
    )
    done = subprocess.run([sys.executable, "-c", script], input=PACKED["gzip"], capture_output=True, check=True)
    assert done.stdout.decode().strip() == str([A, B])


def test_standard_input_that_is_closed_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    assert refusal_of("-") == "standard input is closed: pipe the session ids in, or name a file"
