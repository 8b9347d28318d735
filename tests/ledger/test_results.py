"""Contract: the results are what the interface promises, also to those who open the file with another tool."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from closeout.worker.domain.item import Change, Outcome, Record
from closeout.worker.domain.session import EvalSummary
from closeout.worker.ledger.protocol import Ledger
from closeout.worker.ledger.records import COLUMNS, RowFilter
from closeout.worker.ledger.sqlite.ledger import SqliteLedger
from tests.ledger.support import (
    NOW,
    Opener,
    a_run,
    bad_row,
    changed,
    claim_all,
    closed,
    exchange,
    results_of,
    session_id,
)

pytestmark = pytest.mark.anyio
PROMISED = [
    "run", "session_id", "outcome", "detail", "final_status", "eval_status", "eval_settled", "reason", "attempts",
    "http_status", "error", "closed_at", "first_attempt_at", "recorded_at", "settled_at", "eval_total",
    "eval_succeeded", "eval_failed", "eval_pending", "critical_total", "critical_succeeded", "critical_failed",
    "critical_pending", "line", "job",
]  # fmt: skip


def test_the_columns_are_those_that_are_promised() -> None:
    """In this order; scripts and dashboards depend on them."""
    assert list(COLUMNS) == PROMISED


async def test_results_come_in_the_order_of_the_source(ledger: Ledger) -> None:
    """Whatever was recorded first, and in batches that join without a gap."""
    run = await a_run(ledger, range(2_500))
    claims = await claim_all(ledger, run)
    await ledger.record(run, [changed(claim, Outcome.CLOSED) for claim in reversed(claims[:900])], NOW)
    found = await results_of(ledger, run)
    assert [row["session_id"] for row in found] == [session_id(n) for n in range(2_500)]


async def test_results_can_be_read_while_others_use_the_ledger(ledger: Ledger) -> None:
    """A long export does not hold up the work, nor fall over it."""
    run, seen = await a_run(ledger, range(2_500)), 0
    async for batch in ledger.results(run):
        seen += len(batch)
        await ledger.next_due(run)
        await ledger.claim(run, 10, NOW)
    assert seen == 2_500


async def test_one_session_is_found_by_its_id(ledger: Ledger) -> None:
    """In its run alone."""
    run, other = await a_run(ledger, [1, 2]), await a_run(ledger, [3])
    row = await ledger.result_of(run, session_id(2))
    assert row is not None
    assert dict(zip(COLUMNS, row, strict=True)) == (await results_of(ledger, run))[1]
    assert await ledger.result_of(other, session_id(2)) is None


async def test_a_run_without_rows_has_no_results(ledger: Ledger) -> None:
    """And says so without an error."""
    run = await a_run(ledger)
    await a_run(ledger, [1])
    assert await results_of(ledger, run) == []


async def test_the_view_in_the_file_has_exactly_these_columns(tmp_path: Path) -> None:
    """Python's own sqlite3 reads it, while the ledger is open and once it is closed."""
    path = tmp_path / "ledger.db"
    async with SqliteLedger.open(path, create=True) as ledger:
        run = await a_run(ledger, [1])
        await ledger.admit(run, [bad_row(3)], "d", NOW)
        open_rows = _view(path)
        expected = [tuple(row.values()) for row in await results_of(ledger, run)]
    assert open_rows == expected
    assert _view(path) == expected


def _view(path: Path) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        cursor = connection.execute("SELECT * FROM results")
        assert [column[0] for column in cursor.description] == PROMISED
        return cursor.fetchall()


async def test_a_ledger_holds_no_more_than_its_results_need(opener: Opener, tmp_path: Path) -> None:
    """Opening it twice at a time, as a report beside a run does, shows both the same."""
    async with opener(tmp_path) as one, opener(tmp_path) as two:
        run = await a_run(one, [1])
        assert await results_of(two, run) == await results_of(one, run)


async def test_results_can_be_filtered(ledger: Ledger) -> None:
    """By outcomes and by verdicts; both together narrow further, and none chooses all."""
    run = await a_run(ledger, range(5))
    await ledger.admit(run, [bad_row(9)], "d", NOW)
    first, second, third, *_ = await claim_all(ledger, run)
    good, bad = closed(), closed(evals=EvalSummary("it's new"))
    await ledger.record(run, [changed(first, Outcome.CLOSED, session=good), changed(third, Outcome.FAILED)], NOW)
    await ledger.record(run, [changed(second, Outcome.CLOSED, session=bad)], NOW)

    async def lines(*outcomes: Outcome, evals: tuple[str, ...] = ()) -> list[object]:
        chosen = RowFilter(frozenset(outcomes), frozenset(evals))
        return [row[COLUMNS.index("line")] async for batch in ledger.results(run, chosen) for row in batch]

    assert await lines(Outcome.CLOSED) == [2, 3]
    assert await lines(Outcome.INVALID, Outcome.FAILED) == [4, 9]
    assert await lines(Outcome.IN_DOUBT) == [5, 6]  # claimed, and no answer recorded
    assert await lines(evals=("it's new", "success")) == [2, 3]
    assert await lines(Outcome.CLOSED, evals=("it's new",)) == [3]
    assert await lines(Outcome.FAILED, evals=("success",)) == []
    assert len(await lines()) == 6
    assert [row[1] for row in await ledger.results_of([third.seq, first.seq])] == [session_id(2), session_id(0)]


async def test_a_session_is_found_in_every_run_that_holds_it(ledger: Ledger) -> None:
    """The newest run first, each with its own row and every exchange there, those of a retry as well."""
    old = await a_run(ledger, [1, 2])
    await a_run(ledger, [2])
    claim, _ = await claim_all(ledger, old)
    failed = Record(exchange(status=500, at=NOW + 1), (Change(claim.seq, Outcome.FAILED),))
    await ledger.record(old, [failed], NOW)
    await ledger.retry(old)
    await ledger.record(old, [changed(claim, Outcome.CLOSED, session=closed())], NOW + 9)
    new = await a_run(ledger, [1])
    found = await ledger.find_session(session_id(1), 10)
    assert [one.run.name for one in found] == [new.name, old.name]
    assert [dict(zip(COLUMNS, one.row, strict=True))["outcome"] for one in found] == ["pending", "closed"]
    assert [[each.http_status for each in one.exchanges] for one in found] == [[], [200, 500]]
    assert found[1].run == await ledger.find_run(old.name)
    assert [one.run.name for one in await ledger.find_session(session_id(1), 1)] == [new.name]
    assert await ledger.find_session(session_id(7), 10) == []


async def test_invalid_rows_are_found_by_their_text_in_every_run(ledger: Ledger) -> None:
    """Each of them, the newest first, up to a limit; never a session, whose text is not kept."""
    old, new = await a_run(ledger, [1]), await a_run(ledger)
    await ledger.admit(old, [bad_row(7, "Ärger"), bad_row(8, "other")], "d", NOW)
    await ledger.admit(new, [bad_row(3, "Ärger"), bad_row(4, "Ärger")], "d", NOW)
    found = await ledger.find_invalid("Ärger", 10)
    assert [(one.run.name, one.row[COLUMNS.index("line")]) for one in found] == [
        (new.name, 4),
        (new.name, 3),
        (old.name, 7),
    ]
    assert {one.row[COLUMNS.index("session_id")] for one in found} == {"Ärger"}
    assert len(await ledger.find_invalid("Ärger", 2)) == 2
    assert await ledger.find_invalid(session_id(1), 10) == []
