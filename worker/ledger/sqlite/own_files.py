"""Which files belong to a ledger: told by what is in them, and of those that hold nothing by their names beside one."""

import re
from pathlib import Path

import apsw

_SQLITE = b"SQLite format 3\0"
# A database, its log, the index of its log, its journal: each begins so, whatever it is called.
_BEGINNINGS = (
    _SQLITE,
    b"\x37\x7f\x06\x82",
    b"\x37\x7f\x06\x83",
    b"\x18\xe2\x2d\x00",
    b"\xd9\xd5\x05\xf9\x20\xa1\x63\xd7",
)
_BESIDE = re.compile(
    r"(.+?)(?:\.lock|\.turn-[0-9a-f]+\.lock|(?:\.budget)?(?:-wal|-shm|-journal)|\.budget)", re.IGNORECASE
)
_HEADER, _APPLICATION_AT, _PAGE_SIZE_AT = 100, 68, 16  # https://www.sqlite.org/fileformat.html


def is_database(path: Path) -> bool:
    """Whether it is a SQLite database, such as a ledger, or a file that belongs to one."""
    return _beginning(path).startswith(_BEGINNINGS)


def is_beside_ledger(path: Path, ledger: Path | None) -> bool:
    """Whether that is what a file beside a ledger is called: beside this one, which need not be there yet, or any."""
    found = _BESIDE.fullmatch(path.name)
    if found is None:
        return False
    of = path.with_name(found[1])
    return is_database(of) or (ledger is not None and _alike(of, ledger))


def is_ledger_itself(path: Path, ledger: Path | None) -> bool:
    """Whether it is the place of this ledger, which need not be there yet."""
    return ledger is not None and _alike(path, ledger)


def refusal_of(path: Path, application: int) -> str | None:
    """Why a file can be no ledger, told without opening it as one, which may change it; None where it may be one.

    Another process may be making it just now: an empty file is looked at once, and the first page of a ledger may not
    bear its mark yet, while that is in its log.
    """
    beginning = _beginning(path)
    if beginning and not beginning.startswith(_SQLITE):
        return "is not a SQLite database"
    unmarked = bool(beginning) and _mark_of(beginning) == 0
    if unmarked and path.stat().st_size > int.from_bytes(beginning[_PAGE_SIZE_AT : _PAGE_SIZE_AT + 2]):
        beginning = _beginning(path)  # the page that bears the mark is written before it grows
    elif unmarked:
        return None
    known = not beginning or _mark_of(beginning) == application
    return None if known else "is a SQLite database, but no ledger of closeout"


def _mark_of(beginning: bytes) -> int:
    """Whose database it is, as it says itself; 0: it does not say."""
    return int.from_bytes(beginning[_APPLICATION_AT : _APPLICATION_AT + 4])


def stray_beside(path: Path) -> Path | None:
    """What SQLite would take for its own beside a database, and do away with: what is no file of a database at all.

    Where the database is not there, or holds nothing, its log is one, too: what is in it would be lost.
    """
    at = path.resolve()
    for ending in ("-wal", "-journal"):
        side = at.with_name(at.name + ending)
        beginning = _beginning(side)
        if any(beginning[:8]) and not beginning.startswith(_BEGINNINGS[1:]):
            return side  # one that is just being made may hold zeros
        # The database is looked at after its log: another process may be making both.
        if beginning and (not at.exists() or (ending == "-wal" and not at.stat().st_size)):
            return side
    index = at.with_name(at.name + "-shm")  # it bears locks: it is never opened here
    return index if index.exists() and index.stat().st_size and not at.exists() else None


def _alike(one: Path, other: Path) -> bool:
    """The same place, where letters may differ in case alone, as some file systems see it."""
    return str(one.resolve()).casefold() == str(other.resolve()).casefold()


def _beginning(path: Path) -> bytes:
    """What the file begins with, read by SQLite's own means.

    POSIX drops all locks that a process has on a file as soon as it closes any descriptor of it. Of a ledger that this
    process has open, SQLite puts the closing off; Python would not, and another process would take the ledger for
    unused and remove its log.
    """
    try:
        if not path.is_file():
            return b""
        file = apsw.VFSFile("", str(path.resolve()), [apsw.SQLITE_OPEN_MAIN_DB | apsw.SQLITE_OPEN_READONLY, 0])
        try:
            return file.xRead(min(_HEADER, file.xFileSize()), 0)
        finally:
            file.xClose()
    except (apsw.Error, OSError):
        return b""
