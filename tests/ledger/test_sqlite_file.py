"""The SQLite ledger's file: who may read it, and what is refused."""

import asyncio
import fcntl
import os
import sqlite3
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import apsw
import pytest

from closeout.worker.domain.item import Outcome
from closeout.worker.ledger.sqlite.file import connect
from closeout.worker.ledger.sqlite.ledger import SqliteLedger
from closeout.worker.ledger.sqlite.migrate import APPLICATION_ID
from closeout.worker.ledger.sqlite.own_files import is_database, refusal_of
from closeout.worker.ledger.sqlite.store import SqliteStore
from closeout.worker.pace.budget import BudgetKey
from closeout.worker.support.errors import LedgerError
from tests.ledger.support import NOW, a_run, changed, claim_all, outcomes_of, rows

pytestmark = pytest.mark.anyio


@pytest.fixture
def no_umask() -> Iterator[None]:
    """A process that keeps nothing from anybody."""
    before = os.umask(0)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    """Its permissions."""
    return stat.S_IMODE(path.stat().st_mode)


def modes_within(folder: Path) -> dict[str, int]:
    """The permissions of each file."""
    return {path.name: mode(path) for path in folder.iterdir()}


def one_line(error: pytest.ExceptionInfo[LedgerError], path: Path) -> str:
    """The error's text, which is one line and names the file."""
    text = str(error.value)
    assert "\n" not in text
    assert str(path) in text
    return text


@pytest.mark.usefixtures("no_umask")
async def test_only_its_owner_may_read_a_ledger(tmp_path: Path) -> None:
    """Nor the files that stand beside it while it is open."""
    async with SqliteLedger.open(tmp_path / "ledger.db", create=True) as ledger:
        run = await a_run(ledger, [1])
        async with ledger.locked(run):
            modes = modes_within(tmp_path)
    assert set(modes) == {"ledger.db", "ledger.db-wal", "ledger.db-shm", "ledger.db.lock"}
    assert set(modes.values()) == {0o600}


async def test_a_ledger_that_others_may_read_is_closed_to_them(tmp_path: Path) -> None:
    """It holds who was closed, and when."""
    path = tmp_path / "ledger.db"
    connect(path, create=True).close()
    path.chmod(0o644)
    connect(path, create=False).close()
    assert mode(path) == 0o600


@pytest.mark.parametrize("beside", [".lock", ".budget"])
async def test_what_others_made_beside_a_ledger_is_closed_to_them(tmp_path: Path, beside: str) -> None:
    """It says who works there, and how fast; and who may write to it may hold the work up."""
    planted = tmp_path / f"ledger.db{beside}"
    planted.touch()
    planted.chmod(0o666)
    async with (
        SqliteLedger.open(tmp_path / "ledger.db", create=True) as ledger,
        ledger.locked(await a_run(ledger)),
        ledger.budget(BudgetKey("host")),
    ):
        assert mode(planted) == 0o600


@pytest.mark.parametrize("beside", [".lock", ".budget"])
async def test_a_link_beside_a_ledger_is_not_followed(tmp_path: Path, beside: str) -> None:
    """What it leads to is somebody's."""
    theirs = tmp_path / "theirs"
    (tmp_path / f"ledger.db{beside}").symlink_to(theirs)
    async with SqliteLedger.open(tmp_path / "ledger.db", create=True) as ledger:
        run = await a_run(ledger)
        with pytest.raises(LedgerError, match=f"ledger.db{beside}"):
            async with ledger.locked(run), ledger.budget(BudgetKey("host")):
                pass
    assert not theirs.exists()


def test_a_ledger_that_is_not_there_is_made_only_on_request(tmp_path: Path) -> None:
    """Reading a mistyped name must not leave an empty file."""
    path = tmp_path / "ledger.db"
    with pytest.raises(LedgerError, match="there is no ledger") as caught:
        connect(path, create=False)
    one_line(caught, path)
    assert not path.exists()


