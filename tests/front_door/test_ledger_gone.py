"""The ledger's files are taken away while a run works with them: it stops, and says so."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.front_door.support import FAST, Desk, Witness, desk_of, quick, waited

RATE = 100


def deleted(ledger: Path) -> None:
    ledger.unlink()


def moved(ledger: Path) -> None:
    ledger.rename(ledger.with_name("elsewhere.db"))


def replaced(ledger: Path) -> None:
    copy = shutil.copy(ledger, ledger.with_name("copy.db"))
    Path(copy).replace(ledger)


def without_log(ledger: Path) -> None:
    ledger.with_name(f"{ledger.name}-wal").unlink()


def without_budget(ledger: Path) -> None:
    ledger.with_name(f"{ledger.name}.budget").unlink()


def folder_moved(ledger: Path) -> None:
    ledger.parent.rename(ledger.parent.with_name("other"))


@pytest.mark.parametrize("gone", [deleted, moved, replaced, without_log, without_budget, folder_moved])
def test_a_run_whose_ledger_is_taken_away_stops_at_once(tmp_path: Path, gone: Callable[[Path], None]) -> None:
    """It sends no more than was under way, and does not end as if all were well."""
    with desk_of(tmp_path, quick(latency=0.02)) as (desk, sandbox):
        desk.write_ids(sandbox.add_sessions(1_000))
        folder = tmp_path / "ledgers"
        folder.mkdir()
        begun = Witness(sandbox).event_at(50, "close")
        with desk.started("close", "sessions.csv", "--ledger", "ledgers/l.db", *FAST, "--rate", f"{RATE}/s") as child:
            waited(begun)
            gone(folder / "l.db")
            done = child.ended()
        assert done.code == 3, done.err
        assert "was deleted, moved or replaced while closeout worked with it" in done.err
        assert sandbox.counts.requests["close"] < 50 + 2 * RATE


def test_what_lies_beside_the_ledger_may_change(tmp_path: Path) -> None:
    """Other commands open and close it, and nobody is held up."""
    with desk_of(tmp_path, quick(latency=0.02)) as (desk, sandbox):
        desk.write_ids(sandbox.add_sessions(150))
        begun = Witness(sandbox).event_at(30, "close")
        with desk.started("close", "sessions.csv", *FAST, "--rate", f"{RATE}/s") as child:
            waited(begun)
            assert _reads(desk) == [0, 0, 0]
            done = child.ended()
    assert done.code == 0, done.err


def _reads(desk: Desk) -> list[int]:
    commands = ("runs",), ("export", "last", "--output", "rows.csv"), ("rate", "last", "90/s")
    return [desk.run(*words).code for words in commands]


def test_a_damaged_ledger_is_told_with_what_to_do(tmp_path: Path) -> None:
    """In one line, and nothing is sent."""
    with desk_of(tmp_path, quick()) as (desk, sandbox):
        desk.write_ids(sandbox.add_sessions(300))
        assert desk.run("close", "sessions.csv", *FAST, "--limit", "200", "--no-settle").code == 0
        before = sandbox.counts.requests["close"]
        pages = desk.ledger.read_bytes()
        desk.ledger.write_bytes(pages[:8192] + b"\xff" * (len(pages) - 8192))
        done = desk.run("resume", "last", *FAST, "--limit", "none")
    assert (done.code, done.out) == (2, "")
    assert done.err.count("\n") == 1
    assert "is damaged" in done.err
    assert "`sqlite3 FILE .recover`" in done.err
    assert sandbox.counts.requests["close"] == before
