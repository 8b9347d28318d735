"""The SQLite ledger's schema: brought up to date in whole steps, never from a newer version."""

import re
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import apsw
import pytest

from closeout.worker.ledger.sqlite.file import connect
from closeout.worker.ledger.sqlite.migrate import APPLICATION_ID, check_version, migrate
from closeout.worker.ledger.sqlite.store import QUERIES
from closeout.worker.ledger.statements import Migration, load_migrations, load_queries
from closeout.worker.support.clock import NEVER
from closeout.worker.support.errors import LedgerError

FIRST = Migration(1, "CREATE TABLE one (x); INSERT INTO one VALUES (1);")
SECOND = Migration(2, "ALTER TABLE one ADD COLUMN y; UPDATE one SET y = x + 1;")
BROKEN = Migration(3, "CREATE TABLE three (x); INSERT INTO nowhere VALUES (1);")


@pytest.fixture
def database(tmp_path: Path) -> Iterator[apsw.Connection]:
    """An empty database."""
    with closing(apsw.Connection(str(tmp_path / "some.db"))) as connection:
        yield connection


def version(connection: apsw.Connection) -> int:
    """The schema's version as the file says it."""
    found = connection.pragma("user_version")
    assert isinstance(found, int)
    return found


def tables(connection: apsw.Connection) -> set[str]:
    """The names of all tables."""
    rows = connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall()
    return {str(name) for (name,) in rows}


def test_a_new_file_gets_every_migration(database: apsw.Connection) -> None:
    """And is marked as a ledger."""
    migrate(database, "some.db", [FIRST, SECOND])
    assert database.execute("SELECT * FROM one").fetchall() == [(1, 2)]
    assert (version(database), database.pragma("application_id")) == (2, APPLICATION_ID)


def test_an_older_file_gets_only_what_is_missing(database: apsw.Connection) -> None:
    """What it holds is kept."""
    migrate(database, "some.db", [FIRST])
    database.execute("UPDATE one SET x = 7")
    migrate(database, "some.db", [FIRST, SECOND])
    migrate(database, "some.db", [FIRST, SECOND])
    assert database.execute("SELECT * FROM one").fetchall() == [(7, 8)]
    assert version(database) == 2


def test_a_migration_that_fails_half_way_leaves_the_version_before_it(database: apsw.Connection) -> None:
    """The steps before it stay, nothing of it does; mended, it is applied."""
    with pytest.raises(apsw.Error):
        migrate(database, "some.db", [FIRST, SECOND, BROKEN])
    assert (version(database), tables(database)) == (2, {"one"})
    migrate(database, "some.db", [FIRST, SECOND, Migration(3, "CREATE TABLE three (x);")])
    assert (version(database), tables(database)) == (3, {"one", "three"})


def test_a_newer_file_is_refused(database: apsw.Connection) -> None:
    """This version does not know what must hold in it."""
    migrate(database, "some.db", [FIRST, SECOND])
    with pytest.raises(LedgerError, match=r"some\.db was written by a newer closeout.*upgrade"):
        migrate(database, "some.db", [FIRST])


def test_a_newer_ledger_is_left_as_it_is(tmp_path: Path) -> None:
    """Opening it changes no byte."""
    path = tmp_path / "ledger.db"
    with closing(connect(path, create=True)) as connection:
        connection.pragma("journal_mode", "delete")
        connection.pragma("user_version", 10_000)
    before = path.read_bytes()
    with pytest.raises(LedgerError, match="newer"):
        connect(path, create=False)
    assert path.read_bytes() == before


def test_a_broken_migration_of_ours_is_an_error_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As any other trouble with the file is."""
    broken = [*load_migrations(), Migration(10_000, BROKEN.sql)]
    monkeypatch.setattr("closeout.worker.ledger.sqlite.file.load_migrations", lambda: broken)
    with pytest.raises(LedgerError, match="cannot open the ledger"):
        connect(tmp_path / "ledger.db", create=True)


def test_what_an_older_version_has_parked_for_a_queue_is_looked_up_still(tmp_path: Path) -> None:
    """It was to be looked up before its close; what a guard has parked stays parked."""
    path = tmp_path / "ledger.db"
    with closing(apsw.Connection(str(path))) as old:
        migrate(old, "ledger.db", load_migrations()[:12])
        for number, options in ((1, '{"from_queue": true}'), (2, '{"only_status": ["active"]}')):
            old.execute(
                "INSERT INTO runs (id, name, source, options, created_at) VALUES (?, ?, 'x', ?, 1)",
                (number, f"run{number}", options),
            )
            old.execute(
                "INSERT INTO items (seq, run, session_id, outcome, due_at) VALUES (?, ?, ?, 'pending', ?)",
                (number, number, bytes(16), NEVER + 7),
            )
    with closing(connect(path)) as connection:
        rows = connection.execute("SELECT run, outcome, due_at FROM items ORDER BY run").fetchall()
    assert rows == [(1, "in_doubt", 7), (2, "pending", NEVER + 7)]


def test_migrations_are_numbered_without_gaps() -> None:
    """Each leads from one version to the next."""
    found = load_migrations()
    assert [migration.version for migration in found] == list(range(1, len(found) + 1))


def test_every_statement_is_named_and_used() -> None:
    """By the modules that run them."""
    ledger = Path(__file__).parents[2] / "worker" / "ledger" / "sqlite"
    code = "".join(path.read_text(encoding="utf-8") for path in ledger.glob("*.py"))
    used = set(re.findall(r'"([a-z_]+)"', code))
    assert load_queries() == QUERIES
    statements = {**QUERIES, **load_queries("reports.sql")}
    assert set(statements) <= used
    assert all(statements.values())


class _Slow(apsw.Connection):
    """Between two of its looks at a file that is just being made, another process makes it a ledger."""

    made = False

    def pragma(self, name: str, *value: Any, **where: Any) -> Any:
        """As ``apsw.Connection.pragma``."""
        found = super().pragma(name, *value, **where)
        if name == "application_id" and not self.made:
            self.made = True
            with closing(apsw.Connection(self.filename)) as other:
                migrate(other, self.filename, load_migrations())
        return found


def test_a_ledger_that_another_process_is_just_making_is_no_foreign_file(tmp_path: Path) -> None:
    """Its mark, its tables and its version are looked at as of one instant."""
    path = str(tmp_path / "closeout.db")
    with closing(apsw.Connection(path)) as beginning:
        beginning.pragma("journal_mode", "wal")
    with closing(_Slow(path)) as connection:
        check_version(connection, path, load_migrations())
        assert connection.made
