"""Where the bytes of a source are: files, folders, patterns, what is in a ZIP archive, standard input."""

import glob
import sys
import zipfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from stat import S_ISDIR, S_ISREG
from typing import IO, BinaryIO

from closeout.worker.domain.run import LOCATIONS_APART
from closeout.worker.sources.reader import Promised
from closeout.worker.sources.session_ids import shown
from closeout.worker.support.errors import SourceError
from closeout.worker.support.suggestions import file_meant

MOST_FILES = 10_000
LONGEST_NAME = 4_096
_FORMATS = {".csv": "csv", ".tsv": "tsv", ".txt": "txt"}
_COMPRESSIONS = (".gz", ".zst", ".bz2", ".xz")
_ZIP = b"PK\x03\x04"
_WORKBOOK = ("[Content_Types].xml", "xl/", "content.xml")
_ENCRYPTED = 1


@dataclass(frozen=True, slots=True)
class Part:
    """One stream of bytes of a source: what a person calls it, what its name promises, and how it is opened."""

    name: str
    promised: Promised
    opened: Callable[[], AbstractContextManager[IO[bytes]]]


@dataclass(frozen=True, slots=True)
class Place:
    """A file of a source, or standard input: its path (None where it cannot be opened again), and what is in it.

    ``packed`` tells an archive.
    """

    path: str | None
    parts: tuple[Part, ...]
    packed: bool = False


def standard_input(stdin: BinaryIO | None) -> Place:
    """Standard input, or what is given in its stead."""
    return Place(None, (Part("standard input", Promised(), partial(_opened_stdin, stdin)),))


def files_named(source: str) -> list[str]:
    """The files that a path, a folder or a pattern names, in order. Raises SourceError where there are none.

    Of a folder these are all files in it but those whose names begin with . or _, as programs write beside their parts.
    """
    path = Path(source)
    try:
        if S_ISDIR(path.stat().st_mode):
            found = sorted(one for one in path.iterdir() if one.is_file() and one.name[0] not in "._")
            if not found:
                raise SourceError("is a folder without files")
            return [str(one) for one in found]
    except FileNotFoundError as error:
        found_by = sorted(one for one in glob.glob(source, recursive=True) if Path(one).is_file())
        if found_by:
            return found_by
        near = file_meant(path)
        hint = f"did you mean {shown(str(near), LONGEST_NAME)!r}?" if near is not None else "check its path"
        raise SourceError(f"does not exist: {hint}") from error
    except OSError as error:
        raise SourceError(_refusal(error)) from error
    except ValueError as error:
        raise SourceError("is no file name") from error
    return [source]


def place_of(name: str) -> Place:
    """The file of that name. Raises SourceError if it cannot be read."""
    location = _location(name)
    told = shown(name, LONGEST_NAME)
    if location is None:
        return Place(None, (Part(told, _promised(name), partial(_opened_file, name)),))
    if _is_archive(location):
        return Place(location, tuple(_members(location, told)), packed=True)
    return Place(location, (Part(told, _promised(name), partial(_opened_file, location)),))


def _location(name: str) -> str | None:
    """The absolute path, links resolved; None for what has no path of its own, such as /dev/fd/63 of a shell."""
    try:
        path = Path(name).resolve()
        if not path.exists():
            return None
    except OSError as error:
        raise SourceError(_refusal(error)) from error
    if LOCATIONS_APART in str(path):
        raise SourceError("is no file name")
    return str(path)


def _is_archive(location: str) -> bool:
    """Whether it is a ZIP archive, and no workbook. What cannot be opened says so later."""
    try:
        if not S_ISREG(Path(location).stat().st_mode):
            return False
        with Path(location).open("rb") as file:
            if file.read(len(_ZIP)) != _ZIP or not zipfile.is_zipfile(file):
                return False
        with zipfile.ZipFile(location) as archive:
            return not any(name.startswith(_WORKBOOK) for name in archive.namelist())
    except (OSError, zipfile.BadZipFile):
        return False


def _members(location: str, told: str) -> Iterator[Part]:
    with zipfile.ZipFile(location) as archive:
        found = [one for one in archive.infolist() if not one.is_dir() and _counts(one.filename)]
    if not found:
        raise SourceError("is a ZIP archive without files")
    if any(one.flag_bits & _ENCRYPTED for one in found):
        raise SourceError("is a ZIP archive under a password: unpack it")
    for one in sorted(found, key=lambda member: member.filename):
        name = f"{told}/{shown(one.filename, LONGEST_NAME)}"
        yield Part(name, _promised(one.filename), partial(_opened_member, location, one.filename))


def _counts(name: str) -> bool:
    """Whether a member is a file of the person's own: neither hidden nor of a Mac's."""
    return not name.startswith("__MACOSX/") and name.rsplit("/", 1)[-1][0] not in "._"


@contextmanager
def _opened_member(location: str, name: str) -> Iterator[IO[bytes]]:
    try:
        archive = zipfile.ZipFile(location)
    except (OSError, zipfile.BadZipFile) as error:
        raise SourceError("cannot be opened any more") from error
    with archive, archive.open(name) as member:
        yield member


def _opened_file(location: str) -> BinaryIO:
    try:
        return Path(location).open("rb")
    except OSError as error:
        raise SourceError(_refusal(error)) from error


def _opened_stdin(stdin: BinaryIO | None) -> AbstractContextManager[BinaryIO]:
    if stdin is not None:
        return nullcontext(stdin)
    if sys.stdin is None:
        raise SourceError("is closed: pipe the session ids in, or name a file")
    return nullcontext(sys.stdin.buffer)


def _promised(name: str) -> Promised:
    lower = Path(name).name.lower()
    compression = next((suffix for suffix in _COMPRESSIONS if lower.endswith(suffix)), "")
    return Promised(_FORMATS.get(Path(lower.removesuffix(compression)).suffix), compression)


def _refusal(error: OSError) -> str:
    if isinstance(error, PermissionError):
        return "cannot be opened, its permissions forbid it: allow reading it"
    return f"cannot be opened: {error.strerror or error}"
