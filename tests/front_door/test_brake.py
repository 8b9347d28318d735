"""Brake, canary, cap, deadline and quiet hours: what keeps a mistake small, seen from outside."""

from collections import Counter
from pathlib import Path

from closeout.worker.sandbox import Sandbox, SandboxConfig
from tests.front_door.support import FAST, Witness, desk_of, quick, waited

WORDS = (*FAST, "--no-settle", "--json")


def strangers(count: int) -> list[str]:
    """Ids that the API does not know."""
    return Sandbox(SandboxConfig(seed=4711)).add_sessions(count)


def outcomes(rows: list[dict[str, object]]) -> Counter[object]:
    """How many rows ended how."""
    return Counter(row["outcome"] for row in rows)


def test_too_many_failures_halt_the_run(tmp_path: Path) -> None:
    """A list for another host: a hundred 404s are enough; what was not attempted stays pending, and can be resumed."""
    with desk_of(tmp_path, quick()) as (desk, _):
        desk.write_ids(strangers(1_500))
        done = desk.run("close", "sessions.csv", *WORDS)
        counted = outcomes(desk.rows())
        again = desk.run("resume", "last", *WORDS, "--max-failures", "100%")
    assert done.code == 3
    assert done.summary["state"] == "halted"
    assert 100 <= counted["not_found"] <= 300
    assert counted["not_found"] + counted["pending"] == 1_500
    for word in ("--max-failures is 5%", "not_found", "closeout resume"):
        assert word in done.summary["why"]
    assert again.code == 1
    assert again.summary["outcomes"]["not_found"] == 1_500


def test_a_count_of_failures_halts_the_run(tmp_path: Path) -> None:
    """The third failure is one too many, however many went well before."""
    with desk_of(tmp_path, quick()) as (desk, sandbox):
        ids = sandbox.add_sessions(300)
        desk.write_ids([*ids[:100], *strangers(3), *ids[100:]])
        done = desk.run("close", "sessions.csv", *WORDS, "--max-failures", "2", "--concurrency", "1")
    assert done.code == 3
    assert done.summary["outcomes"]["not_found"] == 3
    assert done.summary["outcomes"]["closed"] == 100


def test_a_canary_that_ends_badly_stops_the_rest(tmp_path: Path) -> None:
    """Ten go first; one failure in ten is above 5%, and nothing else is attempted."""
    with desk_of(tmp_path, quick()) as (desk, sandbox):
        desk.write_ids([*strangers(1), *sandbox.add_sessions(200)])
        done = desk.run("close", "sessions.csv", *WORDS, "--canary", "10")
        closes = sandbox.counts.requests["close"]
    assert done.code == 3
    assert "canary" in done.summary["why"]
    assert closes == 10
    assert done.summary["outcomes"]["pending"] == 191


def test_a_canary_that_ends_well_is_shown_and_the_rest_follows(tmp_path: Path) -> None:
    """Its verdicts are waited for, so none of the others is closed before the canary's evaluations are final."""
    with desk_of(tmp_path, quick(eval_delay=(0.3, 0.6))) as (desk, sandbox):
        ids = sandbox.add_sessions(120)
        desk.write_ids(ids)
        done = desk.run("close", "sessions.csv", *FAST, "--canary", "15")
        settled = "SELECT max(settled_at) FROM items WHERE seq IN (SELECT seq FROM items ORDER BY seq LIMIT 15)"
        ((last_verdict,),) = desk.query(settled)
        ((next_close,),) = desk.query(
            "SELECT min(first_attempt_at) FROM items WHERE seq > (SELECT seq FROM items ORDER BY seq LIMIT 1 OFFSET 14)"
        )
    assert done.code == 0
    assert "canary: 15 closed" in done.err
    assert next_close >= last_verdict


def test_a_cap_skips_the_rest_and_says_so(tmp_path: Path) -> None:
    """Exactly so many sessions are attempted; a retry among them is not counted twice."""
    with desk_of(tmp_path, quick()) as (desk, sandbox):
        ids = sandbox.add_sessions(90)
        for one in ids[:5]:
            sandbox.script(one, ["429", "ok"])
        desk.write_ids(ids)
        done = desk.run("close", "sessions.csv", *WORDS, "--limit", "25")
        skipped = [row for row in desk.rows() if row["outcome"] == "skipped"]
    assert done.code == 0
    assert done.summary["outcomes"]["closed"] == 25
    assert sandbox.counts.closes_effective == 25
    assert {row["detail"] for row in skipped} == {"over --limit 25"}
    assert len(skipped) == 65


