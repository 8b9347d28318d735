"""``plan`` and ``apply``: what would be closed is told and nothing is, and then exactly that is closed."""

from collections import Counter
from pathlib import Path

import pytest

from closeout.worker.sandbox import Sandbox, SandboxConfig
from tests.front_door.support import FAST, Desk, Witness, assert_all_counted, desk_of, quick, waited
from tests.front_door.terminal import at_a_terminal


def ends(desk: Desk) -> dict[tuple[str, str | None], int]:
    """How the sessions of the only run ended."""
    return Counter((row["outcome"], row["detail"]) for row in desk.rows())


def test_a_plan_tells_what_would_be_closed_and_closes_nothing(tmp_path: Path) -> None:
    """Also what would be skipped and why, what it takes, and what it sets off."""
    with desk_of(tmp_path, quick()) as (desk, sandbox):
        ids = sandbox.add_sessions(300) + sandbox.add_sessions(40, status="paused")
        ids += sandbox.add_sessions(5, status="waiting_for_human") + sandbox.add_sessions(6, already_closed=True)
        missing = Sandbox(SandboxConfig(seed=5)).add_sessions(2)
        done = desk.run("plan", desk.write_ids(ids + missing), *FAST)
        again = desk.run("show", "last")
        assert "close" not in sandbox.counts.requests
        assert sandbox.counts.requests["read"] <= 20
    assert done.code == 1
    for told in (done.out, again.out):
        flat = " ".join(told.split())
        assert "would close 340" in flat
        assert "by status 300 active, 40 paused" in flat
        assert "would skip 5 protected: waiting_for_human" in flat
        assert "estimate 340 sessions: some 344 requests at 600/s" in flat
        assert "it cannot be undone" in flat
    assert "closeout apply" in done.out
    assert ends(desk) == {
        ("pending", None): 340, ("skipped", "protected: waiting_for_human"): 5, ("already_closed", None): 6,
        ("not_found", "not found when it was looked up before its close"): 2,
    }  # fmt: skip


def test_apply_closes_exactly_what_the_plan_holds(tmp_path: Path) -> None:
    """What has changed since is skipped, what was closed meanwhile is told apart, and nothing else is touched."""
    with desk_of(tmp_path, quick()) as (desk, sandbox):
        ids = sandbox.add_sessions(20)
        planned = desk.run("plan", desk.write_ids(ids), *FAST, "--json")
        sandbox.hear_from(ids[0])
        sandbox.set_status(ids[1], "paused")
        sandbox.set_status(ids[2], "waiting_for_human")
        sandbox.set_status(ids[3], "closed")
        others = sandbox.add_sessions(5)
        desk.write_ids(ids + others)  # the source is not read again
        applied = desk.run("apply", "last", *FAST, "--yes", "--json")
        twice = desk.run("apply", "last", *FAST, "--yes")
        assert [sandbox.truth(one).closes_received for one in ids] == [0] * 4 + [1] * 16
        assert not any(sandbox.truth(one).closes_received for one in others)
    assert (planned.code, planned.summary["state"], planned.summary["outcomes"]["pending"]) == (0, "planned", 20)
    assert (applied.code, applied.summary["state"]) == (0, "finished")
    assert ends(desk) == {
        ("closed", None): 16, ("already_closed", None): 1,
        ("skipped", "changed since the plan: updated_at is another"): 1,
        ("skipped", "changed since the plan: it was active, and is paused"): 1,
        ("skipped", "changed since the plan: it was active, and is waiting_for_human"): 1,
    }  # fmt: skip
    assert_all_counted(desk)
    assert twice.code == 2
    assert "was applied already" in twice.err


def test_a_plan_is_not_applied_without_consent_nor_when_it_is_old(tmp_path: Path) -> None:
    """Nobody at a terminal and no --yes; a day and an hour later."""
    with desk_of(tmp_path, quick()) as (desk, sandbox):
        desk.run("plan", desk.write_ids(sandbox.add_sessions(3)), *FAST)
        unasked = desk.run("apply", "last", *FAST)
        resumed = desk.run("resume", "last", *FAST)
        desk.change("UPDATE runs SET created_at = created_at - 90000000")
        old = desk.run("apply", "last", *FAST, "--yes")
        older = desk.run("apply", "last", *FAST, "--yes", "--max-age", "26h")
        assert sandbox.counts.requests["close"] == 3
    assert [done.code for done in (unasked, resumed, old, older)] == [2, 2, 2, 0]
    assert "--yes" in unasked.err
    assert "closeout apply" in resumed.err
    assert "is 25 h 0 min old" in old.err


