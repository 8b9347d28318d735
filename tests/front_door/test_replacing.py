"""Nothing is replaced that closeout did not make for this purpose, and nothing but that is deleted."""

import csv
import gzip
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from closeout.worker.sandbox import Sandbox
from tests.front_door.support import FAST, Desk, Witness, desk_of, quick, waited

Place = tuple[Desk, Sandbox]
OWN = "somebody's own\n"
NAMES = ("rows.csv", "rows.csv.gz", "rows.csv.zst", "rows.jsonl", "rows.parquet")
PAGES = ("page.html", "page.md")
MUCH = ("--rate", "600/s", "--no-settle", "--no-progress")


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A finished run of a file, and one of standard input."""
    with desk_of(tmp_path_factory.mktemp("ended"), quick()) as (desk, sandbox):
        ids = sandbox.add_sessions(4)
        assert desk.run("close", "-", *FAST, input=f"{ids[0]}\n".encode()).code == 0
        assert desk.run("close", desk.write_ids(ids), *FAST).code == 0
        yield desk, sandbox


@pytest.fixture
def desk(ended: Place, tmp_path: Path) -> Desk:
    """The same, for one test to work on."""
    old, _ = ended
    shutil.copytree(old.home, tmp_path, dirs_exist_ok=True)
    there = Desk(tmp_path, old.url)
    there.change(f"UPDATE runs SET location = replace(location, '{old.home}', '{tmp_path}')")  # noqa: S608  # our own paths
    return there


def making(name: str) -> tuple[str, ...]:
    """The command that makes such a file of the newest run."""
    return ("report" if name in PAGES else "export", "last", "-o", name)


def refused(desk: Desk, *command: str) -> str:
    """The line of a command that changes nothing in the folder, not even beside the ledger."""
    before = contents(desk.home)
    done = desk.run(*command)
    assert (done.code, done.out, done.err.count("\n")) == (2, "", 1), (command, done)
    assert contents(desk.home) == before, command
    return done.err


def contents(folder: Path) -> dict[str, bytes]:
    """All files of a folder, without what a ledger keeps beside it while it is open."""
    beside = (".lock", "-wal", "-shm", ".budget")
    return {
        each.name: each.read_bytes()
        for each in folder.iterdir()
        if each.is_file() and not (each.name.startswith("closeout.db") and each.name.endswith(beside))
    }


@pytest.mark.parametrize("name", [*NAMES, *PAGES])
def test_what_closeout_did_not_make_stays_without_force(desk: Desk, name: str) -> None:
    """An earlier file of the same run is replaced; one that somebody wrote, changed or emptied is not."""
    path = desk.home / name
    path.write_text(OWN)
    assert "--force" in refused(desk, *making(name))
    assert desk.run(*making(name), "--force").code == 0
    made = path.read_bytes()
    assert made != OWN.encode()
    assert desk.run(*making(name)).code == 0
    for changed in (made + b"\n", made[:-1], b""):
        path.write_bytes(changed)
        assert "--force" in refused(desk, *making(name))


@pytest.mark.parametrize("name", [*NAMES, *PAGES])
def test_a_file_of_another_run_stays(desk: Desk, name: str) -> None:
    """As does a report in the place of an export, and the other way round."""
    first = str(desk.query("SELECT name FROM runs ORDER BY id")[0][0])
    command = [word if word != "last" else first for word in making(name)]
    assert desk.run(*command).code == 0
    assert "--force" in refused(desk, *making(name))


def test_an_export_without_rows_is_known_again(desk: Desk) -> None:
    """By its digest, though it holds nothing of the run."""
    for name in ("none.csv", "none.jsonl", "none.csv.gz"):
        for _ in range(2):
            assert desk.run("export", "last", "--outcome", "failed", "-o", name).code == 0


WAYS: dict[str, Callable[[Path, Path], object]] = {
    "itself": lambda *_: None,
    "link": lambda path, alias: alias.symlink_to(path),
    "hard": lambda path, alias: alias.hardlink_to(path),
    "copy": shutil.copyfile,
}


@pytest.mark.parametrize("way", sorted(WAYS))
@pytest.mark.parametrize("what", ["closeout.db", "sessions.csv", "other.db", "closeout.db.budget"])
def test_a_ledger_or_a_source_is_never_replaced(desk: Desk, what: str, way: str) -> None:
    """Not even with ``--force``, by whatever name."""
    if what == "other.db":
        shutil.copyfile(desk.ledger, desk.home / what)
    alias = desk.home / "alias.csv"
    WAYS[way](desk.home / what, alias)
    name = what if way == "itself" else alias.name
    refused(desk, "export", "last", "-o", name, "--format", "csv", "--force")
    refused(desk, "report", "last", "-o", f"../{desk.home.name}/{name}", "--format", "html", "--force")
    if what != "sessions.csv" or way != "copy":
        refused(desk, "sandbox", "--port", "0", "--csv", name, "--force")


BESIDE = (
    "closeout.db-wal", "closeout.db-shm", "closeout.db-journal", "closeout.db.lock", "closeout.db.budget",
    "closeout.db.budget-wal", "closeout.db.turn-0123456789abcdef.lock", "CLOSEOUT.DB-WAL", "other.db-wal",
)  # fmt: skip


@pytest.mark.parametrize("name", BESIDE)
def test_a_file_beside_a_ledger_is_never_written(desk: Desk, name: str) -> None:
    """Whether it is there already or not: SQLite would take it for its own."""
    shutil.copyfile(desk.ledger, desk.home / "other.db")
    there = (desk.home / name).exists()
    for command in (("export", "last", "-o", name, "--format", "csv"), ("sandbox", "--port", "0", "--csv", name)):
        if name.startswith("CLOSEOUT") and command[0] == "sandbox":
            continue  # it knows of no ledger by that name
        done = desk.run(*command, "--force")
        assert (done.code, done.err.count("\n")) == (2, 1)
        assert "ledger" in done.err
        assert (desk.home / name).exists() == there


@pytest.mark.parametrize("name", ["rows.csv", "sessions.csv", "closeout.db", "other.sqlite"])
def test_a_run_is_refused_before_anything_is_sent(ended: Place, desk: Desk, name: str) -> None:
    """And leaves no run behind. The source may be named by a link, or come through standard input."""
    _, sandbox = ended
    ids = sandbox.add_sessions(3)
    desk.write_ids(ids)
    if name not in ("sessions.csv", "closeout.db"):
        (desk.home / name).write_text(OWN)
    (desk.home / "link.csv").symlink_to(desk.home / name)
    runs = desk.query("SELECT * FROM runs")
    for export in ("link.csv", *(["rows.csv"] if name == "rows.csv" else [])):
        for command in (("close", "sessions.csv"), ("plan", "sessions.csv"), ("resume", "last"), ("retry", "last")):
            line = refused(desk, *command, "--export", export, *FAST)
            assert "--export" in line
    assert desk.query("SELECT * FROM runs") == runs
    assert not any(sandbox.truth(one).closes_received for one in ids)


def test_the_source_on_standard_input_is_not_replaced(desk: Desk) -> None:
    """A shell has opened it: it is the same file."""
    with (
        (desk.home / "sessions.csv").open("rb") as source,
        desk.started("close", "-", "--export", "sessions.csv", "--force", *FAST, stdin=source.fileno()) as child,
    ):
        done = child.ended()
    assert (done.code, done.err.count("\n")) == (2, 1)


@pytest.mark.parametrize("name", ["loop.csv", f"{'long' * 70}.csv", "two\nlines.csv"], ids=["loop", "long", "lines"])
def test_a_place_where_nothing_can_be_is_told_in_one_line(desk: Desk, name: str) -> None:
    """Before anything is sent."""
    if name.startswith("loop"):
        (desk.home / name).symlink_to(desk.home / name)
    elif name.startswith("two"):
        (desk.home / name).write_text(OWN)
    writing = (
        ("export", "last", "-o", name), ("close", "sessions.csv", "--new-run", "--export", name),
        ("report", "last", "--format", "html", "-o", name), ("sandbox", "--port", "0", "--csv", name),
    )  # fmt: skip
    for command in writing:
        refused(desk, *command)
    if not name.startswith("two"):
        for words in (("close", "sessions.csv"), ("runs",), ("push", "sessions.csv", "queue:a")):
            refused(desk, *words, "--ledger", name)


def put(path: Path) -> None:
    """A file of somebody's, which is no database either."""
    path.write_text(OWN)


