"""Bytes as they arrive: from a file as fast as it can be read, from a pipe with its pauses shown."""

import io
import os
import select
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from stat import S_ISREG
from typing import IO

from closeout.worker.sources.decompress import CHUNK, BrokenOffError

PATIENCE = 0.2  # seconds


def read_chunks(stream: IO[bytes]) -> Iterator[bytes]:
    """The bytes of ``stream``, at most CHUNK at a time. Raises BrokenOffError when reading fails.

    A stream that may make its reader wait, a pipe above all, also yields empty chunks: see ``with_pauses``.
    """
    descriptor = _slow_descriptor(stream)
    try:
        if descriptor is None:
            yield from iter(partial(getattr(stream, "read1", stream.read), CHUNK), b"")
        else:
            yield from with_pauses(partial(_read, descriptor), partial(_arrives, descriptor))
    except OSError as error:
        raise BrokenOffError(f"reading fails ({error.strerror or error})") from error
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
        raise BrokenOffError("the ZIP archive is damaged, or packed in a way that is not known here") from error


def with_pauses(
    read: Callable[[], bytes], arrives: Callable[[float], bool], clock: Callable[[], float] = time.monotonic
) -> Iterator[bytes]:
    """What ``read`` gives until it gives nothing, and an empty chunk, once, where the reader should not wait for more.

    That is when there is nothing to read and the first chunk since the last pause is PATIENCE seconds old.
    ``arrives`` waits so many seconds at most, and says whether there is something to read or an end to see.
    """
    since: float | None = None
    while True:
        if since is not None and not arrives(max(0.0, since + PATIENCE - clock())):
            since = None
            yield b""
        elif chunk := read():
            since = clock() if since is None else since
            yield chunk
        else:
            return


def _slow_descriptor(stream: IO[bytes]) -> int | None:
    """The descriptor of a stream that may make its reader wait; None for files and for what is in memory."""
    try:
        descriptor = stream.fileno()
    except io.UnsupportedOperation:
        return None
    return None if S_ISREG(os.fstat(descriptor).st_mode) else descriptor


def _read(descriptor: int) -> bytes:
    """Waits for something to read also where the writer's side has made the pipe non-blocking: that is no end."""
    while True:
        try:
            return os.read(descriptor, CHUNK)
        except BlockingIOError:
            select.select([descriptor], [], [])


def _arrives(descriptor: int, seconds: float) -> bool:
    return bool(select.select([descriptor], [], [], seconds)[0])
