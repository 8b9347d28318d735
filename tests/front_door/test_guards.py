"""``--only-status``, ``--idle-for``, ``--expired``: what a guard says no to is left alone."""

import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

from closeout.worker.sandbox import Sandbox, SandboxConfig
from tests.front_door.support import FAST, Desk, Witness, assert_all_counted, desk_of, quick, wait_until, waited

HOUR = timedelta(hours=1)


def ago(hours: float) -> str:
    """An instant so long ago, as the API writes it."""
    return (datetime.now(UTC) - hours * HOUR).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def spoken(sandbox: Sandbox, hours: float, count: int = 5, **values: object) -> list[str]:
    """Sessions whose last message is so old."""
    started = (datetime.now(UTC) - 90 * HOUR, datetime.now(UTC) - 80 * HOUR)
    return sandbox.add_sessions(count, started=started, fields={"last_message_at": ago(hours)}, **values)  # type: ignore[arg-type]


def ends(desk: Desk, ids: list[str]) -> Counter[tuple[str, str | None]]:
    """How these sessions ended."""
    rows = desk.by_id()
    return Counter((rows[one]["outcome"], rows[one]["detail"]) for one in ids)


def test_only_idle_sessions_are_closed(tmp_path: Path) -> None:
    """What spoke an hour ago is left alone; what was closed before is told apart, and what does not exist, too."""
    with desk_of(tmp_path, quick()) as (desk, sandbox):
        idle, busy = spoken(sandbox, 30), spoken(sandbox, 1)
        done_before, missing = (
            sandbox.add_sessions(3, already_closed=True),
            Sandbox(SandboxConfig(seed=5)).add_sessions(2),
        )
        source = desk.write_ids(idle + busy + done_before + missing)
        done = desk.run("close", source, *FAST, "--idle-for", "24h", "--max-failures", "100%", "--json")
        assert not any(sandbox.truth(one).closes_received for one in busy + done_before)
        assert all(sandbox.truth(one).closes_effective == 1 for one in idle)
    assert done.code == 1
    assert ends(desk, idle) == {("closed", None): 5}
    assert ends(desk, busy) == {("skipped", "guard: not idle for so long"): 5}
    assert ends(desk, done_before) == {("already_closed", None): 3}
    assert ends(desk, missing) == {("not_found", "not found when it was looked up before its close"): 2}
    assert {desk.by_id()[one]["attempts"] for one in busy + done_before + missing} == {0}
    assert_all_counted(desk)


def test_only_some_statuses_are_closed(tmp_path: Path) -> None:
    """A protected one is protected all the same, and the guards may be taken back later."""
    with desk_of(tmp_path, quick()) as (desk, sandbox):
        ids = {status: sandbox.add_sessions(3, status=status) for status in ("active", "paused", "waiting_for_human")}
        source = desk.write_ids([one for some in ids.values() for one in some])
        words = ("close", source, *FAST, "--only-status", "active,waiting_for_human")
        assert desk.run(*words).code == 0
        told = {status: ends(desk, some) for status, some in ids.items()}
    assert told == {
        "active": {("closed", None): 3},
        "paused": {("skipped", "guard: another status: paused"): 3},
        "waiting_for_human": {("skipped", "protected: waiting_for_human"): 3},
    }


def test_only_expired_sessions_are_closed(tmp_path: Path) -> None:
    """By the server's clock, which is two hours ahead here; what tells no end of its time is left alone."""
    with desk_of(tmp_path, quick(clock_offset=7_200.0)) as (desk, sandbox):
        over, not_over, untold = (
            sandbox.add_sessions(2, fields={"ttl_expires_at": at}) for at in (ago(-1), ago(-3), None)
        )
        assert desk.run("close", desk.write_ids(over + not_over + untold), *FAST, "--expired").code == 0
    assert ends(desk, over) == {("closed", None): 2}
    assert ends(desk, not_over) == {("skipped", "guard: not expired"): 2}
    assert ends(desk, untold) == {("skipped", "guard: ttl_expires_at is not told"): 2}


def test_sessions_that_lie_together_are_looked_up_together(tmp_path: Path) -> None:
    """A thousand recent ones: pages tell of them, and a look-up costs next to nothing."""
    with desk_of(tmp_path, quick()) as (desk, sandbox):
        source = desk.write_ids(sandbox.add_sessions(1_000))
        done = desk.run("close", source, *FAST, "--only-status", "active", "--no-settle", "--json")
        reads = sandbox.counts.requests["read"]
    assert done.summary["outcomes"]["closed"] == 1_000
    assert reads == 0
    assert done.summary["requests"]["list"] < 20


def test_what_was_seen_too_long_ago_is_looked_up_again(tmp_path: Path) -> None:
    """None of them is closed on a state older than a second, and all are closed once."""
    with desk_of(tmp_path, quick()) as (desk, sandbox):
        source = desk.write_ids(spoken(sandbox, 30, 30))
        done = desk.run(
            "close", source, *FAST[2:], "--rate", "20/s", "--idle-for", "24h", "--state-max-age", "1s", "--no-settle"
        )
        truth = [sandbox.truth(row["session_id"]) for row in desk.rows()]
    seen = desk.query("SELECT first_attempt_at - looked_at FROM items")
    assert max(age for (age,) in seen) <= 1_000
    assert done.code == 0
    assert [one.closes_effective for one in truth] == [1] * 30


def test_a_key_that_may_not_read_closes_nothing(tmp_path: Path) -> None:
    """The line says why."""
    with desk_of(tmp_path, quick(read_faults={"403": 1.0}, max_faults_per_session=None)) as (desk, sandbox):
        source = desk.write_ids(sandbox.add_sessions(5))
        done = desk.run("close", source, *FAST, "--only-status", "active", "--protect", "none")
        assert not sandbox.counts.requests["close"]
    assert done.code == 3
    assert "the key may not read sessions, which the guards need" in " ".join(done.out.split())