def test_what_appears_while_the_run_goes_on_stays(tmp_path: Path) -> None:
    """The summary is printed all the same; the line says where the rows are."""
    with desk_of(tmp_path, quick()) as (desk, sandbox):
        path = desk.home / "rows.csv"
        Witness(sandbox).at(1, lambda: put(path), "close")
        source = desk.write_ids(sandbox.add_sessions(5))
        done = desk.run("close", source, *FAST, "--export", "rows.csv", "--json")
        assert (done.code, done.summary["state"], done.summary["exit_code"]) == (1, "finished", 0)
        assert path.read_text() == OWN
        assert "closeout export" in done.err.splitlines()[-1]
        assert desk.run("close", source, "--new-run", *FAST, "--export", "rows.csv", "--force").code == 0
        with path.open(encoding="utf-8") as rows:
            assert len(list(csv.DictReader(rows))) == 5


@pytest.mark.parametrize("planted", ["link", "own", "ledger"])
def test_a_part_that_is_somebody_elses_stays(tmp_path: Path, planted: str) -> None:
    """The run goes on without: a link is not followed, and the end of the export takes nothing away."""
    with desk_of(tmp_path, quick()) as (desk, sandbox):
        source, part, other = desk.write_ids(sandbox.add_sessions(5)), desk.home / "rows.csv.part", desk.home / "other"
        other.write_text(OWN)
        if planted == "link":
            part.symlink_to(other)
        else:
            part.write_text(OWN)
        done = desk.run("close", source, *FAST, "--export", "rows.csv")
        assert done.code == 0, done.err
        assert "cannot write rows during the run" in done.err
        assert (part.read_text(), other.read_text()) == (OWN, OWN)
        assert part.is_symlink() == (planted == "link")
        again = desk.run("export", "last", "-o", "packed.csv.gz")
        packed = gzip.decompress((desk.home / "packed.csv.gz").read_bytes())
        assert (again.code, packed) == (0, (desk.home / "rows.csv").read_bytes())