def test_a_deadline_ends_closing_in_time_to_settle(tmp_path: Path) -> None:
    """What was closed is settled, the rest stays pending, and the run can be resumed."""
    with desk_of(tmp_path, quick(eval_delay=(0.1, 0.2))) as (desk, sandbox):
        desk.write_ids(sandbox.add_sessions(400))
        words = ("--rate", "40/s", "--deadline", "4s", "--json")
        done = desk.run("close", "sessions.csv", *FAST, *words)
        again = desk.run("resume", "last", *FAST, "--deadline", "1h", "--json")
    assert done.code == 3
    assert "--deadline" in done.summary["why"]
    assert done.summary["unsettled"] == 0
    assert 0 < done.summary["outcomes"]["closed"] < 170
    assert done.summary["outcomes"]["closed"] + done.summary["outcomes"]["pending"] == 400
    assert again.code == 0
    assert again.summary["outcomes"]["closed"] == 400


def test_quiet_hours_lower_the_rate(tmp_path: Path) -> None:
    """All day at 10% of 6,000 a minute: ten a second, although the rate would allow more."""
    with desk_of(tmp_path, quick()) as (desk, sandbox):
        desk.write_ids(sandbox.add_sessions(30))
        done = desk.run("close", "sessions.csv", *WORDS, "--quiet-hours", "00:00-24:00@10%")
    assert done.summary["outcomes"]["closed"] == 30
    assert sandbox.busiest(1.0) <= 12


def test_a_higher_cap_takes_up_what_a_lower_one_left_out(tmp_path: Path) -> None:
    """Of a finished run, too; the stored cap stays unless told, and none takes it off."""
    with desk_of(tmp_path, quick()) as (desk, sandbox):
        desk.write_ids(sandbox.add_sessions(30))
        closed = []
        for words in (
            ("close", "sessions.csv", "--limit", "10"),
            ("resume", "last"),
            ("resume", "last", "--limit", "18"),
        ):
            done = desk.run(*words, *WORDS)
            closed.append((done.summary["state"], done.summary["outcomes"]["closed"]))
        details = {row["detail"] for row in desk.rows() if row["outcome"] == "skipped"}
        lower = desk.run("resume", "last", *WORDS, "--limit", "5").summary["outcomes"]
        rest = desk.run("resume", "last", *WORDS, "--limit", "none").summary["outcomes"]
    assert closed == [("finished", 10), ("finished", 10), ("finished", 18)]
    assert details == {"over --limit 18"}
    assert (lower["closed"], lower["skipped"]) == (18, 12)
    assert (rest["closed"], rest["skipped"]) == (30, 0)
    assert sandbox.counts.closes_effective == 30


def test_a_crash_does_not_lift_the_cap(tmp_path: Path) -> None:
    """What was in doubt when the process died was attempted, and counts, whether its close had an effect or not."""
    with desk_of(tmp_path, quick(close_faults={"reset_before": 0.3}, second_close="409")) as (desk, sandbox):
        desk.write_ids(sandbox.add_sessions(60))
        witness = Witness(sandbox)
        begun = witness.event_at(10, "close")
        with desk.started("close", "sessions.csv", *WORDS, "--limit", "20", "--rate", "40/s") as child:
            waited(begun)
            child.process.kill()
            child.ended()
        done = desk.run("resume", "last", *WORDS)
    assert done.summary["outcomes"]["closed"] == 20
    assert done.summary["outcomes"]["skipped"] == 40
    assert sandbox.counts.closes_effective == len(witness.posts()) == 20


def test_doubts_of_another_run_do_not_lift_the_cap(tmp_path: Path) -> None:
    """They are looked up, and those still live are as good as never tried: the cap counts them."""
    with desk_of(tmp_path, quick()) as (desk, sandbox):
        desk.write_ids(sandbox.add_sessions(25))
        witness = Witness(sandbox)
        sandbox.outage = "reset"
        begun = witness.event_at(8, "close")
        with desk.started("close", "sessions.csv", *WORDS, "--protect", "none", "--concurrency", "8") as child:
            waited(begun)
            child.process.kill()
            child.ended()
        sandbox.outage = None
        sent = witness.posts()
        done = desk.run("close", "sessions.csv", *WORDS, "--new-run", "--limit", "3")
    assert len(sent) >= 8
    assert done.summary["outcomes"]["closed"] == 3
    assert done.summary["outcomes"]["skipped"] == 22
    assert sandbox.counts.closes_effective == 3


def test_a_retry_keeps_the_cap(tmp_path: Path) -> None:
    """It attempts the failed ones again, and no more of the others than the cap lets through."""
    with desk_of(tmp_path, quick()) as (desk, sandbox):
        desk.write_ids([*strangers(4), *sandbox.add_sessions(30)])
        first = desk.run("close", "sessions.csv", *WORDS, "--limit", "10", "--max-failures", "2", "--concurrency", "1")
        again = desk.run("retry", "last", *WORDS, "--max-failures", "100%")
    assert first.code == 3
    assert again.summary["outcomes"]["not_found"] == 4
    assert again.summary["outcomes"]["closed"] == sandbox.counts.closes_effective == 6
    assert again.summary["outcomes"]["skipped"] == 24
