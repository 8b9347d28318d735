"""The canary: what a person is asked, and what a resumed run makes of it."""

from collections import Counter
from pathlib import Path

import pytest

from closeout.worker.sandbox import Sandbox, SandboxConfig
from tests.front_door.support import FAST, Desk, Witness, desk_of, quick, waited
from tests.front_door.terminal import CTRL_C, at_a_terminal

WORDS = (*(word for word in FAST if word != "--no-progress"), "--no-settle")
JSON = (*FAST, "--no-settle", "--json")
QUESTION = "Go on with the rest?"


def outcomes(desk: Desk) -> Counter[object]:
    """How many rows ended how."""
    return Counter(row["outcome"] for row in desk.rows())


@pytest.mark.parametrize(
    ("typed", "progress", "code", "closed", "why"),
    [
        ("y\n", "--progress", 0, 40, None), ("n\n", "--progress", 3, 5, "not approved"),
        ("\n", "--no-progress", 3, 5, "not approved"), (CTRL_C, "--progress", 130, 5, "Ctrl-C"),
    ],
    ids=["yes", "no", "enter", "ctrl-c"],
)  # fmt: skip
def test_a_person_at_a_terminal_is_asked(
    tmp_path: Path, typed: str, progress: str, code: int, closed: int, why: str | None
) -> None:
    """Nothing else is sent before the answer; the display leaves the terminal to the question."""
    with desk_of(tmp_path, quick()) as (desk, sandbox):
        desk.write_ids(sandbox.add_sessions(40))
        with at_a_terminal(desk, "close", "sessions.csv", *WORDS, progress, "--canary", "5") as terminal:
            terminal.wait_for_question("Close them? [y/N]:")
            terminal.type("y\n")
            terminal.wait_for(QUESTION)
            told = terminal.seen
            assert sandbox.counts.requests["close"] == 5
            terminal.type(typed)
            assert terminal.ended() == code
    assert "canary: 5 closed" in told
    assert outcomes(desk) == Counter({"closed": closed, "pending": 40 - closed} if closed < 40 else {"closed": 40})
    assert sandbox.counts.closes_effective == closed
    if why is not None:
        assert why in desk.query("SELECT why FROM runs")[0][0]


def test_yes_answers_beforehand(tmp_path: Path) -> None:
    """What came of the canary is shown all the same."""
    with desk_of(tmp_path, quick()) as (desk, sandbox):
        desk.write_ids(sandbox.add_sessions(40))
        with at_a_terminal(desk, "close", "sessions.csv", *WORDS, "--canary", "5", "--yes") as terminal:
            assert terminal.ended() == 0
    assert "canary: 5 closed" in terminal.seen
    assert QUESTION not in terminal.seen
    assert outcomes(desk) == {"closed": 40}


def test_a_list_no_longer_than_the_canary_asks_nothing(tmp_path: Path) -> None:
    """There is no rest to go on with."""
    with desk_of(tmp_path, quick()) as (desk, sandbox):
        desk.write_ids(sandbox.add_sessions(5))
        with at_a_terminal(desk, "close", "sessions.csv", *WORDS, "--canary", "5") as terminal:
            terminal.wait_for_question("Close them? [y/N]:")
            terminal.type("y\n")
            assert terminal.ended() == 0
    assert QUESTION not in terminal.seen
    assert outcomes(desk) == {"closed": 5}


def test_without_a_terminal_nobody_is_asked(tmp_path: Path) -> None:
    """A line waiting on standard input is no answer, and no input no refusal."""
    with desk_of(tmp_path, quick()) as (desk, sandbox):
        desk.write_ids(sandbox.add_sessions(20))
        done = desk.run("close", "sessions.csv", *JSON, "--canary", "5", input=b"n\n")
    assert done.code == 0
    assert "canary: 5 closed" in done.err
    assert QUESTION not in done.err
    assert done.summary["outcomes"]["closed"] == 20


def test_a_canary_that_has_passed_is_not_repeated(tmp_path: Path) -> None:
    """The resumed run goes on where it was, also when the flag is given again."""
    with desk_of(tmp_path, quick()) as (desk, sandbox):
        desk.write_ids(sandbox.add_sessions(80))
        begun = Witness(sandbox).event_at(20, "close")
        with desk.started("close", "sessions.csv", *JSON, "--canary", "5", "--rate", "40/s") as child:
            waited(begun)
            child.interrupt()
            first = child.ended()
        again = desk.run("resume", "last", *JSON, "--canary", "5")
    assert "canary: 5 closed" in first.err
    assert (first.code, again.code) == (130, 0)
    assert "canary" not in again.err
    assert again.summary["outcomes"]["closed"] == 80


