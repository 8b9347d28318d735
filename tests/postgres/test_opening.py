"""A PostgreSQL ledger is made, brought up to date, or refused in one line."""

import re
import socket

import anyio
import anyio.to_thread
import psycopg
import pytest

from closeout.worker.domain.item import SourceRow
from closeout.worker.ledger.open import open_ledger
from closeout.worker.ledger.peek import glance
from closeout.worker.ledger.postgres.address import parse_address
from closeout.worker.ledger.statements import Migration, load_migrations
from closeout.worker.support.errors import CloseoutError, ConfigurationError, LedgerError
from tests.ledger.support import a_run, bad_row, results_of
from tests.ledger.test_results import PROMISED
from tests.postgres.databases import SERVER, server
from tests.postgres.server import private_server

pytestmark = pytest.mark.anyio
OURS = load_migrations("closeout.worker.ledger.postgres")
NEWEST = OURS[-1].version
NEXT = Migration(NEWEST + 1, "CREATE TABLE more (x integer); INSERT INTO more VALUES (1);")
BROKEN = Migration(NEWEST + 2, "CREATE TABLE half (x integer); INSERT INTO nowhere VALUES (1);")


async def opened(url: str, *, create: bool = True) -> None:
    """Open it, and close it again."""
    async with open_ledger(url, create=create):
        pass


def asked(url: str, query: str) -> list[tuple[object, ...]]:
    """What somebody else sees of the schema."""
    place = parse_address(url)
    with psycopg.connect(place.url, autocommit=True, options=f"-csearch_path={place.schema}") as connection:
        cursor = connection.execute(query.encode())
        return cursor.fetchall() if cursor.description else []


def migrated_by(monkeypatch: pytest.MonkeyPatch, *more: Migration) -> None:
    """From now on this version has these migrations."""
    monkeypatch.setattr("closeout.worker.ledger.postgres.ledger.load_migrations", lambda _: [*OURS, *more])