def test_a_part_of_a_killed_run_is_begun_anew(tmp_path: Path) -> None:
    """And is gone once the file is whole."""
    with desk_of(tmp_path, quick(latency=0.01)) as (desk, sandbox):
        begun = Witness(sandbox).event_at(20, "close")
        source, part = desk.write_ids(sandbox.add_sessions(100)), desk.home / "rows.jsonl.part"
        with desk.started("close", source, "--rate", "60/s", "--no-settle", "--export", "rows.jsonl") as child:
            waited(begun)
            child.process.kill()
            child.process.wait()
        with part.open("a") as out:
            out.write('{"run": "')
        assert desk.run("resume", "last", *MUCH, "--export", "rows.jsonl").code == 0
        assert not part.exists()


def foreign_database(path: Path) -> None:
    """Another program's, with its last changes still in its log."""
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("PRAGMA journal_mode = wal")
        connection.execute("CREATE TABLE people (name TEXT)")
        connection.executemany("INSERT INTO people VALUES (?)", [("x" * 500,)] * 50)


def marked_database(path: Path) -> None:
    """Another program's, which has no table yet."""
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("PRAGMA application_id = 77")
        connection.execute("PRAGMA user_version = 3")


@pytest.mark.parametrize("make", [foreign_database, marked_database, put])
def test_a_ledger_that_is_none_is_never_changed(tmp_path: Path, make: Callable[[Path], object]) -> None:
    """Neither the file nor its folder, whatever command names it."""
    with desk_of(tmp_path / "desk", quick()) as (desk, sandbox):
        source = desk.write_ids(sandbox.add_sessions(2))
        path = tmp_path / "other" / "some.db"
        path.parent.mkdir()
        make(path)
        before = {each.name: each.read_bytes() for each in path.parent.iterdir()}
        commands = (
            ("close", source), ("runs",), ("export", "last"), ("fleet",), ("push", source, "queue:a"),
            ("work", "queue:a", "--drain"), ("settle",), ("retry", "last"),
        )  # fmt: skip
        for command in commands:
            done = desk.run(*command, "--ledger", str(path))
            assert (done.code, str(path) in done.err.splitlines()[-1]) == (2, True), (command, done)
            assert {each.name: each.read_bytes() for each in path.parent.iterdir()} == before, command
        assert not sandbox.counts.arrivals


