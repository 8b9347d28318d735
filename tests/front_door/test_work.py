"""A queue worked on by real processes: pushed, closed once, killed, paused, repeated, delayed."""

import json
import signal
import sqlite3
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from aiohttp import web

from closeout.worker.sandbox import Sandbox
from tests.forked import Forked
from tests.front_door.servers import Answer, serving
from tests.front_door.support import (
    FAST,
    KEY,
    Desk,
    Witness,
    assert_all_counted,
    assert_ledger_is_true,
    desk_of,
    quick,
    side_by_side,
    wait_until,
    waited,
)
from tests.operations.support import asking

QUEUE = "queue:sessions?visibility=2s"
DRAIN = ("work", QUEUE, "--drain", *FAST)


def push(desk: Desk, ids: list[str], *more: str) -> None:
    """These ids, and lines that name none, from a text file."""
    (desk.home / "ids.txt").write_text("".join(f"{one}\n" for one in [*ids, *more]), encoding="utf-8")
    done = desk.run("push", "ids.txt", QUEUE, "--json")
    assert done.code == (1 if more else 0), done.err
    assert done.summary["pushed"] == len(ids)


def put(desk: Desk, *messages: object) -> None:
    """Messages as other producers write them, straight into the ledger."""
    bodies = [one if isinstance(one, str) else json.dumps(one) for one in messages]
    for body in bodies:
        desk.change(
            "INSERT INTO messages (queue, body, due_at) "  # noqa: S608  # text that the test made
            f"VALUES ('sessions', CAST('{body}' AS BLOB), 0)"
        )


def noting(alerts: list[dict[str, object]]) -> Answer:
    """A webhook that keeps what it is told."""

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        alerts.append(json.loads(await request.read()))
        return web.Response()

    return answer


def outcomes(desk: Desk) -> Counter[str]:
    """How many rows ended how."""
    return Counter(row["outcome"] for row in desk.rows())


def test_what_is_pushed_is_closed_and_what_is_malformed_is_told(tmp_path: Path) -> None:
    """One summary, all counted; the dead letters stay, the queue is empty; the same again changes nothing."""
    with desk_of(tmp_path, quick()) as (desk, sandbox):
        ids = sandbox.add_sessions(30)
        push(desk, ids[:20], "typo")
        put(desk, {"session_id": ids[20], "reason": "resolved"}, {"session_id": ids[21], "reason": "no such reason"})
        put(
            desk,
            "typo",
            "{",
            {"session_id": ids[0]},
            {"session_id": ids[22], "key": "k"},
            {"session_id": ids[23], "key": "k"},
        )
        done = desk.run(*DRAIN, "--json")
        assert done.code == 1, done.err
        summary = done.summary
        assert (summary["state"], summary["rows_read"], summary["duplicates"]) == ("finished", 27, 2)
        assert {name: count for name, count in summary["outcomes"].items() if count} == {"closed": 22, "invalid": 3}
        reasons = {row["session_id"]: row["reason"] for row in desk.rows()}
        assert reasons[ids[20]] == "resolved"
        assert desk.query("SELECT CAST(body AS TEXT) FROM messages WHERE why IS NULL") == []
        assert len(desk.query("SELECT 1 FROM messages WHERE why IS NOT NULL")) == 3
        assert_ledger_is_true(desk, sandbox, [*ids[:21], ids[22]])
        push(desk, ids[:20])
        again = desk.run(*DRAIN, "--json")
        assert again.code == 0, again.err
        assert (again.summary["rows_read"], again.summary["duplicates"]) == (20, 20)
        assert_all_counted(desk)


def test_after_the_window_what_is_known_is_looked_up_first(tmp_path: Path) -> None:
    """What is closed is not closed again; what is live is. Within the window only the unknown are taken."""
    with desk_of(tmp_path, quick()) as (desk, sandbox):
        witness = Witness(sandbox)
        ids = sandbox.add_sessions(6)
        push(desk, ids[:4])
        assert desk.run(*DRAIN).code == 0
        sandbox.set_status(ids[0], "active")
        posts = witness.posts()
        push(desk, ids)
        assert desk.run(*DRAIN, "--dedupe-for", "0s", "--json").code == 0
        second = {row["session_id"]: row["outcome"] for row in desk.rows()[4:]}
        assert second == {
            ids[0]: "closed",
            **dict.fromkeys(ids[1:4], "already_closed"),
            **dict.fromkeys(ids[4:], "closed"),
        }
        assert witness.posts() - posts == Counter({ids[0]: 1, ids[4]: 1, ids[5]: 1})
        assert witness.unverified_repeats() == []
        assert_all_counted(desk)