@pytest.mark.parametrize(
    ("count", "answer", "closed"), [(3, "n", 0), (3, "y", 3), (1_000, "y", 0), (1_000, "1,000", 1_000)]
)
def test_a_person_is_asked_by_the_number_where_there_are_many(
    tmp_path: Path, count: int, answer: str, closed: int
) -> None:
    """From a thousand on it is typed back."""
    with desk_of(tmp_path, quick()) as (desk, sandbox):
        desk.run("plan", desk.write_ids(sandbox.add_sessions(count)), *FAST)
        with at_a_terminal(desk, "apply", "last", *FAST, "--no-settle") as terminal:
            terminal.wait_for("number to close them" if count >= 1_000 else "Close them?")
            terminal.type(f"{answer}\n")
            code = terminal.ended()
        assert sandbox.counts.requests["close"] == closed
    assert code == (0 if closed else 2)


def test_a_plan_that_was_broken_off_is_gone_on_with_as_a_plan(tmp_path: Path) -> None:
    """Neither ``resume`` nor ``close`` of the same source closes in its name."""
    config = quick(read_faults={"403": 1.0}, list_faults={"403": 1.0}, max_faults_per_session=None)
    with desk_of(tmp_path, config) as (desk, sandbox):
        source = desk.write_ids(sandbox.add_sessions(5))
        broken = desk.run("plan", source, *FAST)
        applied = desk.run("apply", "last", "--yes")
        retried = desk.run("retry", "last", *FAST)
        resumed = desk.run("resume", "last", *FAST)
        assert "close" not in sandbox.counts.requests
        closed = desk.run("close", source, *FAST, "--protect", "none", "--no-settle", "--json")
    assert (broken.code, retried.code, resumed.code) == (3, 2, 3)
    assert applied.code == 2
    assert "was not made to its end: `closeout resume" in applied.err
    assert closed.summary["outcomes"]["closed"] == 5
    assert desk.query("SELECT count(*) FROM runs") == [(2,)]


def test_an_application_that_was_broken_off_is_resumed(tmp_path: Path) -> None:
    """What has changed since the plan is still skipped, and the cap of the plan holds."""
    with desk_of(tmp_path, quick()) as (desk, sandbox):
        ids = sandbox.add_sessions(30)
        desk.run("plan", desk.write_ids(ids), *FAST, "--limit", "20")
        begun = Witness(sandbox).event_at(3, "close")
        with desk.started("apply", "last", *FAST, "--yes", "--rate", "20/s", "--no-settle") as child:
            waited(begun)
            child.interrupt()
            assert child.ended().code == 130
        before = sandbox.counts.requests["close"]
        heard = next(one for one in ids if not sandbox.truth(one).closes_received)  # the next in turn
        sandbox.hear_from(heard)
        done = desk.run("resume", "last", *FAST, "--no-settle", "--json")
        assert 3 <= before < 20
        assert sandbox.truth(heard).closes_received == 0
    assert done.summary["outcomes"]["closed"] == 20


def test_a_dry_run_is_a_plan(tmp_path: Path) -> None:
    """Of a source and of a job; a job's plan closes by its rule, too."""
    with desk_of(tmp_path, quick()) as (desk, sandbox):
        ids = sandbox.add_sessions(250) + sandbox.add_sessions(10, status="paused")
        (desk.home / "closeout.toml").write_text(
            '[jobs.tests]\nselect = {status = ["active"], started_before = "1m"}\nmax_close = 9000\n'
        )
        of_source = desk.run("close", desk.write_ids(ids), *FAST, "--dry-run", "--json")
        of_job = desk.run("sweep", "tests", *FAST, "--dry-run", "--json")
        named = desk.run("plan", "--job", "tests", *FAST, "--json")
        assert "close" not in sandbox.counts.requests
        sandbox.hear_from(ids[0])
        applied = desk.run("apply", "last", *FAST, "--yes", "--json")
    assert [done.summary["state"] for done in (of_source, of_job, named)] == ["planned"] * 3
    assert [done.summary["outcomes"]["pending"] for done in (of_source, of_job, named)] == [260, 250, 250]
    assert applied.summary["job"] == "tests"
    assert (applied.summary["outcomes"]["closed"], applied.summary["outcomes"]["skipped"]) == (249, 1)


def test_plan_wants_either_a_source_or_a_job(tmp_path: Path) -> None:
    """One line."""
    with desk_of(tmp_path, quick()) as (desk, _):
        neither = desk.run("plan")
    assert neither.code == 2
    assert "--job" in neither.err