SIDES = [  # beside a database that is there its index cannot be looked at without losing its locks
    ("-shm", False),
    *((ending, empty) for ending in ("-wal", "-journal", ".budget") for empty in (False, True)),
]


@pytest.mark.parametrize(("ending", "empty"), SIDES)
def test_what_lies_beside_a_new_ledger_is_not_done_away_with(tmp_path: Path, ending: str, *, empty: bool) -> None:
    """SQLite would take it for its own, and delete it."""
    with desk_of(tmp_path / "desk", quick()) as (desk, sandbox):
        source = desk.write_ids(sandbox.add_sessions(2))
        path, notes = tmp_path / "work.db", tmp_path / f"work.db{ending}"
        notes.write_text(OWN)
        if empty:
            path.touch()
        for command in (("close", source), ("plan", source), ("push", source, "queue:a"), ("close", source)):
            if ending == ".budget" and command[0] == "push":
                continue  # it sends nothing, and needs no budget
            done = desk.run(*command, "--ledger", str(path))
            assert (done.code, str(notes) in done.err.splitlines()[-1]) == (2, True), (command, done)
            assert notes.read_text() == OWN
        assert not sandbox.counts.arrivals


def test_the_log_of_a_ledger_that_is_gone_is_kept(tmp_path: Path) -> None:
    """It holds what was closed: with its ledger back in its place nothing is lost."""
    with desk_of(tmp_path, quick()) as (desk, sandbox):
        source = desk.write_ids(sandbox.add_sessions(40))
        begun = Witness(sandbox).event_at(20, "close")
        with desk.started("close", source, "--rate", "60/s", "--no-settle", "--no-progress") as child:
            waited(begun)
            child.process.kill()
            child.process.wait()
        away = desk.ledger.rename(tmp_path / "away.db")
        assert (tmp_path / "closeout.db-wal").stat().st_size
        line = refused(desk, "close", source, *FAST)
        assert "closeout.db-wal" in line
        away.rename(desk.ledger)
        assert desk.run("close", source, *FAST).code == 4
        assert all(sandbox.truth(one).closes_received < 2 for one in desk.by_id())


def test_a_ledger_that_is_at_work_keeps_its_log(tmp_path: Path) -> None:
    """Whoever reads it meanwhile and leaves: what is closed after that is not lost when the process dies."""
    with desk_of(tmp_path, quick()) as (desk, sandbox):
        source, witness = desk.write_ids(sandbox.add_sessions(2_000)), Witness(sandbox)
        begun = witness.event_at(10, "close")
        with desk.started("close", source, "--rate", "20/s", "--no-settle", "--no-progress") as child:
            waited(begun)
            log = (tmp_path / "closeout.db-wal").stat().st_ino
            for _ in range(3):
                assert desk.query("SELECT count(*) FROM runs") == [(1,)]
                assert desk.run("show", "last").code == 0
                assert (tmp_path / "closeout.db-wal").stat().st_ino == log
            waited(witness.event_at(20, "close"))
            child.process.kill()
            child.process.wait()
        ended = [row for row in desk.by_id().values() if row["outcome"] != "pending"]
        assert len(ended) >= 29


def test_another_database_in_the_place_of_a_budget_is_left_alone(tmp_path: Path) -> None:
    """Not even a table is added to it."""
    with desk_of(tmp_path, quick()) as (desk, sandbox):
        budget = tmp_path / "closeout.db.budget"
        foreign_database(budget)
        before = budget.read_bytes()
        done = desk.run("close", desk.write_ids(sandbox.add_sessions(2)), *FAST)
        assert (done.code, str(budget) in done.err.splitlines()[-1]) == (2, True)
        assert budget.read_bytes() == before
        assert not sandbox.counts.arrivals
