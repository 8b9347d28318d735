"""``closeout sweep``: sessions found by a rule are closed, and no other, seen through real processes."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from closeout.worker.sandbox import Sandbox
from closeout.worker.sandbox.sessions import TERMINAL
from closeout.worker.sandbox.times import iso, to_micros
from tests.front_door.support import FAST, KEY, LONGEST, Desk, Witness, desk_of, quick, waited

WORDS = (*FAST, "--json")
IDLE = '[jobs.night]\nselect = {idle_for = "24h"}\nreason = "abandoned"\n'
MIX = {"active": 5.0, "paused": 2.0, "waiting_for_human": 1.0, "awaiting_approval": 1.0, "ringing": 1.0, "closed": 3.0}


def ago(**age: float) -> str:
    """An instant so long ago, as the API writes it."""
    return iso(to_micros(datetime.now(UTC) - timedelta(**age)))


def add(sandbox: Sandbox, count: int, spoke: str | None, **values: Any) -> list[str]:
    """Sessions that were heard from last at that time, started a week ago unless told otherwise."""
    now = datetime.now(UTC)
    values.setdefault("started", (now - timedelta(days=7), now - timedelta(days=6)))
    fields = {"last_message_at": spoke} | {name: values.pop(name) for name in ("priority",) if name in values}
    return sandbox.add_sessions(count, fields=fields, **values)


@contextmanager
def night(tmp_path: Path, jobs: str = IDLE, **config: Any) -> Iterator[tuple[Desk, Sandbox]]:
    """A folder with these jobs and a sandbox."""
    with desk_of(tmp_path, quick(**config)) as (desk, sandbox):
        (desk.home / "closeout.toml").write_text(jobs, encoding="utf-8")
        yield desk, sandbox


def test_what_the_rule_chooses_is_closed_and_nothing_else(tmp_path: Path) -> None:
    """Of 3,000 sessions of all kinds: every idle active or paused one, for hardly more than a request each."""
    with night(tmp_path) as (desk, sandbox):
        idle = add(sandbox, 1_200, ago(hours=30), status=MIX)
        busy = add(sandbox, 1_200, ago(hours=20), status=MIX) + add(sandbox, 600, None, status=MIX)
        before = {one: sandbox.truth(one).status for one in idle + busy}
        done = desk.run("sweep", "night", *WORDS)
    wanted = {one for one in idle if before[one] in ("active", "paused")}
    closed = {one for one in idle + busy if sandbox.truth(one).closes_effective}
    assert closed == wanted
    assert done.code == 0
    assert (done.summary["job"], done.summary["outcomes"]["closed"]) == ("night", len(wanted))
    assert {sandbox.truth(one).reason for one in wanted} == {"abandoned"}
    assert done.summary["requests"]["close"] == len(wanted)
    assert done.summary["requests"]["total"] <= 1.12 * len(wanted)
    assert {row["line"] for row in desk.rows()} == {None}
    assert {row["job"] for row in desk.rows()} == {"night"}


def test_a_session_that_a_person_comes_to_meanwhile_is_left_alone(tmp_path: Path) -> None:
    """Between the listing and the close: what is listed as protected by then is skipped, and one closed is told."""
    with night(tmp_path) as (desk, sandbox):
        ids = add(sandbox, 60, ago(days=2))
        witness = Witness(sandbox)
        changed = witness.event_at(2, "list")

        def human() -> None:
            sandbox.set_status(ids[0], "waiting_for_human")
            sandbox.close_elsewhere(ids[1])
            changed.set()

        witness.at(3, human, "list")  # two statuses are counted; then they are listed to be closed
        done = desk.run("sweep", "night", *WORDS)
        assert sandbox.truth(ids[0]).closes_received == 0
    assert changed.is_set()
    assert sandbox.truth(ids[1]).closes_effective == 0
    assert done.summary["outcomes"]["closed"] == 58


@pytest.mark.parametrize("yes", [False, True])
def test_more_than_may_be_closed_closes_nothing(tmp_path: Path, *, yes: bool) -> None:
    """It halts and says how to look, not how to do without; ``--yes`` is an answer given before."""
    with night(tmp_path, IDLE + "max_close = 20\n") as (desk, sandbox):
        add(sandbox, 50, ago(days=2))
        done = desk.run("sweep", "night", *WORDS, *(["--yes"] if yes else []))
        assert sandbox.counts.requests["close"] == (50 if yes else 0)
        again = desk.run("resume", "last", *WORDS, "--yes")
    assert "more sessions match than max_close = 20 allows" in done.err
    assert done.code == (0 if yes else 3)
    if not yes:
        assert "closeout plan --job night" in done.summary["why"]
        assert "--yes" not in done.summary["why"]
    assert again.code == 0
    assert again.summary["outcomes"]["closed"] == sandbox.counts.closes_effective == 50


def test_no_more_than_max_close_are_closed_though_more_come_to_match(tmp_path: Path) -> None:
    """Between the count and the listing, and over all processes of the run."""
    with night(tmp_path, IDLE + "max_close = 20\n") as (desk, sandbox):
        add(sandbox, 15, ago(days=2))

        def more() -> None:
            add(sandbox, 15, ago(days=2))

        Witness(sandbox).at(3, more, "list")
        done = desk.run("sweep", "night", *WORDS)
        assert sandbox.counts.closes_effective <= 20
        again = desk.run("resume", "last", *WORDS)
        assert sandbox.counts.closes_effective <= 20
        last = desk.run("resume", "last", *WORDS, "--yes")
    assert (done.code, again.code, last.code) == (3, 3, 0)
    assert "max_close = 20" in done.summary["why"]
    assert sandbox.counts.closes_effective == 30


def test_a_night_that_is_not_as_usual_is_asked_about(tmp_path: Path) -> None:
    """After three nights: none at all, or over ten times as many. And ``runs --job`` tells night by night."""
    with night(tmp_path) as (desk, sandbox):
        for _ in range(3):
            add(sandbox, 4, ago(days=2))
            assert desk.run("sweep", "night", *WORDS).code == 0
        none = desk.run("sweep", "night", *WORDS)
        add(sandbox, 41, ago(days=2))
        many = desk.run("sweep", "night", *WORDS)
        add(sandbox, 7, ago(hours=3))
        last = desk.run("sweep", "night", *WORDS, "--yes")
        listed = desk.run("runs", "--job", "night")
        shown, told = desk.run("show", "last"), desk.run("show", "last", "--json").summary
    assert (none.code, many.code) == (3, 3)
    assert "no session matches" in none.err
    assert "41 sessions match, over 10 times the median" in many.err
    assert sandbox.counts.closes_effective == 12 + 41
    counted = {"listed": 48, "chosen": 41, "not_chosen": {"not idle for so long": 7}, "whole": True}
    assert told["tally"] == counted
    assert "tally" not in last.summary
    for text in (shown.out, listed.out):
        assert "48 listed, 41 chosen; not chosen: 7 not idle for so long" in text
    nights = listed.out.splitlines()
    assert nights[0].split()[3:8] == ["found", "closed", "skipped", "wrong", "duration"]
    assert [line.split()[3:5] for line in nights if " finished " in line] == [["41", "41"]] + [["4", "4"]] * 3
    assert [line.split()[3:5] for line in nights if " halted " in line] == [["41", "0"], ["0", "0"]]
    assert nights[0].split()[0] == "run"
    assert "over 10 times the median" in listed.out


def test_a_cap_ends_a_sweep_and_no_flag_lifts_what_its_job_protects(tmp_path: Path) -> None:
    """What the cap leaves out is skipped; going on without it, the job's protection holds whatever the flags say."""
    with night(tmp_path) as (desk, sandbox):
        add(sandbox, 50, ago(days=2))
        paused = add(sandbox, 20, ago(days=2), status="paused")
        first = desk.run("sweep", "night", *WORDS, "--limit", "20", "--protect", "paused")
        assert not any(sandbox.truth(one).closes_received for one in paused)
        again = desk.run("resume", "last", *WORDS, "--limit", "none", "--protect", "none")
        assert not any(sandbox.truth(one).closes_received for one in paused)
        shown = desk.run("show", "last", "--json").summary
    assert (first.summary["outcomes"]["closed"], first.summary["outcomes"]["skipped"]) == (20, 30)
    assert (again.code, again.summary["outcomes"]["closed"]) == (0, 50)
    assert {"waiting_for_human", "awaiting_approval"} <= set(shown["settings"]["protect"])