def test_a_killed_worker_loses_and_repeats_nothing(tmp_path: Path) -> None:
    """SIGKILL in mid-work, twice; another goes on. Each id has one row, and a recorded close is never sent again."""
    with desk_of(tmp_path, quick(latency=0.02)) as (desk, sandbox):
        witness = Witness(sandbox)
        ids = sandbox.add_sessions(400)
        push(desk, ids)
        for nth in (60, 90):
            arrived = witness.event_at(nth, "close")
            with desk.started("work", QUEUE, *FAST) as child:
                waited(arrived)
                child.process.kill()
                child.process.wait()
        recorded = [row["session_id"] for row in desk.rows() if row["outcome"] == "closed"]
        assert recorded
        posts = witness.posts()
        done = desk.run(*DRAIN, "--json")
        assert done.code == 0, done.err
        assert len(desk.query("SELECT 1 FROM runs")) == 1
        assert set(desk.by_id()) == set(ids)
        assert outcomes(desk) == {"closed": 400}
        assert {one: witness.posts()[one] for one in recorded} == {one: posts[one] for one in recorded}
        assert witness.unverified_repeats() == []
        assert_ledger_is_true(desk, sandbox, ids)
        assert_all_counted(desk)


def test_resume_ends_what_a_worker_has_taken(tmp_path: Path) -> None:
    """And takes no more: that is for the next worker, which begins a run of its own."""
    with desk_of(tmp_path, quick(latency=0.02)) as (desk, sandbox):
        witness = Witness(sandbox)
        ids = sandbox.add_sessions(25)
        push(desk, ids[:20])
        arrived = witness.event_at(3, "close")
        with desk.started("work", QUEUE, *FAST, "--rate", "10/s") as child:
            waited(arrived)
            wait_until(lambda: desk.query("SELECT rows_read FROM runs") == [(20,)])  # it takes them ten by ten
            child.process.kill()
            child.process.wait()
        push(desk, ids[20:])
        done = desk.run("resume", "last", *FAST, "--json")
        assert done.code == 0, done.err
        assert done.summary["state"] == "finished"
        assert done.summary["outcomes"]["closed"] == 20
        assert desk.query("SELECT count(*) FROM messages") == [(5,)]
        assert desk.run(*DRAIN).code == 0
        runs = desk.query("SELECT state, rows_read, duplicates FROM runs ORDER BY id")
        assert runs == [("finished", 20, 0), ("finished", 5, 0)]
        assert witness.unverified_repeats() == []
        assert_ledger_is_true(desk, sandbox, ids)


def stop_between_transactions(desk: Desk, process: Forked) -> None:
    """Stop it while it holds no lock of the ledger or its budget: everyone would wait for as long as it is stopped."""
    for _ in range(100):
        process.send_signal(signal.SIGSTOP)
        if all(is_writable(path) for path in (desk.ledger, f"{desk.ledger}.budget")):
            return
        process.send_signal(signal.SIGCONT)
        time.sleep(0.01)
    raise AssertionError("it holds a lock at each look")


def is_writable(path: str | Path) -> bool:
    """Whether a transaction begins within a second, as it does unless a lock is held for good."""
    with closing(sqlite3.connect(path, timeout=1.0, isolation_level=None)) as connection:
        try:
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("ROLLBACK")
        except sqlite3.OperationalError:
            return False
    return True


