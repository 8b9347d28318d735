"""A ledger comes back without what was last written to it: nothing is sent twice without a look."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.front_door.support import FAST, LONGEST, Desk, Witness, desk_of, quick

SETTLED = ("--no-settle", "--yes")


def without_log(ledger: Path, old: Path) -> None:  # noqa: ARG001  # called as its sibling is
    """As somebody does who tidies up, or copies the one file to another disk."""
    for end in ("-wal", "-shm"):
        ledger.with_name(f"{ledger.name}{end}").unlink(missing_ok=True)


def old_copy(ledger: Path, old: Path) -> None:
    """As a restored backup."""
    without_log(ledger, old)
    shutil.copy(old, ledger)


def interrupted(desk: Desk, witness: Witness) -> Path:
    """A ledger with 20 closes in its file, and 30 or more in its log alone; returns a copy of the former."""
    assert desk.run("close", "sessions.csv", *FAST, *SETTLED, "--limit", "20").code == 0
    old = Path(shutil.copy(desk.ledger, desk.home / "old.db"))
    with desk.started("resume", "last", *FAST, *SETTLED, "--limit", "100") as child:
        witness.at(30, child.process.kill, "close")
        child.process.wait(LONGEST)
    return old


@pytest.mark.parametrize("lose", [without_log, old_copy])
def test_what_may_have_been_sent_since_is_looked_up_first(tmp_path: Path, lose: Callable[[Path, Path], None]) -> None:
    """It is told, and no session is closed twice unseen; what was never reached needs no look."""
    with desk_of(tmp_path, quick(latency=0.01)) as (desk, sandbox):
        ids = sandbox.add_sessions(400)
        desk.write_ids(ids)
        witness = Witness(sandbox)
        lose(desk.ledger, interrupted(desk, witness))
        witness.rest()
        done = desk.run("resume", "last", *FAST, *SETTLED, "--limit", "400")
    assert done.code == 0, done.err
    assert "lacks what was last written to it" in done.err
    assert witness.unverified_repeats() == []
    assert all(sandbox.truth(one).closes_effective == 1 for one in ids)
    assert {row["outcome"] for row in desk.rows()} == {"closed", "already_closed"}
    assert 0 < sandbox.counts.requests["read"] < 300
    assert "lacks" not in desk.run("runs").err


def test_a_run_that_an_older_copy_lacks_is_named(tmp_path: Path) -> None:
    """Nothing here knows what it closed."""
    with desk_of(tmp_path, quick()) as (desk, sandbox):
        desk.write_ids(sandbox.add_sessions(20))
        for last in (False, True):
            if last:
                old = Path(shutil.copy(desk.ledger, desk.home / "old.db"))
                desk.write_ids(sandbox.add_sessions(20))
            assert desk.run("close", "sessions.csv", *FAST, *SETTLED).code == 0
        lost = desk.rows()[-1]["run"]
        shutil.copy(old, desk.ledger)
        assert f"run {lost}, which closed sessions, is not in" in desk.run("resume", "last", *FAST).err
        assert "is not in" not in desk.run("resume", "last", *FAST).err


def test_a_new_ledger_in_the_place_of_another_is_told_nothing(tmp_path: Path) -> None:
    """Its file was deleted on purpose, and its budget stayed."""
    with desk_of(tmp_path, quick()) as (desk, sandbox):
        desk.write_ids(sandbox.add_sessions(20))
        assert desk.run("close", "sessions.csv", *FAST, *SETTLED).code == 0
        desk.ledger.unlink()
        desk.write_ids(sandbox.add_sessions(5))
        done = desk.run("close", "sessions.csv", *FAST, *SETTLED)
        assert (done.code, "lacks" in done.err, "is not in" in done.err) == (0, False, False)
        assert len(desk.rows()) == 5
