"""The pace, as it is seen at the other end of the wire."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from closeout.worker.sandbox import Sandbox
from closeout.worker.sandbox.truth import most_within
from tests.front_door.support import FAST, Desk, Done, Witness, assert_ledger_is_true, desk_of, quick

pytestmark = pytest.mark.alone

# Of a date, told in whole seconds, up to one second is lost. Untold waits begin at half a second.
LEAST_WAIT = {"seconds": 1.98, "date": 0.98, "body": 1.98, "none": 0.48}


def test_no_second_sees_more_than_the_rate(tmp_path: Path) -> None:
    """50/s with 64 in flight: no second holds more than the rate plus one; at the wire, two for a busy machine."""
    with desk_of(tmp_path, quick(latency=0.2, latency_jitter=0.3)) as (desk, sandbox):
        desk.write_ids(sandbox.add_sessions(190))
        done = desk.run("close", "sessions.csv", *FAST, "--rate", "50/s", "--concurrency", "64", "--json")
    assert done.code == 0
    sent = [at / 1000 for (at,) in desk.query("SELECT at FROM attempts ORDER BY at")]
    assert most_within(sent, 0.999) <= 51
    assert sandbox.busiest(1.0) <= 53
    assert done.summary["rate"]["allowed"] == 50


def test_a_share_of_the_organisations_limit_is_kept(tmp_path: Path) -> None:
    """25% of 9,600 a minute is 40 a second, look-ups included."""
    with desk_of(tmp_path, quick(close_faults={"reset_after": 0.3})) as (desk, sandbox):
        desk.write_ids(sandbox.add_sessions(50))
        words = [word for word in FAST if word not in ("--rate", "600/s")]
        done = desk.run("close", "sessions.csv", *words, "--org-limit", "9600/min", "--share", "25%", "--json")
    assert done.summary["rate"]["allowed"] == 40
    assert sandbox.busiest(1.0) <= 43


@dataclass(frozen=True)
class Held:
    """A run that met one 429, how it was told to wait, and when each of its requests arrived."""

    done: Done
    arrivals: list[float]
    desk: Desk
    sandbox: Sandbox
    ids: list[str]


def hold(home: Path, how: Any, fault: str = "429") -> Held:
    """Close 40 sessions, one at a time; the eleventh close is answered with a fault. The first request is a whoami."""
    config = quick(retry_after=how, fault_retry_after=2.0, second_close="409")
    with desk_of(home, config) as (desk, sandbox):
        ids = sandbox.add_sessions(40)
        sandbox.script(ids[10], [fault])
        desk.write_ids(ids)
        words = ("--concurrency", "1", "--rate", "200/s", "--api", "1.90", "--protect", "none", "--json")
        attempts = "1" if fault == "429" else "3"  # a 429 uses none up
        done = desk.run("close", "sessions.csv", *FAST, *words, "--max-attempts", attempts)
    return Held(done, list(sandbox.counts.arrivals), desk, sandbox, ids)


@pytest.fixture(scope="module")
def held(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Held]:
    """One run for each way to tell the wait, side by side to save time."""
    home = tmp_path_factory.mktemp("held")
    with ThreadPoolExecutor(4) as pool:
        begun = {how: pool.submit(hold, home / how, how) for how in LEAST_WAIT}
    return {how: one.result() for how, one in begun.items()}


@pytest.mark.xdist_group("held")
@pytest.mark.parametrize("how", LEAST_WAIT)
def test_a_429_makes_every_request_wait(held: dict[str, Held], how: str) -> None:
    """However the wait is told, nothing arrives during it, and no session is marked failed for it."""
    run = held[how]
    assert run.done.code == 0
    assert run.done.summary["outcomes"]["closed"] == 40
    assert run.done.summary["requests"]["throttled"] == 1
    assert run.arrivals[12] - run.arrivals[11] >= LEAST_WAIT[how]
    assert_ledger_is_true(run.desk, run.sandbox, run.ids)


@pytest.mark.xdist_group("held")
def test_a_503_that_tells_a_wait_makes_every_request_wait(tmp_path: Path) -> None:
    """It is as busy for the others."""
    run = hold(tmp_path, "seconds", "503")
    assert run.done.code == 0
    assert run.done.summary["outcomes"]["closed"] == 40
    assert run.arrivals[12] - run.arrivals[11] >= LEAST_WAIT["seconds"]
    assert_ledger_is_true(run.desk, run.sandbox, run.ids)


def test_a_limit_below_our_rate_delays_and_fails_nothing(tmp_path: Path) -> None:
    """An organisation's limit that we run into makes 429s, but no failure and no second close."""
    config = quick(rate_limit=10, rate_period=0.5, second_close="409")
    with desk_of(tmp_path, config) as (desk, sandbox):
        witness = Witness(sandbox)
        ids = sandbox.add_sessions(60)
        done = desk.run("close", desk.write_ids(ids), *FAST, "--rate", "200/s", "--max-attempts", "2", "--json")
    assert done.code == 0
    assert done.summary["requests"]["throttled"] == sandbox.counts.answers[429] > 0
    assert done.summary["outcomes"]["closed"] == 60
    assert witness.posts().total() > 60
    assert sandbox.counts.closes_repeated == 0
    assert {row["attempts"] for row in desk.rows()} == {1}