def test_two_workers_share_a_queue_and_one_goes_on_for_the_other(tmp_path: Path) -> None:
    """Each has a run; what a dead one held is closed by the other, in the run that has it. A stop drains."""
    with desk_of(tmp_path, quick(latency=0.02)) as (desk, sandbox):
        witness = Witness(sandbox)
        ids = sandbox.add_sessions(300)
        push(desk, ids[:1])
        rate = ("--rate", "100/s", *FAST[2:])
        with desk.started("work", QUEUE, *rate) as first, desk.started("work", QUEUE, *rate) as second:
            wait_until(lambda: len(desk.query("SELECT 1 FROM runs WHERE state = 'running'")) == 2)
            stop_between_transactions(desk, second.process)  # so that the first one takes all
            push(desk, ids[1:])
            wait_until(lambda: len(witness.posts()) > 40)
            first.process.kill()
            first.process.wait()
            second.process.send_signal(signal.SIGCONT)
            wait_until(lambda: outcomes(desk)["closed"] == 300)
            second.process.send_signal(signal.SIGTERM)
            done = second.ended()
        assert done.code == 143, done.err
        assert set(desk.by_id()) == set(ids)
        assert witness.unverified_repeats() == []
        assert all(sandbox.truth(one).closes_effective == 1 for one in ids)
        assert_all_counted(desk)


@contextmanager
def two_dead_consumers(home: Path) -> Iterator[tuple[Desk, Sandbox]]:
    """Each has left a run of its own, with sessions that it had not closed."""
    with desk_of(home, quick(latency=0.05)) as (desk, sandbox):
        words = ("work", QUEUE, *FAST, "--rate", "20/s")
        push(desk, sandbox.add_sessions(1))
        with desk.started(*words) as first, desk.started(*words) as second:
            wait_until(lambda: len(desk.query("SELECT 1 FROM runs WHERE state = 'running'")) == 2)
            push(desk, sandbox.add_sessions(59))
            closed = "SELECT DISTINCT run FROM items WHERE outcome = 'closed'"
            wait_until(lambda: len(desk.query(closed)) == 2 and not desk.query("SELECT 1 FROM messages"))
            for child in (first, second):
                child.process.kill()
                child.process.wait()
        yield desk, sandbox


def test_draining_ends_what_older_consumers_left(tmp_path: Path) -> None:
    """Nothing stays open behind an exit code of 0."""
    with two_dead_consumers(tmp_path) as (desk, sandbox):
        done = desk.run(*DRAIN)
        assert done.code == 0, done.err
        assert "was left unfinished: closing what it holds" in done.err
        assert Witness(sandbox).unverified_repeats() == []
    assert outcomes(desk) == {"closed": 60}


def test_draining_with_a_cap_tells_what_it_left_open(tmp_path: Path) -> None:
    """It closes nothing beyond the cap, and is no success."""
    with two_dead_consumers(tmp_path) as (desk, sandbox):
        before = len(Witness(sandbox).posts())
        done = desk.run(*DRAIN, "--limit", "1")
        assert done.code == 3, done.err
        assert "is not finished: `closeout resume" in done.err
        assert len(Witness(sandbox).posts()) == before


def test_the_brake_pauses_and_a_probe_goes_on(tmp_path: Path) -> None:
    """It is told once, one session is tried now and then, and closing goes on when that ends well."""
    with desk_of(tmp_path, quick()) as (desk, sandbox):
        witness = Witness(sandbox)
        ids = sandbox.add_sessions(40)
        unknown = [str(uuid.uuid4()) for _ in range(3)]
        push(desk, unknown)
        alerts: list[dict[str, object]] = []
        brake = ("--max-failures", "0", "--probe-every", "500ms")
        with (
            serving(noting(alerts)) as hook,
            desk.started("work", QUEUE, *FAST, *brake, "--alert-url", f"{hook}/secret-path") as child,
        ):
            wait_until(lambda: len(desk.query("SELECT 1 FROM items WHERE outcome = 'not_found'")) > 0)
            push(desk, ids)
            wait_until(lambda: outcomes(desk)["closed"] == 40)
            child.process.send_signal(signal.SIGINT)
            done = child.ended()
        assert done.code == 130, done.err
        assert done.err.count("closing is paused") == 1, done.err
        assert done.err.count("a session was closed again: closing continues") == 1, done.err
        assert [(alert["about"], alert["over"]) for alert in alerts] == [("closing", False), ("closing", True)]
        assert "secret-path" not in done.err
        assert outcomes(desk) == {"closed": 40, "not_found": 3}
        assert max(witness.posts().values()) == 1
        assert_all_counted(desk)


