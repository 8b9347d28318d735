"""When a stream pauses: a wait for more ends where what has come has waited long enough."""

import io
import os
import select
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import pytest

from closeout.worker.sources import chunks as arrival
from closeout.worker.sources.chunks import PATIENCE, read_chunks, with_pauses

GAP = PATIENCE * 0.3


@dataclass
class Producer:
    """A stream by a clock of its own: what comes, and how many seconds after the start. Then its end.

    ``blocked`` holds the times at which the reader waited without a limit.
    """

    coming: list[tuple[float, bytes]]
    now: float = 0.0
    blocked: list[float] = field(default_factory=list)

    def read(self) -> bytes:
        if not self.coming:
            return b""
        at, chunk = self.coming.pop(0)
        if at > self.now:
            self.blocked.append(self.now)
        self.now = max(self.now, at)
        return chunk

    def arrives(self, seconds: float) -> bool:
        at = self.coming[0][0] if self.coming else 0.0
        self.now = min(max(self.now, at), self.now + seconds)
        return at <= self.now

    def chunks(self) -> Iterator[tuple[float, bytes]]:
        """What is yielded, with the time at which it is."""
        for chunk in with_pauses(self.read, self.arrives, lambda: self.now):
            yield self.now, chunk


def test_a_stream_that_never_lets_wait_never_pauses() -> None:
    """However long it takes to read it."""
    producer = Producer([(0.0, b"x")] * 100)
    seen = []
    for at, chunk in producer.chunks():
        producer.now += PATIENCE
        seen.append((at, chunk))
    assert [chunk for _, chunk in seen] == [b"x"] * 100


def test_it_pauses_once_when_nothing_follows_and_then_waits_for_as_long_as_it_takes() -> None:
    """An idle pipe costs nothing."""
    producer = Producer([(0.0, b"a"), (3600.0, b"b")])
    assert list(producer.chunks()) == [(0.0, b"a"), (PATIENCE, b""), (3600.0, b"b")]
    assert producer.blocked == [PATIENCE]


def test_what_trickles_in_is_not_kept_waiting_by_what_follows_it() -> None:
    """The wait is counted from the first that came since the last pause, not from the last."""
    producer = Producer([(number * GAP, b"x") for number in range(10)])
    pauses = [at for at, chunk in producer.chunks() if not chunk]
    assert pauses == pytest.approx([PATIENCE, 4 * GAP + PATIENCE])


def test_an_end_is_no_pause() -> None:
    """It comes at once."""
    assert list(Producer([(0.0, b"a")]).chunks()) == [(0.0, b"a")]
    assert list(Producer([]).chunks()) == []


@pytest.fixture
def pipe() -> Iterator[tuple[BinaryIO, BinaryIO]]:
    """Both ends of a pipe."""
    receiver, sender = os.pipe()
    with open(receiver, "rb") as reading, open(sender, "wb", buffering=0) as writing:
        yield reading, writing


def test_a_pipe_pauses(pipe: tuple[BinaryIO, BinaryIO]) -> None:
    """While its other end is open; it ends when that is closed."""
    reading, writing = pipe
    chunks = read_chunks(reading)
    writing.write(b"abc")
    assert (next(chunks), next(chunks)) == (b"abc", b"")
    writing.write(b"d")
    writing.close()
    assert list(chunks) == [b"d"]


def test_a_pipe_that_does_not_block_is_waited_for(
    pipe: tuple[BinaryIO, BinaryIO], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who started the process may have set it so. Nothing to read is not the end of the source."""
    reading, writing = pipe
    os.set_blocking(reading.fileno(), False)
    wait = select.select

    def write_then_wait(*arguments: Any) -> object:
        writing.write(b"late")
        writing.close()
        return wait(*arguments)

    monkeypatch.setattr("closeout.worker.sources.chunks.select.select", write_then_wait)
    chunks = read_chunks(reading)
    assert next(chunks) == b"late"


@pytest.mark.parametrize("opened", [lambda path: path.open("rb"), lambda path: io.BytesIO(path.read_bytes())])
def test_files_and_memory_are_read_without_looking_for_pauses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, opened: Callable[[Path], BinaryIO]
) -> None:
    """They never let wait."""
    monkeypatch.setattr(arrival, "with_pauses", None)
    (tmp_path / "a").write_bytes(b"x" * 100_000)
    with opened(tmp_path / "a") as stream:
        assert [len(chunk) for chunk in read_chunks(stream)] == [65_536, 34_464]
