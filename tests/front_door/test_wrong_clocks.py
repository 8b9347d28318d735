"""Who closed what, and what is due, whatever the clocks of the processes are set to."""

import time
from pathlib import Path

import pytest

from tests.front_door.clocks import with_clock, with_clock_of
from tests.front_door.support import FAST, Desk, Witness, desk_of, quick, wait_until, waited

WORDS = (*FAST, "--no-settle", "--json")


def killed(desk: Desk, witness: Witness, offset: str, words: tuple[str, ...] = WORDS) -> None:
    """A run whose process dies in the middle of it, its clock off by so much."""
    begun = witness.event_at(40, "close")
    with with_clock(desk, offset).started("close", "sessions.csv", *words, "--rate", "100/s") as child:
        waited(begun)
        child.process.kill()
        child.process.wait()


def is_past(desk: Desk) -> bool:
    """Whether the first attempts lie before now, by the clock of this test."""
    ((newest,),) = desk.query("SELECT max(first_attempt_at) FROM items")
    return bool(newest < time.time() * 1000)


@pytest.mark.parametrize(
    ("first", "second"),
    [("+8s", "+0s"), ("-1h", "+0s"), ("+25h", "+0s"), ("+0s", "-10m"), ("+0s", "+25h"), ("+10m", "-1h")],
)
def test_who_closed_a_session_does_not_depend_on_the_clocks(tmp_path: Path, first: str, second: str) -> None:
    """Killed under one, resumed under another: all were closed by us, once, and are said to be."""
    with desk_of(tmp_path, quick(latency=0.2)) as (desk, sandbox):
        ids = sandbox.add_sessions(120)
        desk.write_ids(ids)
        witness = Witness(sandbox)
        killed(desk, witness, first)
        assert desk.query("SELECT 1 FROM items WHERE outcome = 'claimed'"), "nothing was in flight"
        if first == "+8s":
            wait_until(lambda: is_past(desk))
        done = with_clock(desk, second).run("resume", "last", *WORDS)
        assert done.code == 0, done.err
        assert done.summary["outcomes"]["closed"] == 120
        assert witness.unverified_repeats() == []
        assert sandbox.counts.closes_repeated == 0


def test_what_is_to_be_tried_again_does_not_wait_for_another_clock(tmp_path: Path) -> None:
    """It was put off by a clock that was 25 hours ahead; the run that is resumed does not wait a day."""
    with desk_of(tmp_path, quick()) as (desk, sandbox):
        desk.write_ids(sandbox.add_sessions(120))
        killed(desk, Witness(sandbox), "+0s")
        ahead = int((time.time() + 25 * 3600) * 1000)
        desk.change(
            f"UPDATE items SET due_at = {ahead}, first_attempt_at = coalesce(first_attempt_at, {ahead}), "  # noqa: S608
            "http_status = 429 WHERE outcome = 'pending'"
        )
        done = desk.run("resume", "last", *WORDS)
    assert done.code == 0, done.err
    assert done.summary["outcomes"]["closed"] == 120


def test_verdicts_are_fetched_although_the_clock_of_the_closes_was_ahead(tmp_path: Path) -> None:
    """They were due by that clock, ten minutes from now; the run that is resumed does not give them up for it."""
    with desk_of(tmp_path, quick()) as (desk, sandbox):
        desk.write_ids(sandbox.add_sessions(120))
        settling = (*FAST, "--settle-for", "8s", "--json")
        killed(desk, Witness(sandbox), "+10m", settling)
        done = desk.run("resume", "last", *settling)
    assert (done.code, done.summary["unsettled"]) == (0, 0), done.err
    assert done.summary["outcomes"]["closed"] == 120


@pytest.mark.parametrize("after", ["-1h", "+25h", "-10s"])
def test_a_clock_that_is_set_while_a_run_goes_on_changes_nothing(tmp_path: Path, after: str) -> None:
    """Answers are lost and overtaken, so much is put off: it is due as if nothing had happened."""
    faults = {"503": 0.2, "reset_after": 0.2}
    with desk_of(tmp_path, quick(close_faults=faults, latency=0.05)) as (desk, sandbox):
        desk.write_ids(sandbox.add_sessions(150))
        witness = Witness(sandbox)
        clock = tmp_path / "clock"
        clock.write_text("+0s\n", encoding="utf-8")
        begun = witness.event_at(60, "close")
        with with_clock_of(desk, clock).started("close", "sessions.csv", *WORDS, "--rate", "100/s") as child:
            waited(begun)
            clock.write_text(f"{after}\n", encoding="utf-8")
            done = child.ended()
        assert done.code == 0, done.err
        assert done.summary["outcomes"]["closed"] == 150
        assert witness.unverified_repeats() == []
    ((low, high),) = desk.query("SELECT min(first_attempt_at), max(recorded_at) FROM items")
    assert high - low < 600_000, "the clock of the run was set"
