"""The ledger as a file: private, and refused where it is not ours."""

import os
import sqlite3
import sys
from contextlib import closing
from pathlib import Path
from stat import S_IMODE

import pytest

from closeout.worker.sandbox import Sandbox, SandboxConfig
from tests.front_door.support import FAST, Desk, desk_of, quick

SOME = Sandbox(SandboxConfig(seed=8)).add_sessions(3)


@pytest.mark.skipif(sys.platform == "win32", reason="modes are those of POSIX")
def test_the_ledger_is_private_whatever_the_umask(tmp_path: Path) -> None:
    """Mode 0600 for the ledger and all files beside it, and for an export."""
    before = os.umask(0)
    try:
        with desk_of(tmp_path, quick()) as (desk, sandbox):
            desk.write_ids(sandbox.add_sessions(5))
            modes: dict[str, int] = {}
            sandbox.on_request = lambda *_: modes.update(modes_of(desk))
            assert desk.run("close", "sessions.csv", *FAST, "--export", "rows.csv").code == 0
            modes |= modes_of(desk) | {"rows.csv": S_IMODE((tmp_path / "rows.csv").stat().st_mode)}
    finally:
        os.umask(before)
    assert {"closeout.db", "closeout.db-wal", "rows.csv"} <= set(modes)
    assert {name: oct(mode) for name, mode in modes.items() if mode != 0o600} == {}


def modes_of(desk: Desk) -> dict[str, int]:
    """The modes of the ledger and the files beside it."""
    return {path.name: S_IMODE(path.stat().st_mode) for path in desk.home.glob("closeout.db*")}


def test_a_ledger_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    """One line, exit code 2, nothing sent and nothing changed in the file."""
    with desk_of(tmp_path, quick()) as (desk, sandbox):
        desk.write_ids(sandbox.add_sessions(2))
        assert desk.run("close", "sessions.csv", *FAST).code == 0
        sent = sum(sandbox.counts.requests.values())
        with closing(sqlite3.connect(desk.ledger)) as connection:
            version = connection.execute("PRAGMA user_version").fetchone()[0]
            connection.execute(f"PRAGMA user_version = {version + 1}")
        for done in desk.run_all(("close", "sessions.csv", *FAST), ("resume", "last"), ("runs",)):
            assert (done.code, done.out, done.err.count("\n")) == (2, "", 1)
            assert "newer" in done.err
        assert sum(sandbox.counts.requests.values()) == sent


def test_a_foreign_file_is_refused_and_left_alone(tmp_path: Path) -> None:
    """Another program's database, and what is no database at all, stay as they are."""
    desk = Desk(tmp_path, "http://127.0.0.1:9")
    source = desk.write_ids(SOME)
    with closing(sqlite3.connect(tmp_path / "other.db")) as connection:
        connection.execute("CREATE TABLE precious (id INTEGER)")
        connection.commit()
    (tmp_path / "text.db").write_text("no database, but somebody's notes " * 200)
    for name in ("other.db", "text.db"):
        content, mode = (tmp_path / name).read_bytes(), (tmp_path / name).stat().st_mode
        done = desk.run("close", source, *FAST, "--ledger", name)
        assert (done.code, done.out, done.err.count("\n")) == (2, "", 1)
        assert name in done.err
        assert (tmp_path / name).read_bytes() == content
        assert (tmp_path / name).stat().st_mode == mode