def test_a_session_that_stays_in_doubt_does_not_hold_up_the_sweep(tmp_path: Path) -> None:
    """Its answer is lost, and it cannot be read: the run ends, and says so."""
    with night(tmp_path, read_faults={"500": 1.0}, max_faults_per_session=None) as (desk, sandbox):
        ids = add(sandbox, 20, ago(days=2))
        sandbox.script(ids[3], ["reset_before"])
        done = desk.run("sweep", "night", *WORDS, "--no-settle", "--max-attempts", "1", "--max-failures", "100%")
    assert done.code == 3
    assert (done.summary["outcomes"]["closed"], done.summary["outcomes"]["in_doubt"]) == (19, 1)


def test_two_of_the_same_job_do_not_run_at_once(tmp_path: Path) -> None:
    """The second one ends with exit code 5 and sends nothing."""
    with night(tmp_path) as (desk, sandbox):
        add(sandbox, 100, ago(days=2))
        begun = Witness(sandbox).event_at(10, "close")
        with desk.started("sweep", "night", *WORDS, "--rate", "40/s") as child:
            waited(begun)
            second = desk.run("sweep", "night", *WORDS)
            done = child.ended()
    assert (second.code, done.code) == (5, 0)
    assert "is already running" in second.err
    assert done.summary["requests"]["close"] == 100


