"""Several clocks: ours, the Date header's, and the one that writes ``closed_at``. What we closed is always ours."""

from pathlib import Path
from typing import Any

import pytest

from tests.front_door.gateways import GATEWAYS, Asked, Choice, gateway_before
from tests.front_door.support import FAST, Witness, assert_ledger_is_true, desk_of, quick

WORDS = (*FAST, "--settle-for", "20s", "--json")
HOUR = 3_600.0


@pytest.mark.parametrize(
    "clocks",
    [
        {"database_offset": 3.0},
        {"database_offset": -3.0},
        {"database_offset": -0.3},
        {"database_offset": -3.0, "clock_offset": HOUR},
        {"database_offset": -3.0, "clock_offset": -HOUR},
        {"database_offset": 3.0, "clock_offset": -9 * HOUR},
        {"database_offset": -3.0, "dated": False},
        {"database_offset": -HOUR, "dated": False},
        {"clock_offset": -9 * HOUR, "dated": False},
        {"clock_offset": 9 * HOUR, "dated": False},
    ],
    ids=str,
)
@pytest.mark.parametrize(
    "faults", [{}, {"reset_after": 0.3, "html_502_after": 0.1, "reset_before": 0.2}], ids=["calm", "lost"]
)
def test_whatever_the_clocks_say_what_we_closed_is_ours(
    tmp_path: Path, clocks: dict[str, Any], faults: dict[str, float]
) -> None:
    """Acknowledged, or found closed once its answer was lost; verdicts come late, and are waited for all the same."""
    with desk_of(tmp_path, quick(close_faults=faults, premature_none=0.4, **clocks)) as (desk, sandbox):
        ids = sandbox.add_sessions(60)
        done = desk.run("close", desk.write_ids(ids), *WORDS)
        assert_ledger_is_true(desk, sandbox, ids)
    assert done.summary["outcomes"]["closed"] == 60
    assert done.code == 0


@pytest.mark.parametrize("skew", [-3.0, -0.3, 0.0, 3.0])
@pytest.mark.parametrize("lost", [False, True])
def test_what_somebody_else_closed_a_little_before_is_not_ours(tmp_path: Path, skew: float, lost: bool) -> None:
    """Twenty seconds before, as an hour before; also where the answer to our own close was lost."""

    def choose(asked: Asked) -> Choice:
        return (GATEWAYS["nginx 502"], "after") if lost and asked.kind == "close" and asked.nth == 1 else None

    with desk_of(tmp_path, quick(database_offset=skew)) as (desk, sandbox):
        others, ours = sandbox.add_sessions(20), sandbox.add_sessions(20)
        for at, each in enumerate(others):
            sandbox.close_elsewhere(each)
            session = sandbox.store.by_id[each]
            assert session.closed_us is not None
            session.closed_us -= (20 if at % 2 else 3_600) * 1_000_000
        with gateway_before(desk.url or "", choose) as (desk.url, _):
            done = desk.run("close", desk.write_ids(others + ours), *WORDS)
        outcomes = {each: row["outcome"] for each, row in desk.by_id().items()}
    assert done.code == 0
    assert {outcomes[each] for each in others} == {"already_closed"}
    assert {outcomes[each] for each in ours} == {"closed"}


@pytest.mark.parametrize("shift", [3_600_000, -3_600_000, 7_000, -7_000])
def test_a_run_that_another_clock_began_knows_its_closes(tmp_path: Path, shift: int) -> None:
    """Killed in flight on a machine whose clock is off, and resumed on another one, or the other way round."""
    with desk_of(tmp_path, quick(latency=0.2, database_offset=-0.3)) as (desk, sandbox):
        ids = sandbox.add_sessions(80)
        witness = Witness(sandbox)
        hit = witness.event_at(40, "close")
        with desk.started("close", desk.write_ids(ids), *WORDS) as child:
            assert hit.wait(60)
            child.process.kill()
            child.process.wait()
        moved = f"first_attempt_at = first_attempt_at + {shift}"
        desk.change(f"UPDATE items SET {moved} WHERE outcome = 'claimed'")  # noqa: S608  # a constant
        assert desk.query("SELECT count(*) FROM items WHERE outcome = 'claimed'")[0][0]
        done = desk.run("resume", "last", *WORDS)
        assert_ledger_is_true(desk, sandbox, ids)
    assert done.code == 0
    assert done.summary["outcomes"]["closed"] == 80


def test_a_retry_long_after_knows_what_was_closed_between(tmp_path: Path) -> None:
    """The first attempt was days ago: what has been closed since then is not from before it."""
    with desk_of(tmp_path, quick(database_offset=-3.0)) as (desk, sandbox):
        ids = sandbox.add_sessions(10)
        for each in ids:
            sandbox.script(each, ["422"])
        done = desk.run("close", desk.write_ids(ids), *WORDS, "--max-failures", "100%")
        desk.change("UPDATE items SET first_attempt_at = first_attempt_at - 259200000")
        again = desk.run("retry", "last", *WORDS)
        assert_ledger_is_true(desk, sandbox, ids)
    assert (done.code, again.code) == (1, 0)
    assert again.summary["outcomes"]["closed"] == 10