def test_guards_that_are_dropped_let_the_rest_be_closed(tmp_path: Path) -> None:
    """What was not looked up yet is not kept back for ever."""
    with desk_of(tmp_path, quick(read_faults={"403": 1.0}, max_faults_per_session=None)) as (desk, sandbox):
        source = desk.write_ids(sandbox.add_sessions(5))
        assert desk.run("close", source, *FAST, "--only-status", "active").code == 3
        done = desk.run("resume", "last", *FAST, "--only-status", "none", "--no-settle", "--json")
    assert done.summary["outcomes"]["closed"] == 5


def test_a_sweep_keeps_to_the_guards_of_its_file_as_well(tmp_path: Path) -> None:
    """Rule and guard must both hold, also when a flag brings the guard to a sweep that is gone on with."""
    with desk_of(tmp_path, quick()) as (desk, sandbox):
        ids = {status: spoken(sandbox, 30, 6, status=status) for status in ("active", "paused")}
        job = '[jobs.night]\nselect = {idle_for = "24h"}\n'
        (desk.home / "closeout.toml").write_text(f'only_status = "paused"\n{job}')
        assert desk.run("sweep", "night", *FAST).code == 0
        assert not any(sandbox.truth(one).closes_received for one in ids["active"])
        assert all(sandbox.truth(one).closes_effective for one in ids["paused"])
        (desk.home / "closeout.toml").write_text(job)
        assert desk.run("sweep", "night", *FAST, "--deadline", "1ms", "--no-settle").code == 3
        desk.run("resume", "last", *FAST, "--deadline", "60s", "--only-status", "paused", "--no-settle")
        assert not any(sandbox.truth(one).closes_received for one in ids["active"])


def test_what_is_attempted_again_is_looked_up_before(tmp_path: Path) -> None:
    """A session that became busy since it failed is left alone by ``retry``."""
    with desk_of(tmp_path, quick()) as (desk, sandbox):
        (failing,) = spoken(sandbox, 30, 1)
        sandbox.script(failing, ["422"])
        assert desk.run("close", desk.write_ids([failing]), *FAST, "--idle-for", "24h").code == 1
        sandbox.set_fields(failing, {"last_message_at": ago(0.1)})
        assert desk.run("retry", "last", *FAST).code == 0
        assert sandbox.truth(failing).closes_received == 1
    assert ends(desk, [failing]) == {("skipped", "guard: not idle for so long"): 1}


def test_a_cap_counts_what_is_closed_and_no_more_is_looked_up_than_that_needs(tmp_path: Path) -> None:
    """Of 400 the first ten that may be closed, and the canary first of all; the rest is skipped unseen."""
    with desk_of(tmp_path, quick(list_faults={"403": 1.0}, max_faults_per_session=None)) as (desk, sandbox):
        busy, idle = spoken(sandbox, 1, 4), spoken(sandbox, 30, 396)
        words = ("--idle-for", "24h", "--limit", "10", "--canary", "3", "--yes", "--no-settle", "--protect", "none")
        done = desk.run("close", desk.write_ids(busy + idle), *FAST, *words, "--json")
        reads = sandbox.counts.requests["read"]
    assert done.summary["outcomes"]["closed"] == 10
    assert Counter(row["detail"] for row in desk.rows() if row["outcome"] == "skipped") == {
        "guard: not idle for so long": 4, "over --limit 10": 386,
    }  # fmt: skip
    assert reads <= 40


def test_guards_that_are_others_now_judge_anew(tmp_path: Path) -> None:
    """What an earlier process let through a moment ago is looked up again."""
    with desk_of(tmp_path, quick()) as (desk, sandbox):
        ids = spoken(sandbox, 30, 40)
        words = ("--rate", "20/s", "--no-settle", "--no-progress")
        began = Witness(sandbox).event_at(3, "close")
        with desk.started("close", desk.write_ids(ids), "--idle-for", "24h", *words) as child:
            waited(began)
            child.interrupt()
            assert child.ended().code == 130
        before = [one for one in ids if sandbox.truth(one).closes_received]
        assert desk.query("SELECT count(*) FROM items WHERE outcome = 'pending' AND looked_at > 0") > [(0,)]
        desk.run("resume", "last", "--idle-for", "48h", *words)
        assert [one for one in ids if sandbox.truth(one).closes_received] == before
    assert Counter(row["outcome"] for row in desk.rows()) == {"closed": len(before), "skipped": 40 - len(before)}


def test_a_long_pause_makes_what_was_seen_too_old(tmp_path: Path) -> None:
    """People wrote in all of them while the run was paused: none is closed on what was seen before."""
    with desk_of(tmp_path, quick()) as (desk, sandbox):
        ids = spoken(sandbox, 30, 40)
        witness = Witness(sandbox)
        began = witness.event_at(3, "close")
        words = ("--rate", "20/s", "--idle-for", "24h", "--state-max-age", "1s", "--no-settle", "--no-progress")
        with desk.started("close", desk.write_ids(ids), *words) as child:
            waited(began)
            assert desk.run("pause", "last").code == 0
            paused = time.monotonic()
            wait_until(lambda: time.monotonic() > paused + 1.5)
            closed = [one for one in ids if sandbox.truth(one).closes_received]
            for one in ids:
                if one not in closed:
                    sandbox.hear_from(one)
            desk.run("go", "last")
            assert child.ended().code == 0
        assert [one for one in ids if sandbox.truth(one).closes_received] == closed
    assert len(closed) < 40
