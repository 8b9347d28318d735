"""How SQLite finds work: through small indexes, however many items are done."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import apsw
import pytest

from closeout.worker.ledger.sqlite.file import connect
from closeout.worker.ledger.sqlite.store import QUERIES

OPEN, UNSETTLED, DELAYED = "items_open", "items_unsettled", "items_delayed"
# What is searched by: up to the time.
KEYS = {OPEN: "run=? AND outcome=? AND due_at", UNSETTLED: "run=? AND settle_at", DELAYED: "run=? AND due_at"}
FINDS_WORK = {
    "pending_retries": OPEN, "pending_fresh": OPEN, "due_doubts": OPEN, "due_known": OPEN, "fresh": OPEN,
    "due_settles": UNSETTLED, "due_settle_count": UNSETTLED, "rescue": OPEN, "rearm_doubts": OPEN,
    "rearm_settles": UNSETTLED, "rearm_retries": OPEN, "rearm_ahead": UNSETTLED,
    "next_due": OPEN, "settles_ahead": UNSETTLED, "ripen": DELAYED,
}  # fmt: skip
VALUES = {
    "run": 1, "now": 1, "limit": 1, "never": 1, "seqs": "[1]", "changes": "[]", "item": 1, "first": 1, "last": 2,
    "ripe": 1, "wait": 1, "live": "[]", "age": 1, "parked": 0,
    "session": b"", "text": "", "turn": 1, "host": "", "sessions": "[]", "put_off": "", "earliest": 1,
}  # fmt: skip


@pytest.fixture
def database(tmp_path: Path) -> Iterator[apsw.Connection]:
    """An empty ledger."""
    with closing(connect(tmp_path / "ledger.db", create=True)) as connection:
        yield connection


def plan(database: apsw.Connection, query: str) -> list[str]:
    """The steps in which SQLite carries the statement out."""
    rows = database.execute("EXPLAIN QUERY PLAN " + QUERIES[query], VALUES).fetchall()
    return [str(row[3]) for row in rows]


@pytest.mark.parametrize(("query", "index"), sorted(FINDS_WORK.items()))
def test_finding_work_searches_a_partial_index(database: apsw.Connection, query: str, index: str) -> None:
    """No step reads all items, and only the index's own order is used, so the time and the limit end the search."""
    steps = plan(database, query)
    assert any(f"INDEX {index} ({KEYS[index]}" in step for step in steps)
    assert not any(step.startswith("SCAN items") for step in steps)
    assert not any("TEMP B-TREE" in step for step in steps)


def test_next_due_uses_both_indexes(database: apsw.Connection) -> None:
    """One search for each kind of work."""
    steps = plan(database, "next_due")
    assert sum(OPEN in step for step in steps) == 2
    assert sum(UNSETTLED in step for step in steps) == 1


@pytest.mark.parametrize(
    "query", ["claim", "change", "outcome_counts", "eval_counts", "retry", "resettle", "doubt_nones"]
)
def test_items_are_changed_and_counted_by_their_number(database: apsw.Connection, query: str) -> None:
    """Those of other runs are not touched."""
    steps = [step for step in plan(database, query) if "items" in step]
    assert steps
    assert all("SEARCH items USING INTEGER PRIMARY KEY" in step for step in steps)


def test_invalid_rows_are_found_without_the_others(database: apsw.Connection) -> None:
    """A summary of a million rows names the few bad ones at once."""
    steps = [step for step in plan(database, "invalid_kinds") if "items" in step]
    assert steps == ["SEARCH items USING INDEX items_session (run=? AND session_id=?)"]


def test_the_history_of_one_session_is_searched(database: apsw.Connection) -> None:
    """Among millions of exchanges."""
    steps = plan(database, "attempts_of")
    assert not any(step.startswith(("SCAN a", "SCAN s")) for step in steps)


def test_a_session_is_searched_for_once_in_each_run(database: apsw.Connection) -> None:
    """However many millions of rows they have; and the runs come in their order, so that a limit ends it."""
    assert plan(database, "session_anywhere") == [
        "SCAN r",
        "SEARCH i USING COVERING INDEX items_session (run=? AND session_id=?)",
    ]


@pytest.mark.parametrize("query", ["held_elsewhere", "closed_by", "known_count"])
def test_what_other_runs_hold_is_one_search(database: apsw.Connection, query: str) -> None:
    """By the session, so that a claim costs the same beside ten thousand runs as beside none."""
    steps = [step for step in plan(database, query) if not step.startswith("CORRELATED")]
    assert any(step.endswith("USING INDEX items_held (session_id=?)") for step in steps), steps
    assert not any("items_session" in step or step.startswith(("SCAN i", "SCAN o ")) for step in steps)


def test_invalid_rows_are_searched_for_by_their_text_in_all_runs_at_once(database: apsw.Connection) -> None:
    """In an index that holds nothing but invalid rows, in its own order."""
    assert plan(database, "invalid_anywhere") == ["SEARCH items USING INDEX items_text (text=?)"]
    ((sql,),) = database.execute("SELECT sql FROM sqlite_schema WHERE name = 'items_text'").fetchall()
    assert str(sql).endswith("WHERE session_id IS NULL")


def test_the_partial_indexes_hold_only_what_is_to_be_done(database: apsw.Connection) -> None:
    """They stay small, so finding work stays cheap."""
    rows = database.execute("SELECT name, sql FROM sqlite_schema WHERE name IN (?, ?)", (OPEN, UNSETTLED)).fetchall()
    assert {name: str(sql).rsplit("WHERE", 1)[1].strip() for name, sql in rows} == {
        OPEN: "due_at IS NOT NULL",
        UNSETTLED: "settle_at IS NOT NULL",
    }
