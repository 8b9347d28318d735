"""What the ledger knows to be closed is looked up and never sent again, by whatever command."""

import re
import sqlite3
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import psycopg
import pytest

from closeout.worker.domain.item import Outcome
from closeout.worker.ledger.postgres.address import parse_address
from closeout.worker.library import close_sessions
from closeout.worker.sandbox import Sandbox
from closeout.worker.sandbox.times import iso, to_micros
from tests.front_door.support import FAST, KEY, Desk, Done, Witness, desk_of, quick, waited
from tests.postgres.databases import done_with, url_of

WORDS = (*FAST, "--json")


@dataclass
class Place:
    """A desk and its sandbox; ``ledger`` is the address of the ledger."""

    desk: Desk
    sandbox: Sandbox
    witness: Witness
    ledger: str

    def run(self, *words: str, input: bytes | None = None) -> Done:
        """A command on this ledger that ends well."""
        done = self.desk.run(*words, "--ledger", self.ledger, *WORDS, input=input)
        assert done.code == 0, done.err
        return done

    def asked(self, query: str) -> list[tuple[Any, ...]]:
        """What the ledger says."""
        if "://" not in self.ledger:
            with closing(sqlite3.connect(self.ledger)) as connection, connection:
                return connection.execute(query).fetchall()
        place = parse_address(self.ledger)
        with psycopg.connect(place.url, autocommit=True, options=f"-csearch_path={place.schema}") as server:
            cursor = server.execute(query.encode())
            return cursor.fetchall() if cursor.description is not None else []

    def ends(self, run: str) -> dict[str, tuple[str, str | None]]:
        """Outcome and detail of each session of a run."""
        rows = self.asked(f"SELECT session_id, outcome, detail FROM results WHERE run = '{run}'")  # noqa: S608  # ours
        return {session: (outcome, detail) for session, outcome, detail in rows}

    def expect_posts(self, *groups: list[str]) -> None:
        """Each of these was sent once, and nothing else."""
        assert self.witness.posts() == Counter(one for group in groups for one in group)


def outcomes(done: Done) -> dict[str, int]:
    """Of a summary, those that are not zero."""
    return {name: count for name, count in done.summary["outcomes"].items() if count}


