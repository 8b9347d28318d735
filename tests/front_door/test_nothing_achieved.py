"""A command of which nothing comes changes nothing: neither how a run ended nor a row of it."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from closeout.worker.sandbox import Sandbox
from tests.front_door.support import FAST, LONGEST, Desk, Witness, desk_of, quick

GIVES_UP = (*FAST, "--give-up-after", "1s", "--timeout", "1s")
GUARDED = ("--only-status", "active")
Place = tuple[Desk, Sandbox]


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A finished run of which some were not found, some rejected, some left out by a cap and some skipped."""
    with desk_of(tmp_path_factory.mktemp("ended"), quick(latency=0.005)) as (desk, sandbox):
        ids = sandbox.add_sessions(12)
        missing = Sandbox(replace(quick(), seed=99)).add_sessions(30)
        for one in ids[:3]:
            sandbox.script(one, ["422"])
        desk.write_ids([*ids[:6], *missing, *ids[6:]])
        done = desk.run("close", "sessions.csv", *FAST, "--limit", "40", "--max-failures", "100%")
        assert done.code == 1, done.err
        yield desk, sandbox


@pytest.fixture
def place(ended: Place, tmp_path: Path) -> Place:
    """The same, for one test to work on."""
    desk, sandbox = ended
    shutil.copytree(desk.home, tmp_path, dirs_exist_ok=True)
    sandbox.on_request = None
    return Desk(tmp_path, desk.url), sandbox


def gone(desk: Desk) -> Desk:
    """The same folder, with nobody where the host was."""
    with desk_of(desk.home, quick()) as (other, _):
        url = other.url
    desk.change(f"UPDATE runs SET options = replace(options, '{desk.url}', '{url}')")  # noqa: S608  # our own addresses
    return replace(desk, url=url)


def stored(desk: Desk) -> dict[str, list[tuple[Any, ...]]]:
    """All that the ledger holds of runs and of their rows."""
    return {each: desk.query(f"SELECT * FROM {each}") for each in ("runs", "items", "results")}  # noqa: S608  # constants


def shown(desk: Desk) -> tuple[str, str]:
    """How a person and a script see the run."""
    return desk.run("show", "last").out, desk.run("runs", "--json").out


COMMANDS = [
    ("retry", "last", *GIVES_UP),
    ("retry", "last", *GIVES_UP, *GUARDED),
    ("retry", "last", *GIVES_UP, "--no-settle"),
    ("resume", "last", *GIVES_UP, "--limit", "42"),
    ("resume", "last", *GIVES_UP, "--limit", "none"),
]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_host_that_is_gone_changes_nothing(place: Place, command: tuple[str, ...]) -> None:
    """The command says why it has failed, with its exit code; the ledger is as it was, to the last column."""
    desk = gone(place[0])
    before = stored(desk)
    done = desk.run(*command, "--json")
    assert (done.code, done.summary["state"]) == (3, "halted"), done.err
    assert "stays finished, as it was before" not in done.out
    assert stored(desk) == before


def test_a_person_is_told_that_nothing_came_of_it(place: Place) -> None:
    """In one line, and what to type next is that of the run as it is."""
    desk = gone(place[0])
    done = desk.run("retry", "last", *GIVES_UP)
    assert done.code == 3
    assert "nothing has come of it: run" in done.err.splitlines()[-1]
    assert "closeout retry" in done.out
    assert "closeout resume" not in done.out


IDLE = [("resume", "last"), ("settle", "last"), ("settle",), ("verify", "last"), ("rate", "last", "5/s"),
        ("pause", "last"), ("go", "last"), ("apply", "last", "--yes"), ("show", "last"), ("export", "last"),
        ("report", "last"), ("runs",), ("fleet",)]  # fmt: skip


@pytest.mark.parametrize("command", IDLE, ids=" ".join)
def test_a_command_with_nothing_to_do_changes_nothing(place: Place, command: tuple[str, ...]) -> None:
    """Of a finished run, whatever it answers."""
    desk, _ = place
    before = stored(desk)
    desk.run(*command)
    assert stored(desk) == before


def test_a_retry_with_nothing_to_attempt_sends_nothing(tmp_path: Path) -> None:
    """The summary and the exit code are those of the run."""
    with desk_of(tmp_path, quick()) as (desk, sandbox):
        first = desk.run("close", desk.write_ids(sandbox.add_sessions(5)), *FAST, "--json")
        before, sent = stored(desk), len(sandbox.counts.arrivals)
        for command in ("retry", "resume", "settle"):
            again = desk.run(command, "last", "--json")
            assert (again.code, again.summary) == (0, first.summary), again.err
        assert (stored(desk), len(sandbox.counts.arrivals)) == (before, sent)