async def test_an_older_schema_is_migrated_in_whole_steps(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it holds is kept; of a step that fails half way nothing is left."""
    async with open_ledger(url, create=True) as ledger:
        run = await a_run(ledger, [1])
    migrated_by(monkeypatch, NEXT, BROKEN)
    with pytest.raises(LedgerError, match="nowhere"):
        await opened(url)
    assert asked(url, "SELECT * FROM more") == [(1,)]
    assert asked(url, "SELECT to_regclass('half')") == [(None,)]
    assert asked(url, "SELECT max(version) FROM migrations") == [(NEXT.version,)]
    migrated_by(monkeypatch, NEXT)
    async with open_ledger(url) as ledger:
        assert (await ledger.find_run("last")).name == run.name
    monkeypatch.undo()
    with pytest.raises(LedgerError, match=r"newer closeout.*upgrade closeout"):
        await opened(url)
    asked(url, "DROP TABLE more")
    asked(url, f"DELETE FROM migrations WHERE version > {NEWEST}")  # noqa: S608  # a number


async def test_many_who_open_a_new_ledger_make_it_once(url: str) -> None:
    """Whoever comes second waits for the first."""
    place = parse_address(url)
    asked(url, f"DROP SCHEMA IF EXISTS {place.schema} CASCADE")
    async with anyio.create_task_group() as tasks:
        for _ in range(5):
            tasks.start_soon(opened, url)
    assert asked(url, "SELECT version FROM migrations ORDER BY 1") == [(each.version,) for each in OURS]


async def test_what_is_no_ledger_is_left_alone(url: str) -> None:
    """A schema that holds other tables, and one that is not there unless it may be made."""
    place = parse_address(url)
    asked(url, f"DROP SCHEMA IF EXISTS {place.schema} CASCADE")
    with pytest.raises(LedgerError, match="there is no ledger in"):
        await opened(url, create=False)
    asked(url, f"CREATE SCHEMA {place.schema}; CREATE TABLE {place.schema}.customers (x integer)")
    with pytest.raises(LedgerError, match="other tables"):
        await opened(url)
    assert asked(url, "SELECT count(*) FROM customers") == [(0,)]
    asked(url, f"DROP SCHEMA {place.schema} CASCADE")


def _nowhere() -> str:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        return f"postgresql://me:s3cret@127.0.0.1:{unused.getsockname()[1]}/work"


@pytest.mark.parametrize(
    ("address", "told"),
    [
        (_nowhere(), "Connection refused"),
        ("postgresql://me:s3cret@no-such-host.invalid/work", "no-such-host.invalid"),
        (f"{SERVER.rpartition('/')[0]}/no_such_db?password=s3cret", 'database "no_such_db" does not exist'),
        (f"{SERVER}?nonsense=s3cret", "cannot read this address"),
    ],
    ids=["no server", "no host", "no database", "no setting"],
)
async def test_a_server_that_cannot_be_used_is_told_in_one_line(address: str, told: str) -> None:
    """And never the password."""
    server()
    with pytest.raises(CloseoutError, match=re.escape(told)) as refused:
        await opened(address)
    assert isinstance(refused.value, ConfigurationError)
    assert refused.value.exit_code == 2
    text = str(refused.value)
    assert "\n" not in text
    assert "s3cret" not in text


@pytest.mark.parametrize(
    "address",
    ["postgresql://me@no-such-host.invalid/work", f"{SERVER.rpartition('/')[0]}/no_such_db", f"{SERVER}?nonsense=1"],
    ids=["no host", "no database", "no setting"],
)
async def test_what_waiting_does_not_help_is_refused_at_once(address: str) -> None:
    """However patient the command is."""
    server()
    with anyio.fail_after(30), pytest.raises(ConfigurationError):
        async with open_ledger(address, create=True, patience=3600):
            pass


async def test_a_server_that_starts_is_waited_for(caplog: pytest.LogCaptureFixture) -> None:
    """It is told once, and not without end."""
    with private_server() as starting:
        url = f"{starting.url}?schema=work"
        starting.stop("immediate")
        with pytest.raises(ConfigurationError, match="Connection refused"):
            await opened(url)
        with pytest.raises(ConfigurationError, match="Connection refused"):
            async with open_ledger(url, create=True, patience=0.1):
                pass
        caplog.clear()
        entered = anyio.Event()

        async def enter() -> None:
            async with open_ledger(url, create=True, patience=3600) as ledger:
                await ledger.expect_writable()
                entered.set()

        with caplog.at_level("WARNING", "closeout"), anyio.fail_after(60):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(enter)
                while not caplog.records:  # noqa: ASYNC110  # a log has no event
                    await anyio.sleep(0.05)
                assert not entered.is_set()
                await anyio.to_thread.run_sync(starting.start)
        assert entered.is_set()
        assert ["Connection refused" in each.getMessage() for each in caplog.records] == [True]


async def test_text_that_the_server_cannot_hold_is_stored_as_near_as_can_be(url: str) -> None:
    """NUL and half of a pair become the sign for what cannot be shown; what merely looks like an escape stays."""
    async with open_ledger(url, create=True) as ledger:
        run = await a_run(ledger)
        texts = ["a\0b", "half \ud83d", "\\u0000", "\\\\u0000 \\", "whole \N{SNOWMAN}"]
        await ledger.admit(run, [SourceRow(at, None, None, text, "no UUID") for at, text in enumerate(texts)], "d", 0)
        found = [row["session_id"] for row in await results_of(ledger, run)]
    assert found == ["a\ufffdb", "half \ufffd", "\\u0000", "\\\\u0000 \\", "whole \N{SNOWMAN}"]


async def test_the_view_has_exactly_the_columns_that_are_promised(url: str) -> None:
    """For whoever reads it with another tool, with the same values."""
    async with open_ledger(url, create=True) as ledger:
        run = await a_run(ledger, [1])
        await ledger.admit(run, [bad_row(3)], "d", 0)
        expected = [tuple(row.values()) for row in await results_of(ledger, run)]
    assert asked(url, "SELECT * FROM results ORDER BY line") == expected
    named = "SELECT array_agg(attname ORDER BY attnum) FROM pg_attribute WHERE attrelid = 'results'::regclass"
    assert asked(url, named) == [(PROMISED,)]


async def test_its_runs_are_offered_to_who_completes_a_command(url: str) -> None:
    """The newest first; and where there is none, or no server, nothing at all."""
    assert glance(url) == []
    async with open_ledger(url, create=True) as ledger:
        runs = [await a_run(ledger, [number], source=f"{number}.csv") for number in range(2)]
    assert [(seen.name, seen.what, seen.state) for seen in glance(url)] == [
        (run.name, run.source, "running") for run in reversed(runs)
    ]
    with socket.socket() as unheard:
        unheard.bind(("127.0.0.1", 0))
        assert glance(f"postgresql://root@127.0.0.1:{unheard.getsockname()[1]}/test") == []
