"""The same command on several machines: parts of a fleet fail, and nothing is lost, repeated, or sent too fast."""

import json
import random
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from tests.fleet.support import LEASE, WORDS, Fleet, fleet
from tests.front_door.clocks import with_clock
from tests.front_door.ordeal import LOST, READS
from tests.front_door.support import quick, wait_until, waited
from tests.postgres.databases import done_with, url_of
from tests.postgres.proxy import proxied
from tests.postgres.server import private_server

_QUIET = 1.2  # seconds without a request, of which there are 150 in each


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    """An empty ledger on the shared server."""
    yield url_of(tmp_path)
    done_with(tmp_path)


def lossy(seed: int) -> dict[str, object]:
    """A sandbox that loses many answers."""
    return {
        "seed": seed, "close_faults": LOST, "read_faults": READS, "list_faults": READS, "latency": 0.005,
        "latency_jitter": 0.03,
    }  # fmt: skip


def test_workers_are_killed_at_random_moments(tmp_path: Path, url: str) -> None:
    """Three at a time, the lead among them; each that dies is started again, and in the end all are closed once."""
    luck = random.Random(5)
    with fleet(tmp_path, url, quick(**lossy(5))) as work:
        work.prepare(400)
        with ExitStack() as stack:
            children = stack.enter_context(work.all_working(3))
            for _ in range(4):
                waited(work.witness.event_at(luck.randint(20, 60)))
                victim = luck.randrange(3)
                children[victim].process.kill()
                with work.held():
                    children[victim].ended()
                    work.remember()
                    children[victim] = stack.enter_context(work.working())
                    work.expect_at_work(children)
            ended = [child.ended() for child in children]
        work.expect_alike(ended)
        work.expect_truth()
        work.expect_budget()
        assert work.acknowledged
        assert max(work.witness.posts().values()) > 1, "no close was repeated: nothing was tested"


def test_workers_whose_clocks_differ_work_as_one(tmp_path: Path, url: str) -> None:
    """An hour behind, a day ahead: what one puts off, another takes up in time, and who closed what is true."""
    with fleet(tmp_path, url, quick(**lossy(6))) as work, ExitStack() as stack:
        work.prepare(200)
        with work.held():
            children = []
            for offset in ("-1h", "+25h", "+0s"):
                odd = replace(work, desk=with_clock(work.desk, offset))
                children.append(stack.enter_context(odd.working()))
            work.expect_at_work(children)
            started = work.asked("SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint AS now")[0]["now"]
        work.expect_alike([child.ended() for child in children])
        work.expect_truth()
        work.expect_budget()
        spans = "SELECT min(first_attempt_at) AS first, max(recorded_at) AS last FROM items"
        (told,) = work.asked(spans)
        (over,) = work.asked("SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint AS now")
        assert started - 1_000 <= told["first"] <= told["last"] <= over["now"] + 1_000


def test_the_database_is_restarted_under_load(tmp_path: Path) -> None:
    """In good order, and as after a crash: workers wait for it, and go on."""
    with private_server() as server, fleet(tmp_path, server.url, quick(latency=0.02)) as work:
        _expect_a_wrong_password_to_be_told(work)
        work.prepare(500)
        with work.all_working(3, "--rate", "100/s") as children:
            for mode in ("fast", "immediate"):
                waited(work.witness.event_at(80, "close"))
                server.restart(mode)
            ended = [child.ended() for child in children]
        work.expect_alike(ended)
        work.expect_truth()
        work.expect_budget()


def test_a_start_waits_for_a_database_that_starts(tmp_path: Path) -> None:
    """As a running worker does, and for as long: nothing is refused, all is closed."""
    with private_server() as server, fleet(tmp_path, server.url, quick()) as work:
        work.prepare(20)
        server.stop("fast")
        done = work.desk.run("close", "sessions.csv", "--ledger", work.url, *WORDS, "--give-up-after", "1s")
        assert (done.code, done.out) == (2, "")
        assert "Connection refused" in done.err.splitlines()[-1]
        with work.working() as child:
            child.wait_for_line("the ledger cannot be reached")
            server.start()
            done = child.ended()
        assert done.code == 0, done.err
        work.expect_truth()


def _expect_a_wrong_password_to_be_told(work: Fleet) -> None:
    with psycopg.connect(work.url, autocommit=True) as connection:
        connection.execute("CREATE USER guarded PASSWORD 'right'")
    done = work.desk.run("runs", "--ledger", work.url.replace("postgres@", "guarded:wr0ng@"))
    assert (done.code, done.out) == (2, "")
    assert done.err.count("\n") == 1
    assert 'password authentication failed for user "guarded"' in done.err
    assert "wr0ng" not in done.err


def test_a_worker_that_is_cut_off_sends_nothing_when_its_lease_ends(tmp_path: Path, url: str) -> None:
    """Another takes over; once the network is back the first one joins it, and both end alike."""
    with fleet(tmp_path, url, quick(latency=0.02)) as work, proxied(url) as proxy:
        work.prepare(500)
        with work.working(url=proxy.url(url)) as cut:
            waited(work.witness.event_at(60, "close"))
            proxy.hold()
            wait_until(lambda: not work.asked("SELECT 1 FROM workers WHERE lease_until > clock_timestamp()"))
            before = len(work.witness.log)
            time.sleep(LEASE)
            assert len(work.witness.log) == before, "it sends without a word from the database"
            with work.working() as other:
                waited(work.witness.event_at(100, "close"))
                work.remember()
                proxy.heal()
                ended = [cut.ended(), other.ended()]
        work.expect_alike(ended)
        work.expect_truth()
        work.expect_budget()
        assert "lease expired (no heartbeat)" in ended[0].err