def test_a_canary_that_was_cut_short_is_gone_on_with(tmp_path: Path) -> None:
    """Killed in the middle of it: what had been sent counts, what is in doubt is verified, and then it is judged."""
    with desk_of(tmp_path, quick(latency=0.1, second_close="409")) as (desk, sandbox):
        ids = sandbox.add_sessions(30)
        desk.write_ids(ids)
        witness = Witness(sandbox)
        begun = witness.event_at(6, "close")
        with desk.started("close", "sessions.csv", *JSON, "--canary", "10", "--rate", "20/s") as child:
            waited(begun)
            child.process.kill()
            child.ended()
        again = desk.run("resume", "last", *JSON)
    assert "canary: 10 closed" in again.err
    assert again.summary["outcomes"]["closed"] == 30
    assert set(witness.posts()) == set(ids)
    assert sandbox.counts.closes_repeated == 0


def test_a_canary_that_has_failed_stops_a_resumed_run_again(tmp_path: Path) -> None:
    """Nothing is sent, until a person says that it is to go on all the same."""
    with desk_of(tmp_path, quick()) as (desk, sandbox):
        strangers = Sandbox(SandboxConfig(seed=4711)).add_sessions(1)
        desk.write_ids([*strangers, *sandbox.add_sessions(30)])
        first = desk.run("close", "sessions.csv", *JSON, "--canary", "10")
        sent = sum(sandbox.counts.requests.values())
        second = desk.run("resume", "last", *JSON)
        assert sum(sandbox.counts.requests.values()) == sent
        assert sandbox.counts.requests["close"] == 10
        third = desk.run("resume", "last", *JSON, "--canary", "0")
    assert (first.code, second.code, third.code) == (3, 3, 1)
    assert "1 of the canary's 10 sessions failed" in second.summary["why"]
    assert "mend the cause" in second.summary["why"]
    assert "--canary" not in second.summary["why"]
    assert third.summary["outcomes"]["closed"] == 30


@pytest.mark.parametrize("canary", ["5", "10", "20"])
def test_a_canary_that_was_refused_is_asked_for_again(tmp_path: Path, canary: str) -> None:
    """However many it is to be now: that more than those were closed does not mean that somebody agreed."""
    with desk_of(tmp_path, quick()) as (desk, sandbox):
        desk.write_ids(sandbox.add_sessions(40))
        with at_a_terminal(desk, "close", "sessions.csv", *WORDS, "--canary", "10") as terminal:
            terminal.wait_for_question("Close them? [y/N]:")
            terminal.type("y\n")
            terminal.wait_for_question(f"{QUESTION} [y/N]:")
            terminal.type("n\n")
            assert terminal.ended() == 3
        with at_a_terminal(desk, "resume", "last", *WORDS, "--canary", canary) as terminal:
            terminal.wait_for_question(f"{QUESTION} [y/N]:")
            assert sandbox.counts.requests["close"] == max(10, int(canary))
            terminal.type("n\n")
            assert terminal.ended() == 3
    assert sandbox.counts.closes_effective == max(10, int(canary))


def test_a_canary_in_a_run_that_began_without_one_is_judged_by_what_was_closed(tmp_path: Path) -> None:
    """It was closed without anybody's word, so the rest waits for one."""
    with desk_of(tmp_path, quick()) as (desk, sandbox):
        desk.write_ids(sandbox.add_sessions(80))
        begun = Witness(sandbox).event_at(20, "close")
        with desk.started("close", "sessions.csv", *JSON, "--rate", "40/s") as child:
            waited(begun)
            child.interrupt()
            child.ended()
        before = sandbox.counts.requests["close"]
        with at_a_terminal(desk, "resume", "last", *WORDS, "--canary", "5") as terminal:
            terminal.wait_for_question(f"{QUESTION} [y/N]:")
            assert sandbox.counts.requests["close"] == before
            terminal.type("y\n")
            assert terminal.ended() == 0
    assert outcomes(desk) == {"closed": 80}
