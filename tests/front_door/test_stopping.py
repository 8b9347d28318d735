"""INT, TERM and a second process: a run stops cleanly, belongs to one process, and goes on where it was."""

import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from closeout.worker.sandbox import Sandbox
from tests.front_door.support import (
    FAST,
    LONGEST,
    Child,
    Desk,
    Witness,
    assert_all_counted,
    assert_ledger_is_true,
    desk_of,
    quick,
    waited,
)

Place = tuple[Desk, Sandbox, Witness]
STEADY = ("--rate", "80/s", "--first-look", "300ms", "--none-grace", "500ms", "--no-progress")
CLOSE = ("close", "sessions.csv")


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    """150 sessions, a CSV of them, and a sandbox whose answers take a moment."""
    with desk_of(tmp_path, quick(latency=0.05)) as (desk, sandbox):
        desk.write_ids(sandbox.add_sessions(150))
        yield desk, sandbox, Witness(sandbox)


def outcomes(desk: Desk) -> Counter[str]:
    return Counter(row["outcome"] for row in desk.rows())


def state(desk: Desk) -> str:
    return str(desk.query("SELECT state FROM runs ORDER BY id DESC LIMIT 1")[0][0])


def stop_after(child: Child, witness: Witness, closes: int, *, term: bool) -> None:
    """Send a signal once so many closes have arrived."""
    waited(witness.event_at(closes, "close"))
    (child.terminate if term else child.interrupt)()


@pytest.mark.parametrize(("term", "code"), [(False, 130), (True, 143)])
def test_a_signal_drains_records_and_says_how_to_go_on(place: Place, term: bool, code: int) -> None:
    """After INT or TERM what was in flight is recorded, the rest stays pending, and ``resume`` finishes."""
    desk, sandbox, witness = place
    with desk.started(*CLOSE, *STEADY) as child:
        stop_after(child, witness, 30, term=term)
        done = child.ended()
    assert done.code == code
    assert state(desk) == "interrupted"
    name = desk.query("SELECT name FROM runs")[0][0]
    assert f"closeout resume {name}" in done.out + done.err
    found = outcomes(desk)
    assert set(found) == {"closed", "pending"}
    assert found["closed"] == sandbox.counts.closes_effective == witness.posts().total() < 150
    assert_all_counted(desk)
    assert desk.run("resume", name, *FAST).code == 0
    assert outcomes(desk) == {"closed": 150}
    assert_ledger_is_true(desk, sandbox, list(desk.by_id()))
    assert max(witness.posts().values()) == 1


@pytest.fixture
def given_up(tmp_path: Path) -> Iterator[Place]:
    """A run of 12 sessions against a server that hangs, given up with a second Ctrl-C when 6 closes were sent."""
    with desk_of(tmp_path, quick(close_faults={"hang": 1}, max_faults_per_session=1)) as (desk, sandbox):
        desk.write_ids(sandbox.add_sessions(12))
        witness = Witness(sandbox)
        with desk.started(*CLOSE, *FAST, "--concurrency", "6", "--timeout", "5m") as child:
            waited(witness.event_at(6, "close"))
            child.interrupt()
            wait_until_draining(child)
            child.interrupt()
            assert child.ended().code == 130
        yield desk, sandbox, witness


def test_a_second_signal_gives_up_at_once_and_leaves_doubt(given_up: Place) -> None:
    """What hangs is in doubt after a second Ctrl-C; ``resume`` looks at it before it sends anything for it."""
    desk, sandbox, witness = given_up
    sent = set(witness.posts())
    assert state(desk) == "interrupted"
    assert {one for one, row in desk.by_id().items() if row["outcome"] == "in_doubt"} >= sent
    assert desk.run("resume", "last", *FAST, "--timeout", "500ms").code == 0
    assert witness.unverified_repeats() == []
    assert_ledger_is_true(desk, sandbox, list(desk.by_id()))
    assert set(witness.posts().values()) == {1}


def test_what_was_not_sent_is_pending_after_a_second_signal(given_up: Place) -> None:
    """In doubt is what was sent; what never left is pending."""
    desk, _, witness = given_up
    sent = set(witness.posts())
    unsent = {row["outcome"] for one, row in desk.by_id().items() if one not in sent}
    assert unsent == {"pending"}


def wait_until_draining(child: Child) -> None:
    """A first signal is taken in when the process no longer has it pending, as the kernel tells."""
    deadline = time.monotonic() + LONGEST
    status = Path(f"/proc/{child.process.pid}/status")
    while time.monotonic() < deadline:
        pending = [line.split()[1] for line in status.read_text().splitlines() if line.startswith(("SigPnd", "ShdPnd"))]
        if all(int(mask, 16) == 0 for mask in pending):
            return
    raise AssertionError("the signal was not taken in")


