"""One budget for all that runs on a ledger, seen at the other end of the wire: real processes, a real server."""

import json
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from closeout.worker.sandbox import Sandbox
from closeout.worker.sandbox.ratelimit import LimitKind
from closeout.worker.sandbox.truth import most_within
from tests.front_door.support import FAST, Desk, Stalls, Witness, desk_of, held, quick, side_by_side, wait_until, waited

pytestmark = pytest.mark.alone

KINDS: tuple[LimitKind, ...] = ("fixed", "sliding", "bucket")
WORDS = (*(word for word in FAST if word not in ("--rate", "600/s")), "--no-settle", "--protect", "none", "--json")


def close_all(desk: Desk, sandbox: Sandbox, counts: Sequence[int], *words: str) -> list[dict[str, Any]]:
    """As many processes as counts, each with its own file of so many sessions, on one ledger; their summaries.

    None sends before all are at work.
    """
    names = [desk.write_ids(sandbox.add_sessions(count), f"list-{at}.csv") for at, count in enumerate(counts)]
    with ExitStack() as stack:
        with held(str(desk.ledger), desk.url):
            children = [stack.enter_context(desk.started("close", name, *WORDS, *words)) for name in names]
            for child in children:
                child.wait_for_line("closing on")
        return [child.ended().summary for child in children]


def closed(summaries: list[dict[str, Any]]) -> int:
    """How many sessions they closed together."""
    return sum(int(summary["outcomes"]["closed"]) for summary in summaries)


def test_three_processes_share_one_rate(tmp_path: Path) -> None:
    """At 50/s no second at the server holds more than 52, and at least 97% is used once the run is up to it."""
    with Stalls() as stalls, desk_of(tmp_path, quick()) as (desk, sandbox):
        summaries = close_all(desk, sandbox, [170, 170, 170], "--rate", "50/s")
        arrivals = list(sandbox.counts.arrivals)
    assert closed(summaries) == 510
    assert most_within(arrivals, 1.0) <= 52 + 50 * stalls.longest
    first, last = arrivals[0] + 4.5, arrivals[0] + 9.5
    assert sum(first <= at < last for at in arrivals) >= 0.97 * 50 * 5


@pytest.mark.parametrize("kind", KINDS)
def test_a_limit_that_is_known_is_hardly_ever_met(tmp_path: Path, kind: LimitKind) -> None:
    """All of it is asked for. The simulations hold the share of 429s to a thousandth; here one is too many already."""
    side_by_side(meet_a_known_limit, *((tmp_path / str(processes), kind, processes) for processes in (1, 3)))


