"""Fault storms: whatever the network and the API do, the ledger says what really happened."""

from collections.abc import Mapping
from concurrent.futures import Future
from pathlib import Path

import pytest

from tests.front_door.storm import MODES, Storm
from tests.front_door.support import (
    COLUMNS,
    FAST,
    OUTCOMES,
    Desk,
    Row,
    assert_all_counted,
    assert_ledger_is_true,
    desk_of,
    quick,
    says_the_host_alone,
)


@pytest.fixture(params=MODES)
def storm(request: pytest.FixtureRequest, storms: Mapping[str, Future[Storm]]) -> Storm:
    """Each of the storms."""
    return storms[str(request.param)].result()


def test_each_session_ends_as_it_should(storm: Storm) -> None:
    """Closed, already closed, not found, rejected and failed are told apart, whatever came between."""
    rows = storm.desk.by_id()
    wrong = {one: (outcome, rows[one]) for one, outcome in storm.expected.items() if rows[one]["outcome"] != outcome}
    assert wrong == {}


def test_the_ledger_equals_the_truth(storm: Storm) -> None:
    """A session is reported closed if and only if our close took effect; its statuses are the API's."""
    assert_ledger_is_true(storm.desk, storm.sandbox, storm.own)


def test_nothing_is_lost(storm: Storm) -> None:
    """Each row of the source has one outcome, and the process ended by itself with the code that says some failed."""
    assert set(storm.desk.by_id()) == set(storm.expected)
    assert_all_counted(storm.desk)
    assert storm.done is not None
    assert (storm.done.code, says_the_host_alone(storm.done, storm.desk)) == (1, True), storm.done.err


def test_the_summary_counts_what_the_ledger_holds(storm: Storm) -> None:
    """The figures of ``--json`` are those of the rows."""
    assert storm.done is not None
    summary = storm.done.summary
    rows = storm.desk.rows()
    counted = {outcome: sum(row["outcome"] == outcome for row in rows) for outcome in OUTCOMES}
    assert summary["outcomes"] == counted
    assert summary["rows_read"] == len(rows)
    assert (summary["state"], summary["unsettled"]) == ("finished", 0)


def test_no_close_is_repeated_unseen(storm: Storm) -> None:
    """After an answer that leaves the close in doubt, the session is looked at before it is closed again."""
    repeats = set(storm.witness.unverified_repeats())
    statuses = {one: first_answers(storm.desk, one) for one in repeats}
    assert {one: told for one, told in statuses.items() if 429 not in told} == {}


def first_answers(desk: Desk, session_id: str) -> set[int | None]:
    """The statuses that came back for the closes of one session."""
    digits = session_id.replace("-", "")
    found = desk.query(
        "SELECT http_status FROM attempts WHERE kind = 'close' AND item = "  # noqa: S608  # an id of our own
        f"(SELECT seq FROM items WHERE lower(hex(session_id)) = '{digits}')"
    )
    return {status for (status,) in found}


def test_every_exchange_is_kept(storm: Storm) -> None:
    """The ledger holds each request that the API has seen, by kind; none came without a trace."""
    kept = dict(storm.desk.query("SELECT replace(kind, 'probe', 'whoami'), count(*) FROM attempts GROUP BY 1"))
    assert kept == dict(storm.sandbox.counts.requests)


def test_the_view_has_exactly_its_columns(storm: Storm) -> None:
    """``results`` has the columns of the contract, in their order."""
    row: Row = storm.desk.rows()[0]
    assert list(row) == COLUMNS


@pytest.mark.parametrize("kind", ["close", "read"])
def test_an_answer_that_came_late_does_not_make_a_premature_none_final(tmp_path: Path, kind: str) -> None:
    """How old a ``none`` is counts from when it was asked for: what took long to arrive is no news of today."""
    slow = {f"{kind}_faults": {"slow": 1.0}, "close_faults": {"slow" if kind == "close" else "reset_after": 1.0}}
    config = quick(**slow, max_faults_per_session=1, slow_seconds=3.5, premature_none=1.8, no_critical_share=0.0)
    with desk_of(tmp_path, config) as (desk, sandbox):
        ids = sandbox.add_sessions(20)
        assert desk.run("close", desk.write_ids(ids), *FAST, "--none-grace", "2s").code == 0
    assert_ledger_is_true(desk, sandbox, ids)