def test_another_programs_database_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    """Neither its content nor its permissions change."""
    path = tmp_path / "other.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE theirs (x)")
        connection.commit()
    path.chmod(0o644)
    before = path.read_bytes()
    with pytest.raises(LedgerError, match="no ledger of closeout") as caught:
        connect(path, create=True)
    one_line(caught, path)
    assert (path.read_bytes(), mode(path)) == (before, 0o644)


def test_a_file_that_is_no_database_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    """A CSV given as the ledger by mistake."""
    path = tmp_path / "sessions.csv"
    path.write_text("session_id\n" * 500)
    with pytest.raises(LedgerError, match="not a SQLite database") as caught:
        connect(path, create=True)
    one_line(caught, path)
    assert path.read_text() == "session_id\n" * 500


def test_an_empty_file_becomes_a_ledger(tmp_path: Path) -> None:
    """As ``mktemp`` makes it."""
    path = tmp_path / "ledger.db"
    path.touch()
    with closing(connect(path, create=False)) as connection:
        assert connection.pragma("application_id") == APPLICATION_ID


def test_a_folder_is_refused(tmp_path: Path) -> None:
    """With what to do instead."""
    with pytest.raises(LedgerError, match="is a folder") as caught:
        connect(tmp_path, create=True)
    one_line(caught, tmp_path)


@pytest.mark.parametrize("place", ["missing/ledger.db", "file/ledger.db"])
def test_a_place_that_cannot_be_written_is_refused(tmp_path: Path, place: str) -> None:
    """A folder that is not there, or is a file."""
    (tmp_path / "file").touch()
    with pytest.raises(LedgerError, match="cannot create the ledger") as caught:
        connect(tmp_path / place, create=True)
    one_line(caught, tmp_path / place)


def test_what_is_recorded_is_safe_from_a_power_cut(tmp_path: Path) -> None:
    """A commit waits for the disk."""
    with closing(connect(tmp_path / "ledger.db", create=True)) as connection:
        assert (connection.pragma("synchronous"), connection.pragma("journal_mode")) == (2, "wal")


async def test_a_full_disk_is_one_line_and_nothing_is_written_by_halves(tmp_path: Path) -> None:
    """The batch that did not fit is not there at all, the ones before it are."""
    path = tmp_path / "ledger.db"
    writing, reading = connect(path, create=True), connect(path, create=False)
    with closing(writing), closing(reading):
        ledger = SqliteLedger(path, SqliteStore(writing), SqliteStore(reading))
        run = await a_run(ledger, range(2_000))
        claims = await claim_all(ledger, run)
        await ledger.record(run, [changed(claim, Outcome.CLOSED) for claim in claims[:10]], NOW)
        _no_more_pages(writing)
        with pytest.raises(LedgerError, match="full") as caught:
            await ledger.record(run, [changed(claim, Outcome.CLOSED, detail="x" * 500) for claim in claims[10:]], NOW)
        one_line(caught, path)
        assert await outcomes_of(ledger, run) == {"closed": 10, "in_doubt": 1_990}
        assert (await ledger.counts(run)).requests == {"close": 10}
        with pytest.raises(LedgerError):
            await ledger.admit(run, rows(range(5_000, 9_000)), "d", NOW)
        assert (await ledger.find_run(run.name)).rows_read == 2_000


def _no_more_pages(connection: apsw.Connection) -> None:
    connection.pragma("max_page_count", connection.pragma("page_count"))


async def test_a_ledger_that_was_damaged_is_one_line(tmp_path: Path) -> None:
    """Not a trace of the library beneath."""
    path = tmp_path / "ledger.db"
    async with SqliteLedger.open(path, create=True) as ledger:
        await a_run(ledger, range(3_000))
    content = bytearray(path.read_bytes())
    content[4096 : len(content) - 4096] = b"\xff" * (len(content) - 8192)
    path.write_bytes(content)
    with pytest.raises(LedgerError) as caught:
        async with SqliteLedger.open(path) as ledger:
            await claim_all(ledger, await ledger.find_run("last"))
    one_line(caught, path)