@pytest.fixture(params=["sqlite", "postgres"])
def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The address of an empty ledger."""
    if request.param == "sqlite":
        yield str(tmp_path / "closeout.db")
        return
    yield url_of(tmp_path)
    done_with(tmp_path)


@contextmanager
def place_of(home: Path, ledger: str, **config: Any) -> Iterator[Place]:
    """With a sandbox that is as quick as may be."""
    with desk_of(home, quick(eval_delay=(0.0, 0.05), premature_none=0.0, **config)) as (desk, sandbox):
        yield Place(desk, sandbox, Witness(sandbox), ledger)


def test_the_same_file_again_sends_no_close(tmp_path: Path, ledger: str) -> None:
    """Each row says which run closed it, and when; pages of the listing tell of many at once."""
    with place_of(tmp_path, ledger) as place:
        ids = place.sandbox.add_sessions(150)
        place.desk.write_ids(ids)
        first = place.run("close", "sessions.csv").summary["run"]
        for words in ((), ("--new-run", "--reason", "abandoned")):
            again = place.run("close", "sessions.csv", *words)
            assert outcomes(again) == {"already_closed": 150}
            requests = again.summary["requests"]
            assert (requests["close"], requests["read"] + requests["list"] < 50) == (0, True), requests
            told = rf"closed by run {first} of this ledger at \d{{4}}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{{3}}Z"
            assert all(re.fullmatch(told, str(detail)) for _, detail in place.ends(again.summary["run"]).values())
        place.expect_posts(ids)


def test_overlapping_files_a_pipe_and_a_queue_close_each_session_once(tmp_path: Path, ledger: str) -> None:
    """One run after another, each of which holds what others closed, and something new."""
    with place_of(tmp_path, ledger) as place:
        ids = place.sandbox.add_sessions(60)
        place.desk.write_ids(ids[:30], "one.csv")
        place.desk.write_ids(ids[45:5:-1], "two.csv")
        place.run("close", "one.csv")
        assert outcomes(place.run("close", "two.csv")) == {"closed": 16, "already_closed": 24}
        piped = place.run("close", "-", input="".join(f"{one.upper()}\n" for one in ids[20:50]).encode())
        assert outcomes(piped) == {"closed": 4, "already_closed": 26}
        place.desk.write_ids(ids, "all.csv")
        pushed = place.desk.run("push", "all.csv", "queue:all", "--ledger", place.ledger)
        assert pushed.code == 0, pushed.err
        drained = place.run("work", "queue:all", "--drain")
        assert outcomes(drained) == {"closed": 10, "already_closed": 50}
        place.expect_posts(ids)


def test_a_killed_run_and_those_after_it_close_each_session_once(tmp_path: Path, ledger: str) -> None:
    """SIGKILL in mid-work, another file with the same sessions, then the first one is gone on with."""
    with place_of(tmp_path, ledger, latency=0.02) as place:
        ids = place.sandbox.add_sessions(120)
        place.desk.write_ids(ids)
        place.desk.write_ids(ids[::-1], "turned.csv")
        lease = ("--lease", "2s", "--timeout", "500ms") if "://" in ledger else ()
        arrived = place.witness.event_at(50, "close")
        with place.desk.started("close", "sessions.csv", "--ledger", ledger, *WORDS, *lease) as child:
            waited(arrived)
            child.process.kill()
            child.process.wait()
        other = place.run("close", "turned.csv")
        assert sum(outcomes(other).values()) == 120
        resumed = place.run("close", "sessions.csv", *lease)
        assert sum(outcomes(resumed).values()) == 120
        assert place.witness.unverified_repeats() == []
        assert all(place.sandbox.truth(one).closes_effective == 1 for one in ids)
        assert all(place.sandbox.truth(one).closes_repeated == 0 for one in ids)


def test_runs_at_work_at_once_close_each_session_once(tmp_path: Path, ledger: str) -> None:
    """Three files with the same sessions in another order, and a sandbox that takes its time."""
    with place_of(tmp_path, ledger, latency=0.05) as place:
        ids = place.sandbox.add_sessions(90)
        for name, order in (("a.csv", ids), ("b.csv", ids[::-1]), ("c.csv", ids[45:] + ids[:45])):
            place.desk.write_ids(order, name)
        words = ("--ledger", ledger, "--rate", "200/s", *WORDS[2:])
        ended = place.desk.run_all(*(("close", name, *words) for name in ("a.csv", "b.csv", "c.csv")))
        assert [done.code for done in ended] == [0, 0, 0], [done.err for done in ended]
        assert sum(outcomes(done).get("closed", 0) for done in ended) == 90
        assert sum(outcomes(done).get("already_closed", 0) for done in ended) == 180
        place.expect_posts(ids)


def test_the_same_ids_on_another_host_are_other_sessions(tmp_path: Path, ledger: str) -> None:
    """They are sent there without a look; one host is one host, however it is written."""
    with place_of(tmp_path, ledger) as place, desk_of(tmp_path / "other", quick()) as (other, sandbox):
        ids = place.sandbox.add_sessions(10)
        assert sandbox.add_sessions(10) == ids
        witness = Witness(sandbox)
        place.desk.write_ids(ids)
        place.run("close", "sessions.csv")
        done = place.run("close", "sessions.csv", "--base-url", other.url or "")
        assert outcomes(done) == {"closed": 10}
        assert witness.posts() == Counter(ids)
        url = f"{place.desk.url}/"
        assert outcomes(place.run("close", "sessions.csv", "--base-url", url, "--api", "1.90")) == {
            "already_closed": 10
        }
        place.expect_posts(ids)


def test_a_session_that_was_opened_again_is_closed_after_a_read(tmp_path: Path, ledger: str) -> None:
    """Protected statuses hold; what is gone is not found."""
    with place_of(tmp_path, ledger) as place:
        ids = place.sandbox.add_sessions(30)
        place.desk.write_ids(ids)
        place.run("close", "sessions.csv")
        place.sandbox.set_status(ids[0], "active")
        place.sandbox.set_status(ids[1], "waiting_for_human")
        place.sandbox.store.by_id[ids[2]].deleted = True
        before = len(place.witness.log)
        done = place.desk.run("close", "sessions.csv", "--ledger", ledger, *WORDS)
        assert (done.code, outcomes(done)) == (1, {"closed": 1, "skipped": 1, "not_found": 1, "already_closed": 27})
        ends = place.ends(done.summary["run"])
        assert [ends[one][0] for one in ids[:3]] == ["closed", "skipped", "not_found"]
        assert ("read", ids[0]) in place.witness.log[before:], "a page alone is no ground for a second close"
        place.expect_posts(ids, [ids[0]])


def test_a_look_that_fails_is_repeated_and_nothing_is_sent(tmp_path: Path, ledger: str) -> None:
    """However it fails; a run that cannot look at all halts, and can be resumed."""
    with place_of(tmp_path, ledger, list_faults={"500": 1.0}, max_faults_per_session=None) as place:
        ids = place.sandbox.add_sessions(6)
        place.desk.write_ids(ids)
        place.run("close", "sessions.csv", "--protect", "none")
        for one, faults in zip(
            ids, (["503", "reset_before"], ["500"], ["html_502"], ["429"], ["502", "504"], []), strict=True
        ):
            place.sandbox.script_reads(one, faults)
        done = place.run("close", "sessions.csv", "--protect", "none")
        assert outcomes(done) == {"already_closed": 6}
        place.sandbox.script_reads(ids[3], ["410"] * 3)
        halted = place.desk.run("close", "sessions.csv", "--ledger", ledger, "--protect", "none", *WORDS)
        assert (halted.code, outcomes(halted)) == (3, {"already_closed": 5, "in_doubt": 1}), halted.err
        for one in ids:
            place.sandbox.script_reads(one, [])
        assert outcomes(place.run("resume", "last", "--protect", "none")) == {"already_closed": 6}
        place.expect_posts(ids)


def test_what_is_known_uses_up_neither_cap_nor_canary(tmp_path: Path, ledger: str) -> None:
    """The canary tries what is new, and the cap lets as many through as it says."""
    with place_of(tmp_path, ledger) as place:
        ids = place.sandbox.add_sessions(40)
        place.desk.write_ids(ids[5:35], "some.csv")
        place.run("close", "some.csv")
        place.desk.write_ids(ids)
        done = place.run("close", "sessions.csv", "--canary", "2", "--limit", "6")
        assert outcomes(done) == {"closed": 6, "already_closed": 30, "skipped": 4}
        place.expect_posts(ids[5:35], ids[:5], ids[35:36])


def test_a_plan_shows_what_is_closed_and_apply_sends_no_more_than_the_rest(tmp_path: Path, ledger: str) -> None:
    """Also what another run has closed since the plan was made."""
    with place_of(tmp_path, ledger) as place:
        ids = place.sandbox.add_sessions(30)
        place.desk.write_ids(ids[:10], "some.csv")
        first = place.run("close", "some.csv").summary["run"]
        place.desk.write_ids(ids)
        plan = place.run("plan", "sessions.csv")
        assert outcomes(plan) == {"already_closed": 10, "pending": 20}
        assert {f"closed by run {first}" in str(place.ends(plan.summary["run"])[one][1]) for one in ids[:10]} == {True}
        place.desk.write_ids(ids[10:15], "more.csv")
        place.run("close", "more.csv")
        applied = place.run("apply", plan.summary["run"], "--yes")
        assert outcomes(applied) == {"already_closed": 15, "closed": 15}
        place.expect_posts(ids)


def test_a_retry_sends_nothing_for_what_another_run_has_closed(tmp_path: Path, ledger: str) -> None:
    """It failed here, and was closed there."""
    with place_of(tmp_path, ledger) as place:
        ids = place.sandbox.add_sessions(5)
        place.desk.write_ids(ids)
        place.sandbox.script(ids[0], ["422"])
        first = place.desk.run("close", "sessions.csv", "--ledger", ledger, *WORDS)
        assert outcomes(first) == {"closed": 4, "rejected": 1}
        place.desk.write_ids(ids[:1], "one.csv")
        place.run("close", "one.csv")
        posts = place.witness.posts()
        retried = place.run("retry", first.summary["run"])
        assert sum(outcomes(retried).values()) == 5
        assert place.witness.posts() == posts


def test_a_run_that_waited_for_another_one_goes_on_when_that_dies(tmp_path: Path) -> None:
    """What the other had in flight is looked at once it is dead, and not before."""
    with place_of(tmp_path, str(tmp_path / "closeout.db"), latency=3.0) as place:
        ids = place.sandbox.add_sessions(3)
        place.desk.write_ids(ids)
        place.desk.write_ids(ids, "again.csv")
        held = threading.Event()
        words = ("--ledger", place.ledger, "--protect", "none", "--no-settle", *WORDS)
        place.witness.at(3, held.set, "close")
        with place.desk.started("close", "sessions.csv", *words) as child:
            waited(held)
            with place.desk.started("close", "again.csv", *words) as second:
                child.process.kill()
                child.process.wait()
                done = second.ended()
        assert (done.code, outcomes(done)) == (0, {"already_closed": 3}), done.err
        place.expect_posts(ids)
        details = {detail for _, detail in place.ends(done.summary["run"]).values()}
        assert all("has sent a close that it has not verified" in str(detail) for detail in details)


def test_a_sweep_closes_what_was_opened_again_after_a_read(tmp_path: Path, ledger: str) -> None:
    """A listing alone is no ground for a second close, and what its rule leaves alone is left alone."""
    with place_of(tmp_path, ledger) as place:
        started = (datetime.now(UTC) - timedelta(days=7), datetime.now(UTC) - timedelta(days=6))
        spoke = iso(to_micros(datetime.now(UTC) - timedelta(days=2)))
        ids = place.sandbox.add_sessions(20, started=started, fields={"last_message_at": spoke})
        (place.desk.home / "closeout.toml").write_text('[jobs.night]\nselect = {idle_for = "24h"}\n', encoding="utf-8")
        place.run("sweep", "night")
        for one in ids[:4]:
            place.sandbox.set_status(one, "active")
        place.sandbox.hear_from(ids[3])
        before = len(place.witness.log)
        place.run("sweep", "night", "--yes")
        place.expect_posts(ids, ids[:3])
        assert {("read", one) for one in ids[:3]} <= set(place.witness.log[before:])


def test_a_program_closes_nothing_twice(tmp_path: Path, ledger: str) -> None:
    """As the command does, and on its ledger."""
    with place_of(tmp_path, ledger) as place:
        ids = place.sandbox.add_sessions(20)
        place.desk.write_ids(ids[:12])
        place.run("close", "sessions.csv")
        access: dict[str, Any] = {"api_key": KEY, "ledger": ledger, "base_url": place.desk.url or "", "rate": "600/s"}
        result = anyio.run(partial(close_sessions, ids, **access))
        assert (result.outcomes[Outcome.CLOSED], result.outcomes[Outcome.ALREADY_CLOSED]) == (8, 12)
        place.expect_posts(ids)


def test_a_ledger_of_the_version_before_counts(tmp_path: Path, ledger: str) -> None:
    """Its runs have no host, and its items no turn."""
    with place_of(tmp_path, ledger) as place:
        ids = place.sandbox.add_sessions(10)
        place.desk.write_ids(ids)
        place.run("close", "sessions.csv")
        for statement in ("UPDATE runs SET host = NULL", "UPDATE items SET turn = NULL", "DELETE FROM hosts"):
            place.asked(statement)
        assert outcomes(place.run("close", "sessions.csv")) == {"already_closed": 10}
        place.expect_posts(ids)