def meet_a_known_limit(home: Path, kind: LimitKind, processes: int) -> None:
    """One organisation's limit, met by so many processes."""
    config = quick(rate_limit=120, rate_period=2.0, rate_kind=kind)
    with Stalls() as stalls, desk_of(home, config) as (desk, sandbox):
        summaries = close_all(desk, sandbox, [300 // processes] * processes, "--rate", "60/s")
    assert closed(summaries) == 300
    assert sandbox.counts.answers[429] <= 1 + 60 * stalls.longest


@pytest.mark.parametrize("kind", KINDS)
def test_a_limit_that_is_not_known_is_found_by_three_processes(tmp_path: Path, kind: LimitKind) -> None:
    """We ask for 200/s, it gives 60/s. In so short a run the search itself weighs: at most 8% are 429s."""
    config = quick(rate_limit=60, rate_period=1.0, rate_kind=kind, rate_burst=30, second_close="409")
    with desk_of(tmp_path, config) as (desk, sandbox):
        summaries = close_all(desk, sandbox, [120, 120, 120], "--rate", "200/s")
    assert closed(summaries) == 360
    assert 0 < sandbox.counts.answers[429] <= 0.08 * 360
    assert sandbox.counts.closes_repeated == 0
    assert sum(summary["requests"]["throttled"] for summary in summaries) == sandbox.counts.answers[429]


def test_a_429_to_one_process_holds_the_other(tmp_path: Path) -> None:
    """For the two seconds that it tells, nothing arrives from either, but for what was leased or on its way."""
    with desk_of(tmp_path, quick(fault_retry_after=2.0)) as (desk, sandbox):
        witness = Witness(sandbox)
        ids = sandbox.add_sessions(80)
        refused = ids[39]
        sandbox.script(refused, ["429", "ok"])
        desk.write_ids(ids[:40] + sandbox.add_sessions(60), "one.csv")
        desk.write_ids(ids[40:] + sandbox.add_sessions(60), "two.csv")
        desk.run_all(*(("close", name, *WORDS, "--rate", "40/s") for name in ("one.csv", "two.csv")))
        at = sandbox.counts.arrivals[witness.log.index(("close", refused))]
        arrivals = [each - at for each in sandbox.counts.arrivals]
    assert not [each for each in arrivals if 0.2 < each < 1.95]
    assert [each for each in arrivals if each > 1.95]


def test_an_outage_is_sat_out(tmp_path: Path) -> None:
    """Fire is held, one probe after the other is sent, and afterwards every session is closed: none has failed."""
    side_by_side(sit_out, *((tmp_path / how, how) for how in ("503", "reset")))


def sit_out(home: Path, how: Any) -> None:
    """An outage of this kind in the middle of a run."""
    with desk_of(home, quick(second_close="409")) as (desk, sandbox):
        witness = Witness(sandbox)
        begun, probed = witness.event_at(60, "close"), None
        desk.write_ids(sandbox.add_sessions(400))
        words = ("--rate", "200/s", "--concurrency", "16", "--max-attempts", "2")
        with desk.started("close", "sessions.csv", *WORDS, *words) as child:
            waited(begun)
            sandbox.outage = how
            probed = witness.event_at(4, "whoami")
            waited(probed)
            during = sandbox.counts.requests.copy()
            waited(witness.event_at(1, "whoami"))
            assert (sandbox.counts.requests - during).keys() <= {"whoami"}
            sandbox.outage = None
            done = child.ended()
    assert done.summary["outcomes"]["closed"] + done.summary["outcomes"]["already_closed"] == 400
    assert done.summary["outcomes"]["failed"] == 0
    assert done.code == 0


def test_an_outage_that_stays_halts_the_run(tmp_path: Path) -> None:
    """After ``--give-up-after``: exit 3, nothing has failed, and the rest is pending or in doubt."""
    with desk_of(tmp_path, quick()) as (desk, sandbox):
        sandbox.outage = "503"
        desk.write_ids(sandbox.add_sessions(300))
        done = desk.run("close", "sessions.csv", *WORDS, "--rate", "200/s", "--give-up-after", "3s")
    assert done.code == 3
    assert "no usable answer from the API for 3.0 s" in done.summary["why"]
    outcomes = done.summary["outcomes"]
    assert outcomes["pending"] + outcomes["in_doubt"] == 300
    assert sandbox.counts.requests["close"] <= 100


def test_pause_rate_and_go_reach_every_run_of_the_budget(tmp_path: Path) -> None:
    """Within a second of the command's end; go lets both runs come to their end."""
    with desk_of(tmp_path, quick()) as (desk, sandbox):
        witness = Witness(sandbox)
        begun = witness.event_at(40, "close")
        for name in ("one.csv", "two.csv"):
            desk.write_ids(sandbox.add_sessions(150), name)
        words = (*WORDS, "--rate", "30/s")
        with desk.started("close", "one.csv", *words) as one, desk.started("close", "two.csv", *words) as two:
            waited(begun)
            said = [desk.run("pause", "last")]
            paused = len(sandbox.counts.arrivals)
            said.append(desk.run("rate", "last", "10/s"))
            before_go = len(sandbox.counts.arrivals)
            said.append(desk.run("go", "last"))
            ended = [one.ended(), two.ended()]
    assert [each.code for each in said] == [0, 0, 0]
    assert "paused" in said[0].err
    assert before_go - paused <= 8, "what was leased when the pause came"
    assert [each.summary["outcomes"]["closed"] for each in ended] == [150, 150]


def test_a_rate_that_is_set_reaches_every_process_within_a_second(tmp_path: Path) -> None:
    """From then on both together keep to it, and go lets them end at their own."""
    with desk_of(tmp_path, quick()) as (desk, sandbox):
        witness = Witness(sandbox)
        lists = [sandbox.add_sessions(140) for _ in range(2)]
        for name, ids in zip(("one.csv", "two.csv"), lists, strict=True):
            desk.write_ids(ids, name)
        words = (*WORDS, "--rate", "60/s")
        with desk.started("close", "one.csv", *words) as one, desk.started("close", "two.csv", *words) as two:
            for ids in lists:
                wait_until(lambda ids=ids: not witness.posts().keys().isdisjoint(ids))  # type: ignore[misc]
            said = desk.run("rate", "last", "10/s")
            since = time.monotonic() + 1.0
            time.sleep(3.0)
            shown = desk.run("show", "last", "--json").summary
            unsaid = desk.run("go", "last")
            ended = [one.ended(), two.ended()]
        assert (shown["state"], shown["seconds"] > 3, shown["rate"]["achieved"] > 0) == ("running", True, True)
        kept = [at for at, when in enumerate(sandbox.counts.arrivals) if since <= when < since + 2.0]
    assert (said.code, unsaid.code) == (0, 0)
    assert "at most 10/s" in said.err
    assert len(kept) <= 10 * 2.0 + 1
    for ids in lists:
        assert {witness.log[at][1] for at in kept} & set(ids), "each process goes on, at its part of the rate"
    assert [each.summary["outcomes"]["closed"] for each in ended] == [140, 140]


def test_what_holds_the_pace_is_said_and_may_be_chosen_otherwise(tmp_path: Path) -> None:
    """Where others fill the limit: which case it is, what a person could say, and that it was heard."""
    with desk_of(tmp_path, quick(rate_limit=4, rate_period=1.0)) as (desk, sandbox):
        desk.write_ids(sandbox.add_sessions(20))
        words = [word for word in WORDS if word != "--json"]
        with desk.started("close", "sessions.csv", *words, "--rate", "40/s", "--no-progress") as child:
            wait_until(lambda: sandbox.counts.answers[429] >= 2)
            wait_until(lambda: desk.budget_row("holds") == (0,))
            shown = desk.run("show", "last")
            said = desk.run("rate", "last", "--pace", "fair", "--tolerate", "40%", "--min-rate", "4/s")
            (floor, tolerated) = desk.budget_row("set_floor", "set_tolerated")
            back = desk.run("go", "last")
            done = child.ended()
    assert done.code == 0
    assert "production fills the limit: " in shown.out
    assert "`--min-rate` sets a floor" in shown.out
    assert (floor, tolerated) == (4.0, 0.4)
    assert "at least 4/s, up to 40% of 429s change nothing; it holds for every run" in said.err
    assert "continues at 40/s at most" in back.err
    assert "production filled the limit for about " in done.out


def test_answers_that_take_far_longer_than_usual_slow_the_run(tmp_path: Path) -> None:
    """Without a single 429: the rate is cut in the budget, and at the wire."""
    with desk_of(tmp_path, quick(latency=0.02)) as (desk, sandbox):
        desk.write_ids(sandbox.add_sessions(450))
        calm = Witness(sandbox).event_at(160, "close")
        with desk.started("close", "sessions.csv", *WORDS, "--rate", "150/s", "--concurrency", "128") as child:
            waited(calm)
            sandbox.config = replace(sandbox.config, latency=0.5)
            slow_from = time.monotonic()
            done = child.ended()
        later = [at - slow_from for at in sandbox.counts.arrivals]
    (law,) = map(json.loads, desk.budget_row("law"))
    assert done.summary["outcomes"]["closed"] == 450
    assert done.summary["requests"]["throttled"] == 0
    assert law["base"] == pytest.approx(0.7 * law["met"])
    assert sum(1.0 <= at < 1.5 for at in later) <= 0.85 * 150 * 0.5


def test_a_run_that_does_not_run_cannot_be_paused(tmp_path: Path) -> None:
    """One line, exit 2."""
    with desk_of(tmp_path, quick()) as (desk, sandbox):
        desk.write_ids(sandbox.add_sessions(3))
        desk.run("close", "sessions.csv", *FAST)
        done = desk.run("pause", "last")
    assert done.code == 2
    assert "is not running" in done.err
    assert done.err.count("\n") == 1


def test_what_was_said_to_a_run_dies_with_it(tmp_path: Path) -> None:
    """A paused run is killed: neither its resumption nor the next run on the budget stays paused."""
    with desk_of(tmp_path, quick()) as (desk, sandbox):
        desk.write_ids(sandbox.add_sessions(60))
        begun = Witness(sandbox).event_at(20, "close")
        with desk.started("close", "sessions.csv", *WORDS, "--rate", "20/s") as child:
            waited(begun)
            assert desk.run("pause", "last").code == 0
            child.process.kill()
            child.ended()
        desk.write_ids(sandbox.add_sessions(5), "next.csv")
        following = desk.run("close", "next.csv", *FAST)
        first = desk.query("SELECT name FROM runs ORDER BY id LIMIT 1")[0][0]
        resumed = desk.run("resume", first, *FAST)
    assert (following.code, resumed.code) == (0, 0)