def test_two_begun_in_the_same_instant_exclude_each_other(tmp_path: Path) -> None:
    """One works, the other ends with exit code 5 and makes no run; nor may an older run of the job be gone on with."""
    with night(tmp_path, IDLE + "max_close = 20\n") as (desk, sandbox):
        add(sandbox, 50, ago(days=2))
        assert desk.run("sweep", "night", *WORDS).code == 3
        (halted,) = (name for (name,) in desk.query("SELECT name FROM runs"))
        words = (*WORDS, "--yes", "--rate", "30/s", "--no-settle")
        both = desk.run_all(("sweep", "night", *words), ("sweep", "night", *words), ("resume", halted, *words))
    assert sorted(done.code for done in both)[-2:] == [5, 5]
    assert sum(done.code in (0, 4) for done in both) == 1
    assert all("is already running" in done.err for done in both if done.code == 5)
    assert sandbox.counts.closes_effective == sandbox.counts.requests["close"] == 50


def test_a_listing_in_trouble_closes_nothing_by_guess(tmp_path: Path) -> None:
    """A key that may not list: one line, nothing closed. Faults on the way are borne, and all is found."""
    with night(tmp_path, list_faults={"503": 0.2, "truncated": 0.1}, max_faults_per_session=None) as (desk, sandbox):
        ids = add(sandbox, 500, ago(days=2))
        sandbox.add_key("another", scopes=["conversations:write"])
        desk.env["CLOSEOUT_API_KEY"] = "another"
        refused = desk.run("sweep", "night", *WORDS)
        assert sandbox.counts.requests["close"] == 0
        del desk.env["CLOSEOUT_API_KEY"]
        done = desk.run("sweep", "night", *WORDS)
    assert refused.code == 3
    assert "the key may not list sessions" in refused.summary["why"]
    assert sandbox.counts.faults
    assert done.summary["outcomes"]["closed"] == len(ids)


def test_a_job_that_is_not_there_is_named(tmp_path: Path) -> None:
    """With the one that was meant; and a mistake in it with file, line and key."""
    with night(tmp_path, IDLE + "[jobs.other]\nselect = {idle = 3}\n") as (desk, sandbox):
        missing, wrong = desk.run("sweep", "nigth"), desk.run("sweep", "other")
        assert not sandbox.counts.requests
    assert (missing.code, wrong.code) == (2, 2)
    assert "did you mean night?" in missing.err
    assert "closeout.toml, line 5" in wrong.err


def test_a_sweep_that_is_killed_twice_is_gone_on_with(tmp_path: Path) -> None:
    """SIGKILL in the middle of closing, of the sweep and of its resume: then nothing protected is closed, nothing left.

    It lists anew by the rule it was begun with. What the ledger knew as closed at a kill is never sent again; what was
    in flight is looked at first.
    """
    with night(tmp_path, second_close="409", latency=0.02) as (desk, sandbox):
        ids = add(sandbox, 360, ago(days=2), status=MIX)
        wanted = {one for one in ids if sandbox.truth(one).status in ("active", "paused")}
        witness, known = Witness(sandbox), dict[str, int]()
        for words in (("sweep", "night"), ("resume", "last")):
            with desk.started(*words, *WORDS) as child:
                witness.at(60, child.process.kill, "close")
                child.process.wait(LONGEST)
            known |= {row["session_id"]: 1 for row in desk.rows() if row["outcome"] == "closed"}
        state = desk.query("SELECT state, source_done FROM runs")
        config = desk.home / "closeout.toml"
        config.write_text("[jobs.night]\nselect = {expired = true}\n", encoding="utf-8")
        ids += (more := add(sandbox, 30, ago(days=2)))
        finished = desk.run("resume", "last", *WORDS)
        config.write_text(IDLE, encoding="utf-8")
        again = desk.run("sweep", "night", *WORDS)
        truth = {one: sandbox.truth(one) for one in ids}
    assert state == [("running", 0)]
    assert 20 < len(known) < 120 < len(wanted)
    assert (finished.code, finished.summary["state"]) == (0, "finished")
    assert {one for one in ids if truth[one].closes_effective == 1} == wanted | set(more)
    assert {one for one in ids if truth[one].status not in TERMINAL} == {
        one for one in ids if truth[one].status in ("waiting_for_human", "awaiting_approval", "ringing")
    }
    assert sandbox.counts.closes_repeated == 0
    assert {one: witness.posts()[one] for one in known} == known
    assert witness.unverified_repeats() == []
    assert (again.code, again.summary["rows_read"]) == (0, 0)


def test_who_goes_on_with_a_sweep_need_not_name_the_profile_of_its_job(tmp_path: Path) -> None:
    """What a halted one says is enough, though its key is in the profile; another organisation's would be of no use."""
    profile = '[profiles.north]\napi_key_file = "north.key"\n' + IDLE + 'profile = "north"\nmax_close = 5\n'
    with night(tmp_path, profile) as (desk, sandbox):
        (desk.home / "north.key").write_text(KEY, encoding="utf-8")
        (desk.home / "north.key").chmod(0o600)
        desk.key = None
        add(sandbox, 10, ago(days=2))
        halted = desk.run("sweep", "night", *WORDS)
        desk.key = "the-key-of-another-organisation"
        done = [desk.run(*words) for words in (("resume", "last", *WORDS, "--yes"), ("verify", "last"))]
        assert sandbox.counts.bad_keys == 0
    assert (halted.code, *(each.code for each in done)) == (3, 0, 0)
