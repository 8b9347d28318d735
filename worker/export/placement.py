"""Where a file may be written: nothing is replaced that closeout did not make for this purpose.

An export or a report may replace an earlier one of the same run that is as it was written: the ledger keeps the digest
of each. Anything else is replaced only where a person insists, and a ledger, its files and a source never are.
"""

import hashlib
import os
import stat
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

import anyio
import anyio.to_thread

from closeout.worker.domain.run import LOCATIONS_APART, Run
from closeout.worker.ledger.protocol import Ledger
from closeout.worker.ledger.sqlite.own_files import is_beside_ledger, is_database, is_ledger_itself
from closeout.worker.support.errors import CloseoutError, ConfigurationError
from closeout.worker.support.terminal import printable

Signature = tuple[int, int, int, int]  # device, number, size and time of change of a file
Note = Callable[[str], Awaitable[None]]
_INSIST = "name another file, or give --force to replace it"
_STREAMS = ("/dev/fd/", "/dev/std", "/proc/")  # what a shell has opened


@dataclass(frozen=True, slots=True)
class Wanted:
    """A file that a person has asked for with an option; ``kind`` is what it is to hold, in a person's words."""

    output: str
    option: str = "--output"
    kind: str = "export"
    force: bool = False

    def refused(self, why: str) -> ConfigurationError:
        return ConfigurationError(f"{self.option} {printable(self.output)}: {why}")


async def expect_free(
    ledger: Ledger, at: Path | None, run: Run | None, wanted: Wanted, sources: Sequence[str | None] = ()
) -> Signature | None:
    """What stands there and may be replaced by a file of the run; None where nothing does.

    ``at`` is where the ledger is, if that is a file; ``run`` is None where it is not made yet, ``sources`` are those
    that it will have. Raises ConfigurationError where it must not be replaced.
    """
    path = Path(wanted.output)
    expect_no_ledger(path, at, wanted)
    there = signature_of(path)
    if there is None:
        return None
    runs = await ledger.runs()
    known = {each.source_sha256: each.name for each in runs if each.source_sha256 is not None}
    if same_file_as(path, sources):
        raise wanted.refused("this is the source itself, which is never replaced: name another file")
    for each in runs:
        if same_file_as(path, [each.location]):
            raise wanted.refused(f"this is the source of run {each.name}, which is never replaced: name another file")
    digest = await anyio.to_thread.run_sync(digest_of, path, abandon_on_cancel=True)
    if digest in known:
        raise wanted.refused(f"this is what run {known[digest]} has read, which is never replaced: name another file")
    if wanted.force or (is_stream(path) and not there[2]):
        return there
    if run is not None and await ledger.reports.has_made(run, wanted.kind, digest):
        return there
    of = f"run {run.name}" if run is not None else "this run"
    raise wanted.refused(f"a file is there that is not an earlier {wanted.kind} of {of}: {_INSIST}")


def expect_no_ledger(path: Path, at: Path | None, wanted: Wanted) -> None:
    """Raise ConfigurationError for a ledger, that ``at`` a place or any other, and for a file that belongs to one."""
    resolved = path.resolve()
    if is_beside_ledger(resolved, at):  # by its name, as looking into a log or a lock would take its locks away
        raise wanted.refused("a ledger keeps a file of that name beside it: name another file")
    if is_ledger_itself(resolved, at) or is_database(path):
        raise wanted.refused("this is a ledger or another database, which is never replaced: name another file")


async def write_own(path: Path, content: bytes, wanted: Wanted, sources: Sequence[str | None] = ()) -> None:
    """Write a file that is made of no run; one that holds that already stays. ``sources`` are never replaced.

    Raises ConfigurationError for any other that is there, and CloseoutError where it cannot be written.
    """
    expect_no_ledger(path, None, wanted)
    there = signature_of(path)
    if there is not None and digest_of(path) == hashlib.sha256(content).hexdigest():
        return
    if there is not None and same_file_as(path, sources):
        raise wanted.refused("this is the source of a run, which is never replaced: name another file")
    if there is not None and not wanted.force and not (is_stream(path) and not there[2]):
        raise wanted.refused(f"a file is there that holds something else: {_INSIST}")
    async with written(path, there) as out:
        out.write(content)


def same_file_as(path: Path, others: Sequence[str | None]) -> bool:
    """Whether it is one of these files, by whatever name, or what standard input reads."""
    with suppress(OSError):
        found = path.stat()
        paths = (each for other in others if other is not None for each in other.split(LOCATIONS_APART))
        for each in paths:
            with suppress(OSError, ValueError):
                if os.path.samestat(found, Path(each).stat()):
                    return True
        with suppress(OSError, ValueError, AttributeError):
            given = os.fstat(sys.stdin.fileno())
            return stat.S_ISREG(given.st_mode) and os.path.samestat(found, given)
    return False


def signature_of(path: Path) -> Signature | None:
    """By which a plain file is known again; None where there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns) if stat.S_ISREG(found.st_mode) else None


def digest_of(path: Path) -> str:
    """SHA-256 of a file. Raises ConfigurationError."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ConfigurationError(f"cannot read {path}, which is there already: {error.strerror or error}") from None


def is_stream(path: Path) -> bool:
    """Whether it is written as it is: a device, a pipe, an open file."""
    return (path.exists() and not path.is_file()) or str(path.absolute()).startswith(_STREAMS)


async def unnoted(_digest: str) -> None:
    """Nobody wants to know it again."""


@asynccontextmanager
async def written(path: Path, over: Signature | None = None, note: Note = unnoted) -> AsyncIterator[BinaryIO]:
    """A file to write, which appears whole at the end; ``over`` is what it may replace then, ``note`` keeps its digest.

    Raises CloseoutError where it cannot be written, and where something else stands there by then.
    """
    try:
        if is_stream(path):
            with path.open("wb") as out:
                yield cast("BinaryIO", out)
        else:
            async with _put_in_place(await anyio.Path(path).resolve(), over, note) as out:
                yield out
    except OSError as error:
        raise CloseoutError(f"cannot write {path}: {error.strerror or error}") from error


@asynccontextmanager
async def _put_in_place(at: anyio.Path, over: Signature | None, note: Note) -> AsyncIterator[BinaryIO]:
    handle, name = tempfile.mkstemp(dir=at.parent, prefix=f".{at.name[:50]}.")  # mode 0600
    made, path = Path(name), Path(at)
    try:
        with os.fdopen(handle, "wb") as out:
            yield cast("BinaryIO", out)
            out.flush()
            os.fsync(out.fileno())
        await note(await anyio.to_thread.run_sync(digest_of, made))  # before it is there: no file is there unknown
        _move(made, path, over)
    finally:
        _remove(made)


def _remove(made: Path) -> None:
    with suppress(OSError):
        made.unlink()


def _move(made: Path, path: Path, over: Signature | None) -> None:
    """A link, unlike a move, never replaces anything."""
    if over is not None and signature_of(path) == over:
        made.replace(path)
        return
    try:
        _link(made, path)
    except FileExistsError:
        raise CloseoutError(f"cannot write {path}: something else is there by now, and stays") from None


def _link(made: Path, path: Path) -> None:
    try:
        path.hardlink_to(made)
    except FileExistsError:
        raise
    except OSError:  # a file system without links
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        made.replace(path)
