"""What the demo and the sandbox write replaces what they wrote before, and nothing else."""

import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

from tests.front_door.support import Desk
from tests.front_door.test_replacing import OWN, contents


def test_the_demo_takes_away_what_a_demo_made_and_nothing_else(tmp_path: Path) -> None:
    """It can be run again; a changed CSV, a ledger of other runs, a link or a folder of somebody's is left alone."""
    desk = Desk(tmp_path)
    for _ in range(2):
        assert desk.run("demo", "--no-progress").code == 0
    demo, kept = tmp_path / "closeout-demo", tmp_path / "kept"
    shutil.copytree(demo, kept)

    def anew() -> None:
        shutil.rmtree(demo)
        shutil.copytree(kept, demo)

    def real_run() -> None:
        with closing(sqlite3.connect(demo / "closeout.db")) as ledger, ledger:
            ledger.execute("UPDATE runs SET options = replace(options, '127.0.0.1', 'api.example.com')")

    def other_source() -> None:
        with closing(sqlite3.connect(demo / "closeout.db")) as ledger, ledger:
            ledger.execute("UPDATE runs SET location = '/elsewhere/sessions.csv'")

    def link() -> None:
        (demo / "closeout.db").rename(tmp_path / "real.db")
        (demo / "closeout.db").symlink_to(tmp_path / "real.db")

    for change in (
        lambda: (demo / "sessions.csv").write_text(OWN),
        lambda: (demo / "closeout.db").write_text(OWN),
        lambda: os.rename(demo / "closeout.db", demo / "closeout.db-wal"),
        real_run,
        other_source,
        link,
    ):
        anew()
        change()
        before = contents(demo) | {each.name: each.read_bytes() for each in demo.iterdir()}
        done = desk.run("demo", "--no-progress")
        assert (done.code, done.out, done.err.count("\n")) == (2, "", 1), done.err
        assert contents(demo) | {each.name: each.read_bytes() for each in demo.iterdir()} == before


def test_the_sandbox_leaves_the_very_same_ids_as_they_are(tmp_path: Path) -> None:
    """So that the command can be typed again; other ids are refused."""
    desk = Desk(tmp_path)
    for seed, code in (("1", None), ("1", None), ("2", 2)):
        with desk.started("sandbox", "--port", "0", "--sessions", "5", "--csv", "ids.csv", "--seed", seed) as child:
            if code is not None:
                assert child.ended().code == code
                continue
            assert child.process.stdout is not None
            child.process.stdout.readline()
            child.terminate()
            child.ended()
        assert (tmp_path / "ids.csv").read_text().count("\n") == 6