def test_an_outage_of_the_api_is_sat_out_however_long(tmp_path: Path) -> None:
    """Told once, and once when it is over; nothing has failed. A key that is refused still ends it."""
    with desk_of(tmp_path, quick()) as (desk, sandbox):
        sandbox.outage = "503"
        ids = sandbox.add_sessions(30)
        push(desk, ids)
        with desk.started("work", QUEUE, *FAST, "--give-up-after", "1s", "--concurrency", "8") as child:
            begun = child.wait_for_line("no usable answer from the API for 1.0 s")
            sandbox.outage = None
            wait_until(lambda: outcomes(desk) == {"closed": 30})
            sandbox.revoke_key(KEY)
            push(desk, sandbox.add_sessions(1))
            done = child.ended()
        assert "trouble" in begun
        assert done.code == 3
        assert done.err.count("the API answers again") == 1
        assert "no usable answer" not in done.err
        assert "the API answered 401" in done.out
        assert_all_counted(desk)


def test_what_may_not_be_closed_yet_waits_in_the_ledger(tmp_path: Path) -> None:
    """It is acknowledged, and due at its time; that has come as soon as the ledger says so."""
    with desk_of(tmp_path, quick()) as (desk, sandbox):
        witness = Witness(sandbox)
        ids = sandbox.add_sessions(4)
        push(desk, ids[:2])
        later = time.time() + 3_600
        put(desk, {"session_id": ids[2], "not_before": later}, {"session_id": ids[3], "not_before": 1})
        with desk.started("work", QUEUE, *FAST, "--listen", "127.0.0.1:0") as child:
            operations = asking(child)
            wait_until(lambda: outcomes(desk) == {"closed": 3, "pending": 1})
            assert operations.ready() == (200, {})
            assert operations.scrape().samples["closeout_queue_messages"] == {
                (("state", state),): count for state, count in (("waiting", 0), ("in_flight", 0), ("dead", 0))
            }
            assert desk.query("SELECT 1 FROM messages") == []
            assert desk.query("SELECT due_at FROM items WHERE outcome = 'pending'") == [(round(later * 1000),)]
            desk.change("UPDATE items SET due_at = 5 WHERE outcome = 'pending'")
            wait_until(lambda: outcomes(desk) == {"closed": 4})
            child.process.send_signal(signal.SIGTERM)
            done = child.ended()
        assert done.code == 143
        assert "  closeout work queue:sessions\n" in done.out
        assert witness.posts() == Counter(ids)


def test_addresses_that_cannot_be_are_one_line(tmp_path: Path) -> None:
    """Nothing is sent, and no password is repeated."""
    desk = Desk(tmp_path, "http://127.0.0.1:9")
    (tmp_path / "ids.txt").write_text(f"{uuid.uuid4()}\n", encoding="utf-8")
    calls = [
        ("work", "sessions"),
        ("work", "kafka://secret@host/topic"),
        ("work", "queue:a b"),
        ("push", "ids.txt", "queue:x?visibility=soon"),
        ("push", "ids.txt", "queue:x?shards=3"),
        ("push", "missing.txt", "queue:x"),
    ]
    for done in side_by_side(desk.run, *calls):
        assert done.code == 2, done
        assert done.err.startswith("closeout: ")
        assert done.err.count("\n") == 1
        assert "secret" not in done.err


def test_a_doubt_that_was_given_up_is_taken_up_again_while_work_goes_on(tmp_path: Path) -> None:
    """Nobody resumes work that never ends: what could not be read for a while is read some time later."""
    with desk_of(tmp_path, quick()) as (desk, sandbox):
        (one,) = sandbox.add_sessions(1)
        sandbox.script(one, ["reset_after"])
        sandbox.script_reads(one, ["410", "410"])  # no look at it is ever tried again after that
        push(desk, [one])
        with desk.started("work", QUEUE, *FAST, "--give-up-after", "1s") as child:
            wait_until(lambda: desk.by_id().get(one, {}).get("outcome") == "closed")
            child.terminate()
            assert child.ended().code == 143
        assert_ledger_is_true(desk, sandbox, [one])
        assert sandbox.truth(one).closes_received == 1