@pytest.mark.parametrize("command", [("retry", "last"), ("resume", "last", "--limit", "none")], ids=" ".join)
def test_ctrl_c_before_the_first_answer_changes_nothing(place: Place, command: tuple[str, ...]) -> None:
    """Nothing was found out; the exit code tells that it was interrupted."""
    desk = gone(place[0])
    before = stored(desk)
    with desk.started(*command, *FAST) as child:
        child.wait_for_line("closing on")
        child.interrupt()
        done = child.ended()
    assert done.code == 130, done.err
    assert stored(desk) == before


def test_sigkill_before_anything_was_claimed_changes_nothing(place: Place) -> None:
    """Whoever looks at the run afterwards sees how it had ended; and the next command gives it back in the ledger."""
    desk = gone(place[0])
    before, seen = stored(desk), shown(desk)
    with desk.started("retry", "last", *FAST) as child:
        child.wait_for_line("to attempt again")
        child.process.kill()
        child.process.wait()
    assert shown(desk) == seen
    assert stored(desk)["results"] == before["results"]
    assert desk.run("retry", "last", *GIVES_UP).code == 3
    assert stored(desk) == before


def test_sigkill_while_something_was_claimed_leaves_that_in_doubt(place: Place) -> None:
    """It may have been sent, so the run is not finished any more; all the rest is as it was."""
    desk, sandbox = place
    before = desk.by_id()
    with desk.started("retry", "last", *FAST) as child:
        Witness(sandbox).at(1, child.process.kill, "close")
        child.process.wait(LONGEST)
    after = desk.by_id()
    doubts = {one for one, row in after.items() if row["outcome"] == "in_doubt"}
    assert {one: row for one, row in after.items() if one not in doubts} == {
        one: row for one, row in before.items() if one not in doubts
    }
    state = json.loads(desk.run("show", "last", "--json").out)["state"]
    assert doubts
    assert state == "interrupted"


def test_a_key_that_is_revoked_changes_nothing(place: Place) -> None:
    """It is an answer, and says nothing of any session."""
    desk, _ = place
    before = stored(desk)
    done = replace(desk, key="another").run("retry", "last", *FAST, "--json")
    assert (done.code, done.summary["state"]) == (3, "halted"), done.err
    assert stored(desk) == before


def test_a_retry_that_achieves_something_updates_the_run(place: Place) -> None:
    """As ever: its rows, its end, its seconds."""
    desk, _ = place
    (before,) = stored(desk)["runs"]
    done = desk.run("retry", "last", *FAST, "--max-failures", "100%", "--json")
    assert (done.code, done.summary["outcomes"]["rejected"], done.summary["outcomes"]["not_found"]) == (1, 0, 30)
    (after,) = stored(desk)["runs"]
    assert before != after
    assert done.summary["state"] == "finished"


def test_a_plan_whose_host_is_gone_is_still_a_plan(tmp_path: Path) -> None:
    """It can be applied once the host is there again, and only once."""
    with desk_of(tmp_path, quick()) as (desk, sandbox):
        assert desk.run("plan", desk.write_ids(sandbox.add_sessions(5)), *FAST).code == 0
        before = stored(desk)
        sandbox.outage = "reset"
        refused = desk.run("apply", "last", "--yes", *GIVES_UP)
        assert refused.code == 3, refused.err
        assert stored(desk)["runs"] == before["runs"]
        sandbox.outage = None
        assert desk.run("apply", "last", "--yes", *FAST).code == 0
        applied = stored(desk)
        assert desk.run("apply", "last", "--yes", *FAST).code == 2
        assert stored(desk) == applied


def test_settling_with_a_host_that_is_gone_changes_no_end(tmp_path: Path) -> None:
    """What is not settled stays so, and the run ends when it ended."""
    with desk_of(tmp_path, quick()) as (desk, sandbox):
        desk.run("close", desk.write_ids(sandbox.add_sessions(5)), *FAST, "--no-settle")
        before = stored(desk)
        sandbox.outage = "reset"
        for command in (("settle",), ("settle", "last"), ("resume", "last", "--settle")):
            assert desk.run(*command, *GIVES_UP).code == 3
            after = stored(desk)
            assert (after["runs"], after["results"]) == (before["runs"], before["results"])
