"""Standard input from a program that takes its time: what has come is closed, whatever comes later."""

import os
import subprocess
from pathlib import Path

from tests.front_door.support import FAST, Witness, assert_ledger_is_true, desk_of, quick, waited


def test_what_a_slow_pipe_has_brought_is_closed_while_it_stays_open(tmp_path: Path) -> None:
    """Three rows are closed before the fourth is written; the run ends with the pipe, nothing lost or repeated."""
    with desk_of(tmp_path, quick()) as (desk, sandbox):
        witness = Witness(sandbox)
        ids = sandbox.add_sessions(5)
        with desk.started("close", "-", *FAST, stdin=subprocess.PIPE) as child:
            three_closed = witness.event_at(3, "close")
            assert child.process.stdin is not None
            child.process.stdin.write("".join(f"{one}\n" for one in ["session_id", *ids[:3]]).encode())
            child.process.stdin.flush()
            waited(three_closed)
            done = child.ended("".join(f"{one}\n" for one in ids[3:]).encode())
        assert done.code == 0, done.err
        assert witness.posts() == dict.fromkeys(ids, 1)
        assert_ledger_is_true(desk, sandbox, ids)


def test_a_pipe_that_nobody_writes_to_keeps_no_process_from_ending(tmp_path: Path) -> None:
    """A thread waits for it, which nothing can interrupt."""
    with desk_of(tmp_path, quick(latency=0.05)) as (desk, sandbox):
        witness = Witness(sandbox)
        os.mkfifo(desk.home / "pipe.csv")
        with desk.started("close", "pipe.csv", *FAST) as child:
            closed = witness.event_at(3, "close")
            with (desk.home / "pipe.csv").open("w") as pipe:
                pipe.write("".join(f"{one}\n" for one in ["session_id", *sandbox.add_sessions(3)]))
                pipe.flush()
                waited(closed)
                child.terminate()
                done = child.ended()
        assert (done.code, "Traceback" in done.err) == (143, False), done.err
