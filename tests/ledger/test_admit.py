"""Contract: the rows of a source enter the ledger once each."""

import pytest

from closeout.worker.domain.item import SourceRow
from closeout.worker.ledger.protocol import Ledger
from closeout.worker.ledger.records import InvalidKind
from tests.ledger.support import NOW, a_run, bad_row, claim_all, outcomes_of, results_of, rows, session_id

pytestmark = pytest.mark.anyio


async def test_rows_are_admitted_in_the_order_of_the_source(ledger: Ledger) -> None:
    """Across batches, with their lines."""
    run = await a_run(ledger)
    await ledger.admit(run, rows([5, 3, 9], first_line=2), "d1", NOW)
    await ledger.admit(run, rows([1, 7], first_line=5), "d2", NOW)
    found = await results_of(ledger, run)
    assert [row["session_id"] for row in found] == [session_id(n) for n in (5, 3, 9, 1, 7)]
    assert [row["line"] for row in found] == [2, 3, 4, 5, 6]


async def test_duplicates_are_counted_and_not_repeated(ledger: Ledger) -> None:
    """Within a batch and across batches; the first row counts."""
    run = await a_run(ledger)
    assert await ledger.admit(run, rows([1, 2, 1, 1]), "d", NOW) == 2
    assert await ledger.admit(run, rows([2, 3], first_line=6), "d", NOW) == 1
    found = await results_of(ledger, run)
    assert [(row["session_id"], row["line"]) for row in found] == [
        (session_id(1), 2), (session_id(2), 3), (session_id(3), 7),
    ]  # fmt: skip
    run = await ledger.find_run(run.name)
    assert (run.rows_read, run.duplicates) == (6, 3)


async def test_a_duplicate_of_a_closed_session_leaves_it_closed(ledger: Ledger) -> None:
    """A row that comes late changes nothing that has begun."""
    run = await a_run(ledger, [1])
    await claim_all(ledger, run)
    assert await ledger.admit(run, [SourceRow(9, session_id(1), "other")], "d", NOW) == 1
    assert await claim_all(ledger, run) == []
    assert (await results_of(ledger, run))[0]["reason"] is None


async def test_invalid_rows_stand_in_the_results(ledger: Ledger) -> None:
    """With their text and what is wrong; the same text twice is two rows."""
    run = await a_run(ledger)
    assert await ledger.admit(run, [bad_row(2), bad_row(3), *rows([1], first_line=4), bad_row(5, "")], "d", NOW) == 0
    found = await results_of(ledger, run)
    assert [row["outcome"] for row in found] == ["invalid", "invalid", "pending", "invalid"]
    assert [row["session_id"] for row in found] == ["typo", "typo", session_id(1), ""]
    assert found[0]["detail"] == "not a UUID"
    assert len(await claim_all(ledger, run)) == 1


async def test_invalid_rows_are_told_by_kind_the_most_frequent_first(ledger: Ledger) -> None:
    """With their number and the line of the first; of the run alone, and no more kinds than asked for."""
    run, other = await a_run(ledger), await a_run(ledger, range(3))
    problems = {2: "empty", 3: "not a UUID: 5 found", 5: "not JSON: odd", 6: "not a UUID: 9 found", 8: "a: b: c"}
    admitted = [SourceRow(line, None, None, "x", problem) for line, problem in problems.items()]
    await ledger.admit(run, [*admitted, *rows([1], first_line=9)], "d", NOW)
    await ledger.admit(run, [SourceRow(11, None, None, "x", "not JSON: odder")], "d", NOW)
    assert await ledger.invalid_kinds(run, 3) == [
        InvalidKind("not a UUID", 2, 3),
        InvalidKind("not JSON", 2, 5),
        InvalidKind("empty", 1, 2),
    ]
    assert [kind.why for kind in await ledger.invalid_kinds(run, 9)] == ["not a UUID", "not JSON", "empty", "a"]
    assert await ledger.invalid_kinds(other, 3) == []


@pytest.mark.parametrize(
    "text", ["", "a\tb\nc", "naïve ✓ 🙂", "'; DROP TABLE items; --", "x" * 200, "null", "[1]", '"']
)
async def test_any_text_survives(ledger: Ledger, text: str) -> None:
    """As it came."""
    run = await a_run(ledger)
    await ledger.admit(run, [bad_row(2, text), SourceRow(3, session_id(1), text)], "d", NOW)
    found = await results_of(ledger, run)
    assert (found[0]["session_id"], found[1]["reason"]) == (text, text)


async def test_rows_read_and_digest_are_kept_with_the_rows(ledger: Ledger) -> None:
    """So that a process that goes on knows where it was."""
    run = await a_run(ledger)
    for number in range(3):
        await ledger.admit(run, rows([number], first_line=number + 2), f"digest-{number}", NOW)
        found = await ledger.find_run(run.name)
        assert (found.rows_read, found.digest, found.source_done) == (number + 1, f"digest-{number}", False)
    await ledger.source_done(run)
    assert (await ledger.find_run(run.name)).source_done


async def test_rows_read_are_duplicates_and_outcomes(ledger: Ledger) -> None:
    """Always."""
    run = await a_run(ledger)
    await ledger.admit(run, [*rows([1, 1, 2]), bad_row(5), bad_row(6)], "d", NOW)
    await ledger.claim(run, 1, NOW)
    found = await ledger.find_run(run.name)
    assert found.rows_read == found.duplicates + sum((await outcomes_of(ledger, run)).values()) == 5


async def test_a_long_source_is_admitted_in_batches(ledger: Ledger) -> None:
    """Some thousands of rows, each of them once."""
    run = await a_run(ledger)
    for first in range(0, 5_000, 1_000):
        await ledger.admit(run, rows(range(first, first + 1_000), first_line=first), "d", NOW)
    found = await results_of(ledger, run)
    assert [row["session_id"] for row in found] == [session_id(n) for n in range(5_000)]


async def test_the_reasons_of_sessions_are_those_of_their_first_rows(ledger: Ledger) -> None:
    """Of this run alone; what it does not hold is left out."""
    other, run = await a_run(ledger, [1, 2]), await a_run(ledger)
    await ledger.admit(run, [SourceRow(2, session_id(1), "resolved"), SourceRow(3, session_id(3))], "d", NOW)
    assert await ledger.reasons_of(run, [session_id(n) for n in (1, 2, 3)]) == {
        session_id(1): (2, "resolved"),
        session_id(3): (3, None),
    }
    assert set(await ledger.reasons_of(other, [session_id(1)])) == {session_id(1)}