def test_a_second_process_on_a_run_is_refused(place: Place) -> None:
    """The second one exits with 5 and sends nothing; the first goes on to the end."""
    desk, sandbox, witness = place
    other = Desk(desk.home, desk.url, key="a-key-that-shows-any-request")
    with desk.started(*CLOSE, *STEADY, "--rate", "30/s") as first, ThreadPoolExecutor(4) as pool:
        waited(witness.event_at(5, "close"))
        commands = [("resume", "last"), CLOSE, ("retry", "last"), ("settle", "last")]
        for refused in pool.map(lambda words: other.run(*words, *FAST), commands):
            assert (refused.code, refused.out) == (5, "")
            assert refused.err.startswith("closeout: another process works on run")
            assert refused.err.count("\n") == 1
        assert first.process.poll() is None, "the first one ended before the others came"
        assert first.ended().code == 0
    assert sandbox.counts.bad_keys == 0, "the second process has sent something"
    assert outcomes(desk) == {"closed": 150}
    assert set(witness.posts().values()) == {1}


def interrupted(place: Place) -> str:
    """Interrupt a run of ``sessions.csv``; returns its name."""
    desk, _, witness = place
    with desk.started(*CLOSE, *STEADY) as child:
        stop_after(child, witness, 20, term=True)
        assert child.ended().code == 143
    return str(desk.query("SELECT name FROM runs")[0][0])


def test_the_same_source_goes_on_and_a_changed_one_is_refused(place: Place) -> None:
    """A source whose run is unfinished resumes that run and says so; with other rows in it, exit 2 and nothing sent."""
    desk, _, witness = place
    name = interrupted(place)
    source, before = desk.home / "sessions.csv", len(witness.log)
    text = source.read_text()
    header, *lines = text.splitlines()
    source.write_text("\n".join([header, *reversed(lines)]) + "\n")
    refused = desk.run(*CLOSE, *FAST)
    assert (refused.code, refused.out) == (2, "")
    assert "has changed since run" in refused.err
    assert len(witness.log) == before
    source.write_text(text)
    done = desk.run(*CLOSE, *FAST)
    assert done.code == 0
    assert f"has an unfinished run, {name}: resuming it" in done.err
    assert desk.query("SELECT name, state FROM runs") == [(name, "finished")]
    assert set(witness.posts().values()) == {1}


def test_new_run_starts_anew(place: Place) -> None:
    """``--new-run`` leaves the unfinished run as it is; what that one closed is already closed for the new one."""
    desk, sandbox, _ = place
    name = interrupted(place)
    before = Counter(row["outcome"] for row in desk.rows())
    for session in sandbox.store.by_id.values():  # clocks may be apart: what was closed a moment ago passes for ours
        session.closed_us = session.closed_us and session.closed_us - 20_000_000
    assert desk.run(*CLOSE, *FAST, "--new-run").code == 0
    by_run = Counter((row["run"] == name, row["outcome"]) for row in desk.rows())
    assert by_run[True, "closed"] == before["closed"] == by_run[False, "already_closed"]
    assert by_run[True, "pending"] == before["pending"] == by_run[False, "closed"]


@pytest.mark.parametrize("term", [True, False])
def test_a_signal_ends_a_run_that_waits_for_an_idle_pipe(place: Place, term: bool) -> None:
    """A run whose pipe has fallen silent ends promptly when told to, and has recorded what it did."""
    desk, sandbox, witness = place
    ids = list(sandbox.store.by_id)
    with desk.started("close", "-", *FAST, stdin=subprocess.PIPE) as child:
        assert child.process.stdin is not None
        child.process.stdin.write("".join(f"{one}\n" for one in ids * 20).encode())
        child.process.stdin.flush()
        waited(witness.event_at(len(ids), "close"))
        (child.terminate if term else child.interrupt)()
        assert child.process.wait(20) == (143 if term else 130)
    assert state(desk) == "interrupted"
    assert outcomes(desk) == {"closed": len(ids)}


@pytest.mark.parametrize("term", [True, False])
def test_a_signal_ends_a_wait_for_the_first_row(tmp_path: Path, term: bool) -> None:
    """A pipe through which nothing comes does not hold a process that was told to stop."""
    desk = Desk(tmp_path, "http://127.0.0.1:9")
    with desk.started("close", "-", *FAST, stdin=subprocess.PIPE) as child:
        wait_until_it_reads(child)
        (child.terminate if term else child.interrupt)()
        assert child.process.wait(LONGEST) in ({143, -15} if term else {130, -2})


def wait_until_it_reads(child: Child) -> None:
    """Until a thread of the process sleeps in a read from the pipe, as the kernel tells."""
    deadline = time.monotonic() + LONGEST
    while time.monotonic() < deadline:
        tasks = Path(f"/proc/{child.process.pid}/task").glob("*/wchan")
        if any("pipe_read" in one.read_text() for one in tasks) or reads_standard_input(child):
            return
        time.sleep(0.02)
    raise AssertionError("it does not read its standard input")


def reads_standard_input(child: Child) -> bool:
    """Whether a thread is in ``read(0, ...)``."""
    found = []
    for call in Path(f"/proc/{child.process.pid}/task").glob("*/syscall"):
        found.append(call.read_text().split()[:2])
    return ["0", "0x0"] in found
