"""Bytes in bounded chunks, decompressed, looked at before they are used.

An empty chunk is a pause: for now nothing more has come. It is passed on behind all that came before it.
"""

import bz2
import lzma
import zlib
from collections.abc import Callable, Iterable, Iterator
from itertools import chain

import zstandard

from closeout.worker.support.errors import SourceError

CHUNK = 65_536

MAGIC = 5  # bytes that tell whether data is packed
# One zstd block takes as little as four bytes and unfolds to 128 KiB: this bounds what one step can unfold to.
_ZSTD_STEP = 64


class BrokenOffError(Exception):
    """The data stops before its end; the text says how. ``after_line`` is the last line that can be trusted,
    or None where the number of lines read says it."""

    after_line: int | None = None


def decompressed(chunks: Iterator[bytes], suffix: str = "") -> Iterator[bytes]:
    """The content of ``chunks``, unfolded where they begin like gzip, zstd, bzip2 or xz data; each chunk stays bounded.

    Raises SourceError, before anything, where they do not, though the name's ``suffix`` (".gz") promises it, and
    BrokenOffError where the compressed data is cut off or damaged.
    """
    head, chunks = take_head(chunks, MAGIC)
    if head.startswith(b"\x1f\x8b"):
        return _gunzip(chunks)
    if head.startswith((b"BZh", b"\xfd7zXZ")):
        name, make = ("bzip2", bz2.BZ2Decompressor) if head.startswith(b"BZh") else ("xz", lzma.LZMADecompressor)
        return _unfolded(chunks, name, make)
    if head.startswith(b"\x28\xb5\x2f\xfd") or _is_skippable_frame(head):
        return _regrouped(_unzstd(chunks))
    if head and suffix:
        raise SourceError(
            f"is named {suffix}, but holds no compressed data: get it again, or drop {suffix} from its name "
            "if it is text"
        )
    return chunks


def is_packed(head: bytes) -> bool:
    """Whether what begins so is unfolded here."""
    return head.startswith((b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd")) or _is_skippable_frame(head)


def take_head(
    chunks: Iterator[bytes], size: int, enough: Callable[[bytes], bool] | None = None
) -> tuple[bytes, Iterator[bytes]]:
    """At least ``size`` bytes from the beginning, or all there are, and an iterator over everything, head included.

    A pause ends the head early if what has come so far is ``enough``; without that, pauses are waited through.
    """
    head = bytearray()
    rest = chunks
    try:
        while len(head) < size:
            chunk = next(chunks)
            head += chunk
            if not chunk and enough is not None and enough(bytes(head)):
                rest = chain([chunk], chunks)
                break
    except StopIteration:
        rest = iter(())
    except BrokenOffError as error:
        rest = raising(error)
    return bytes(head), chain([bytes(head)] if head else [], rest)


def raising(error: BrokenOffError) -> Iterator[bytes]:
    """An iterator without items that ends by raising ``error``: a break kept for when its turn comes."""
    raise error
    yield b""


def _is_skippable_frame(head: bytes) -> bool:
    return head[1:4] == b"\x2a\x4d\x18" and head[0] & 0xF0 == 0x50


def _gunzip(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The content of all gzip members, one after the other; zeros after a member are padding."""
    member = zlib.decompressobj(wbits=31)
    try:
        for chunk in chunks:
            if not chunk:
                yield chunk
            data = chunk
            while data:
                if member.eof:
                    data = data.lstrip(b"\0")
                    if not data:
                        break
                    member = zlib.decompressobj(wbits=31)
                if piece := member.decompress(data, CHUNK):
                    yield piece
                data = member.unused_data if member.eof else member.unconsumed_tail
    except zlib.error as error:
        raise BrokenOffError("the gzip data is damaged") from error
    if not member.eof:
        raise BrokenOffError("the gzip data ends early")


def _unfolded(
    chunks: Iterable[bytes], name: str, make: Callable[[], bz2.BZ2Decompressor | lzma.LZMADecompressor]
) -> Iterator[bytes]:
    """The content of all bzip2 or xz streams, one after the other; zeros after one are padding."""
    stream = make()
    try:
        for chunk in chunks:
            if not chunk:
                yield chunk
            data = chunk
            while data or not (stream.eof or stream.needs_input):
                if stream.eof:
                    data = data.lstrip(b"\0")
                    if not data:
                        break
                    stream = make()
                if piece := stream.decompress(data, CHUNK):
                    yield piece
                data = stream.unused_data if stream.eof else b""
    except (OSError, lzma.LZMAError, EOFError) as error:
        raise BrokenOffError(f"the {name} data is damaged") from error
    if not stream.eof:
        raise BrokenOffError(f"the {name} data ends early")


def _unzstd(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The content of all zstd frames, one after the other, in pieces of any size up to 2 MiB."""
    decompressor = zstandard.ZstdDecompressor()
    frame = decompressor.decompressobj()
    try:
        for chunk in chunks:
            if not chunk:
                yield chunk
            for start in range(0, len(chunk), _ZSTD_STEP):
                data = chunk[start : start + _ZSTD_STEP]
                while data:
                    if frame.eof:
                        frame = decompressor.decompressobj()
                    if piece := frame.decompress(data):
                        yield piece
                    data = frame.unused_data if frame.eof else b""
    except zstandard.ZstdError as error:
        raise BrokenOffError("the zstd data is damaged") from error
    if not frame.eof:
        raise BrokenOffError("the zstd data ends early")


def _regrouped(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The same bytes in chunks of CHUNK; what came before a pause or a break is handed out before it."""
    held = bytearray()
    try:
        for piece in pieces:
            held += piece
            while len(held) >= CHUNK:
                yield bytes(held[:CHUNK])
                del held[:CHUNK]
            if not piece:
                yield from _emptied(held)
                yield piece
    except BrokenOffError:
        yield from _emptied(held)
        raise
    yield from _emptied(held)


def _emptied(held: bytearray) -> Iterator[bytes]:
    if held:
        yield bytes(held)
        held.clear()