async def test_to_ask_whether_a_run_is_busy_takes_no_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a live page that asks now and then would turn away a process that wants the run at that moment."""
    taken: list[object] = []
    async with SqliteLedger.open(tmp_path / "ledger.db", create=True) as ledger:
        run = await a_run(ledger)
        monkeypatch.setattr(fcntl, "lockf", lambda *words: taken.append(words))
        assert not await ledger.busy(run)
    assert taken == []


async def test_a_ledger_is_closed_once_no_statement_is_at_work(tmp_path: Path) -> None:
    """Ctrl-C comes through any shield: a program that it ends must not hear of a busy connection instead."""
    begun, goes_on = threading.Event(), threading.Event()

    def slow(*_: object) -> int:
        begun.set()
        return int(goes_on.wait(60))

    async def look() -> None:
        async with SqliteLedger.open(tmp_path / "closeout.db", create=True) as ledger:
            store = ledger._reader.store
            store._db.create_scalar_function("slow", slow, 0)
            await ledger._reader.run(lambda: store._db.execute("SELECT slow()").fetchall())

    task = asyncio.create_task(look())
    await asyncio.to_thread(begun.wait, 10)
    threading.Timer(0.1, goes_on.set).start()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


def test_a_ledger_that_another_process_is_making_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SQLite refuses the switch to WAL at once while somebody is about to write, whatever time it may wait."""
    path = tmp_path / "ledger.db"
    path.touch(0o600)
    other = apsw.Connection(str(path))
    other.execute("BEGIN IMMEDIATE")
    waits: list[float] = []

    def let_go(seconds: float) -> None:
        waits.append(seconds)
        other.execute("ROLLBACK")

    monkeypatch.setattr(time, "sleep", let_go)
    connect(path).close()
    other.close()
    assert len(waits) == 1


def seen_by_another(path: Path) -> str:
    """The names of the runs, as a process of its own reads them that comes and goes."""
    script = "import sqlite3, sys; c = sqlite3.connect(sys.argv[1])\n"
    script += "print(*(name for name, in c.execute('SELECT name FROM runs ORDER BY id'))); c.close()"
    done = subprocess.run([sys.executable, "-c", script, path], capture_output=True, text=True, check=True)
    return done.stdout.strip()


async def test_a_ledger_that_is_looked_at_again_stays_locked(tmp_path: Path) -> None:
    """As an export does, in the same process: else whoever comes and goes takes the ledger for unused, and its log away
    with what is written from then on."""
    path = tmp_path / "a.db"
    async with SqliteLedger.open(path, create=True) as ledger:
        first = await a_run(ledger, [1])
        async with SqliteLedger.open(path):
            pass
        assert is_database(path)
        assert seen_by_another(path) == first.name
        second = await a_run(ledger, [2])
        assert seen_by_another(path) == f"{first.name} {second.name}"


def first_page(mark: int) -> bytes:
    """What a SQLite file with that application's mark begins with."""
    return b"SQLite format 3\0" + (4_096).to_bytes(2) + b"\0" * 50 + mark.to_bytes(4) + b"\0" * 28


@pytest.mark.parametrize(
    ("looks", "size", "refused"),
    [
        ([b""], 4_096, None),  # made by another process between two looks at it
        ([first_page(0)], 4_096, None),  # its mark is in its log
        ([first_page(0), first_page(APPLICATION_ID)], 90_000, None),  # and is written now
        ([first_page(APPLICATION_ID)], 90_000, None),
        ([first_page(0), first_page(0)], 90_000, "is a SQLite database, but no ledger of closeout"),
        ([first_page(7)], 4_096, "is a SQLite database, but no ledger of closeout"),
        ([b"session_id\n"], 11, "is not a SQLite database"),
    ],
)
def test_a_ledger_that_is_just_being_made_is_no_foreign_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, looks: list[bytes], size: int, refused: str | None
) -> None:
    path = tmp_path / "a.db"
    path.write_bytes(b"x" * size)
    seen = iter(looks)
    monkeypatch.setattr("closeout.worker.ledger.sqlite.own_files._beginning", lambda _: next(seen))
    assert refusal_of(path, APPLICATION_ID) == refused
