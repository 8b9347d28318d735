"""SIGKILL at random moments, then ``resume``: the plug may be pulled at any time."""

import signal
import sqlite3
import time
import uuid
from collections.abc import Mapping
from concurrent.futures import Future
from pathlib import Path

from tests.front_door.ordeal import Ordeal, killed_at
from tests.front_door.support import (
    FAST,
    LONGEST,
    Child,
    Desk,
    Witness,
    assert_all_counted,
    assert_ledger_is_true,
    desk_of,
    quick,
)

Ordeals = Mapping[str, Future[Ordeal]]


def test_killed_again_and_again_nothing_is_lost(ordeals: Ordeals) -> None:
    """Every id has exactly one row with an outcome, and rows read = duplicates + outcomes."""
    for ordeal in (one.result() for one in ordeals.values()):
        rows = ordeal.desk.by_id()
        assert set(rows) == set(ordeal.ids)
        assert {row["outcome"] for row in rows.values()} == {"closed", "already_closed"}
        assert ordeal.desk.query("SELECT rows_read, duplicates, state FROM runs") == [(170, 10, "finished")]
        assert_all_counted(ordeal.desk)


def test_killed_again_and_again_the_ledger_tells_the_truth(ordeals: Ordeals) -> None:
    """What is reported closed was closed by us, once, and its statuses are those of the API."""
    for ordeal in (one.result() for one in ordeals.values()):
        assert_ledger_is_true(ordeal.desk, ordeal.sandbox, ordeal.ids)


def test_a_recorded_close_is_never_sent_again(ordeals: Ordeals) -> None:
    """Once a close is acknowledged and in the ledger, no kill makes it leave again."""
    for ordeal in (one.result() for one in ordeals.values()):
        assert ordeal.at_rest
        posts = ordeal.witness.posts()
        assert {one: posts[one] for one in ordeal.at_rest} == ordeal.at_rest


def test_a_session_in_doubt_is_looked_at_before_a_second_close(ordeals: Ordeals) -> None:
    """After a lost answer, in flight at a kill or broken by a fault, a look comes before any second close."""
    for ordeal in (one.result() for one in ordeals.values()):
        assert max(ordeal.witness.posts().values()) > 1, "no close was repeated: nothing was tested"
        assert ordeal.witness.unverified_repeats() == []


def test_what_was_never_sent_is_not_held_against_a_session(tmp_path: Path) -> None:
    """A process that dies before it has sent what it took uses up no attempt, however often it happens."""
    with desk_of(tmp_path, quick(close_faults={"hang_before": 1}, max_faults_per_session=None)) as (desk, sandbox):
        ids = sandbox.add_sessions(20)
        desk.write_ids(ids)
        witness = Witness(sandbox)
        few = (*FAST, "--concurrency", "1", "--max-attempts", "3")
        words: tuple[str, ...] = ("close", "sessions.csv")
        for _ in range(3):
            assert killed_at(desk, witness, 1, *words, *few, kind="close")
            words = ("resume", "last")
        witness.rest()
        for session_id in ids:
            sandbox.script(session_id, ["ok"] * 5)
        desk.run("resume", "last", *few)
    rows, posts = desk.by_id(), witness.posts()
    assert [rows[one]["detail"] for one in ids if rows[one]["outcome"] == "failed" and posts[one] < 3] == []


def test_killed_while_rows_are_admitted_each_row_is_admitted_once(tmp_path: Path) -> None:
    """Rows are in the ledger with how far the source was read, or not at all; line numbers are those of the file."""
    with desk_of(tmp_path, quick(latency=0.01)) as (desk, sandbox):
        live = sandbox.add_sessions(40)
        ids = [*live, *(str(uuid.UUID(int=number << 64)) for number in range(1, 60_001 - len(live)))]
        desk.write_ids(ids)
        slow = ("--rate", "20/s", "--first-look", "300ms", "--none-grace", "500ms", "--no-progress")
        witness = Witness(sandbox)
        words: tuple[str, ...] = ("close", "sessions.csv")
        reached = [0]
        for _ in range(3):
            with desk.started(*words, *slow) as child:
                wait_for_rows(desk, child, min(reached[-1] + 1, len(ids)))
                child.process.kill()
                assert child.ended().code == -signal.SIGKILL
            words = ("resume", "last")
            reached.append(rows_read(desk))
        assert reached[1] < len(ids), "the kill came too late to tell anything"
        with desk.started("resume", "last", *slow) as child:
            wait_for_rows(desk, child, len(ids))
            child.terminate()
            assert child.ended().code == 143
    rows = desk.query("SELECT session_id, line FROM results ORDER BY line")
    assert rows == [(session_id, line) for line, session_id in enumerate(ids, start=2)]
    assert desk.query("SELECT rows_read, duplicates FROM runs") == [(len(ids), 0)]
    assert_all_counted(desk)
    assert witness.unverified_repeats() == []


def rows_read(desk: Desk) -> int:
    """How many rows of the source the ledger has; 0 before it is made."""
    try:
        return int(desk.query("SELECT sum(rows_read) FROM runs")[0][0] or 0)
    except sqlite3.OperationalError:
        return 0


def wait_for_rows(desk: Desk, child: Child, count: int) -> None:
    """Watch the ledger until so many rows are admitted."""
    deadline = time.monotonic() + LONGEST
    while not desk.ledger.exists() or rows_read(desk) < count:
        assert time.monotonic() < deadline, "the source is not read on"
        assert child.process.poll() is None, "it ended before it had read so far"
        time.sleep(0.002)


def test_killed_before_the_first_answer_what_others_closed_is_told_as_theirs(tmp_path: Path) -> None:
    """What was taken and never sent was noted on the API's clock: what lies an hour before is none of ours."""
    with desk_of(tmp_path, quick(latency=0.005)) as (desk, sandbox):
        (hung,), closed = sandbox.add_sessions(1), sandbox.add_sessions(50, already_closed=True)
        desk.write_ids([hung, *closed])
        sandbox.script(hung, ["hang_before"])
        assert killed_at(desk, Witness(sandbox), 1, "close", "sessions.csv", *FAST, kind="close")
        assert desk.query("SELECT COUNT(*) FROM items WHERE first_attempt_at IS NOT NULL")[0][0] > 40
        assert desk.run("resume", "last", *FAST).code == 0
    assert {one: row["outcome"] for one, row in desk.by_id().items()} == {
        hung: "closed",
        **dict.fromkeys(closed, "already_closed"),
    }