def test_a_worker_that_is_stopped_for_longer_than_its_lease_begins_anew(tmp_path: Path, url: str) -> None:
    """What it had in flight was looked up by others meanwhile; it learns that before it sends anything."""
    with fleet(tmp_path, url, quick(latency=0.1, latency_jitter=0.1)) as work:
        work.prepare(600)
        with work.all_working(2) as children:
            stopped, other = children
            waited(work.witness.event_at(90, "close"))
            stopped.process.send_signal(signal.SIGSTOP)
            pid = stopped.process.pid
            wait_until(lambda: not work.asked(f"SELECT 1 FROM workers WHERE pid = {pid}"))  # noqa: S608  # a number
            work.remember()
            stopped.process.send_signal(signal.SIGCONT)
            ended = [stopped.ended(), other.ended()]
        assert "lease expired (no heartbeat)" in ended[0].err
        work.expect_alike(ended)
        work.expect_truth()
        work.expect_budget()


def test_term_drains_one_worker_and_the_others_go_on(tmp_path: Path, url: str) -> None:
    """Also where it leads; the last one to leave interrupts the run, which anybody can resume."""
    with fleet(tmp_path, url, quick(latency=0.02)) as work:
        work.prepare(600)
        with work.all_working(2, "--rate", "60/s") as children:
            first, second = children
            assert {each["run"] for each in work.workers()} == {work.asked("SELECT name FROM runs")[0]["name"]}
            waited(work.witness.event_at(150, "close"))
            first.terminate()
            gone = first.ended()
            assert (gone.code, gone.summary["state"]) == (143, "interrupted")
            assert work.asked("SELECT state FROM runs") == [{"state": "running"}]
            waited(work.witness.event_at(60, "close"))
            second.interrupt()
            last = second.ended()
        assert (last.code, last.summary["state"]) == (130, "interrupted")
        assert work.asked("SELECT state FROM runs") == [{"state": "interrupted"}]
        assert last.summary["outcomes"]["in_doubt"] == 0
        with work.working() as child:
            work.expect_alike([child.ended()])
        work.expect_truth()
        work.expect_budget()


def test_cap_and_canary_hold_over_the_whole_fleet(tmp_path: Path, url: str) -> None:
    """However many take part: so many are closed, and not one more."""
    with fleet(tmp_path, url, quick(latency=0.02)) as work:
        work.prepare(300)
        with work.all_working(3, "--canary", "10", "--limit", "120") as children:
            ended = [child.ended() for child in children]
        work.expect_alike(ended)
        assert ended[0].summary["outcomes"]["closed"] == work.sandbox.counts.closes_effective == 120
        assert ended[0].summary["outcomes"]["skipped"] == 180


def test_all_tell_the_same_of_a_run_that_halts(tmp_path: Path, url: str) -> None:
    """Also of what was in flight then, and of the pace: it is the run's, however fast each of them was to be."""
    config = quick(latency=0.3, latency_jitter=0.3, close_faults={"422": 1.0}, max_faults_per_session=None)
    with fleet(tmp_path, url, config) as work:
        work.prepare(600)
        patient = ("--timeout", "10s", "--lease", "15s")  # nothing is in doubt only because a machine is busy
        with ExitStack() as stack:
            rates = ("150/s", "90/s", "60/s")
            children = [stack.enter_context(work.working(*patient, "--rate", rate)) for rate in rates]
            ended = [child.ended() for child in children]
        work.expect_alike(ended, code=3)
        told = ended[0].summary
        assert (told["state"], told["outcomes"]["in_doubt"]) == ("halted", 0)
        assert told["requests"]["close"] == len([kind for kind, _ in work.witness.log if kind == "close"])
        assert told["outcomes"]["pending"] > 0


def _is_quiet(work: Fleet, seconds: float) -> bool:
    """Whether nothing arrives for so long."""
    before = len(work.witness.log)
    time.sleep(seconds)
    return len(work.witness.log) == before


def test_a_word_to_the_run_reaches_all_workers(tmp_path: Path, url: str) -> None:
    """Paused, nobody sends; and the password of an address is said to nobody."""
    with fleet(tmp_path, f"{url}&password=s3cret", quick(latency=0.02)) as work:
        work.prepare(300)
        with work.all_working(2) as children:
            waited(work.witness.event_at(60, "close"))
            done = [work.desk.run("pause", "last", "--ledger", work.url)]
            wait_until(lambda: _is_quiet(work, _QUIET))
            assert work.asked("SELECT 1 FROM items WHERE outcome IN ('pending', 'claimed')"), (
                "it was not paused in time"
            )
            done += [work.desk.run(word, "last", "--ledger", work.url) for word in ("show", "go")]
            ended = [child.ended() for child in children]
        done += [work.desk.run(word, "--ledger", work.url) for word in ("fleet", "runs", "doctor")]
        work.expect_alike(ended)
        assert all("s3cret" not in each.out + each.err for each in (*done, *ended))
        assert "s3cret" not in json.dumps(work.asked("SELECT * FROM runs"))
