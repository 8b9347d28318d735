"""``close_sessions`` within a program: the same run without a command line, and the program is left as it was."""

import asyncio
import json
import logging
import re
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

import closeout
from closeout import (
    CloseoutError,
    CloseResult,
    ConfigurationError,
    Outcome,
    RunNotFoundError,
    SettingsGiven,
    Snapshot,
    SourceError,
    close_sessions,
    resume_run,
)
from closeout.worker.config.settings import INTERNAL_SETTINGS, Settings
from closeout.worker.domain.run import Run
from closeout.worker.ledger.records import NewRun
from closeout.worker.ledger.sqlite.store import SqliteStore
from closeout.worker.sandbox import Sandbox
from tests.forked import ROOT
from tests.front_door.support import KEY, LONGEST, Desk, Witness, assert_ledger_is_true, desk_of, quick

Place = tuple[Desk, Sandbox, dict[str, Any]]
FAST: SettingsGiven = {"rate": "600/s", "first_look": "100ms", "none_grace": 0.1}


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    """A sandbox, and what every call is given."""
    with desk_of(tmp_path, quick(latency=0.02, eval_delay=(0.0, 0.05), premature_none=0.0)) as (desk, sandbox):
        yield desk, sandbox, {"api_key": KEY, "ledger": desk.ledger, "base_url": desk.url, **FAST}


def test_a_list_is_closed_and_the_program_is_left_as_it_was(place: Place, capfd: pytest.CaptureFixture[str]) -> None:
    """Typed results and progress; nothing printed, no signal caught, no logging set up."""
    desk, sandbox, access = place
    ids = sandbox.add_sessions(30)
    given: list[Any] = [*ids[:20], *map(uuid.UUID, ids[20:]), ids[0].upper(), "nonsense", 7]
    seen: list[tuple[Snapshot, object]] = []
    handlers = (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM), list(logging.root.handlers))

    async def program() -> tuple[CloseResult, list[closeout.ResultRow]]:
        result = await close_sessions(
            given,
            on_progress=lambda now: seen.append((now, signal.getsignal(signal.SIGINT))),
            progress_every=0.05,
            reason="abandoned",
            **access,
        )
        return result, [row async for row in result.rows(outcomes=["closed", Outcome.INVALID])]

    result, rows = asyncio.run(program())
    assert (result.state, result.exit_code, result.rows_read, result.duplicates) == ("finished", 1, 33, 1)
    assert {outcome: count for outcome, count in result.outcomes.items() if count} == {
        Outcome.CLOSED: 30,
        Outcome.INVALID: 2,
    }
    assert [row.session_id for row in rows] == [*ids, "nonsense", "7"]
    closed, told = rows[0], desk.by_id()[ids[0]]
    assert (closed.eval_settled, closed.line, closed.attempts) == (True, 1, 1)
    assert {sandbox.truth(one).reason for one in ids} == {"abandoned"}
    assert closed.closed_at is not None
    assert closed.closed_at.isoformat(timespec="milliseconds").replace("+00:00", "Z") == told["closed_at"]
    assert_ledger_is_true(desk, sandbox, ids)
    assert len(seen) > 1
    assert (seen[-1][0].done, seen[-1][0].sessions, seen[-1][0].in_flight) == (32, 32, 0)
    assert result.summary == {**desk_summary(desk, result.run), "exit_code": 1}
    assert capfd.readouterr() == ("", "")
    assert handlers == (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM), list(logging.root.handlers))
    assert {handler for _, handler in seen} <= {handlers[0], *{h for _, h in seen if "Runner" in repr(h)}}


def desk_summary(desk: Desk, run: str) -> dict[str, Any]:
    """The summary's keys as ``show --json`` has them."""
    shown = json.loads(desk.run("show", run, "--json").out)
    return {key: shown[key] for key in [
        "run", "job", "state", "why", "rows_read", "duplicates", "outcomes", "eval_status", "unsettled", "requests",
        "seconds", "rate",
    ]}  # fmt: skip


def test_an_iterable_that_breaks_off_ends_the_run_in_good_order(place: Place) -> None:
    """What it yielded is in the run, which can be resumed; its own error is the cause of ours, sync or not."""
    desk, sandbox, access = place
    ids = sandbox.add_sessions(10)

    async def streamed() -> AsyncIterator[str]:
        for one in ids[:5]:
            yield one
        raise OSError("the database went away")

    def yielded() -> Iterator[str]:
        yield from ids[5:]
        raise OSError("the database went away")

    async def program() -> None:
        for given in (streamed(), yielded()):
            with pytest.raises(SourceError, match="broke off") as caught:
                await close_sessions(given, **access)
            assert isinstance(caught.value.__cause__, OSError)
            result = await resume_run(**access)
            assert (result.state, result.rows_read) == ("halted", 5)
            assert result.outcomes[Outcome.CLOSED] == 5

    asyncio.run(program())
    assert_ledger_is_true(desk, sandbox, ids)


@pytest.mark.parametrize("by", ["cancel", "timeout", "callback"])
def test_whoever_ends_it_early_waits_for_what_is_in_flight(place: Place, by: str) -> None:
    """Cancellation, time limit, a callback that fails: nothing is in doubt, and ``resume_run`` closes the rest."""
    desk, sandbox, access = place
    witness, ids = Witness(sandbox), sandbox.add_sessions(80)
    access |= {"rate": "100/s"}

    def fail_late(now: Snapshot) -> None:
        if now.done > 20:
            raise LookupError("enough")

    async def program() -> CloseResult:
        if by == "callback":
            with pytest.raises(LookupError):
                await close_sessions(ids, on_progress=fail_late, progress_every=0.05, **access)
        elif by == "timeout":
            loop, limit = asyncio.get_running_loop(), asyncio.timeout(LONGEST)

            def is_up() -> None:
                loop.call_soon_threadsafe(limit.reschedule, loop.time())

            witness.at(20, is_up, "close")
            with pytest.raises(TimeoutError):
                async with limit:
                    await close_sessions(ids, **access)
        else:
            task = asyncio.create_task(close_sessions(ids, **access))
            event = witness.event_at(20, "close")
            await asyncio.to_thread(event.wait, LONGEST)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        counts = {row["outcome"] for row in desk.rows()}
        assert counts == {"closed", "pending"}
        return await resume_run("last", **{**access, "rate": "600/s"})

    result = asyncio.run(program())
    assert (result.state, result.outcomes[Outcome.CLOSED]) == ("finished", 80)
    assert set(witness.posts().values()) == {1}
    assert_ledger_is_true(desk, sandbox, ids)


def test_a_cancellation_while_the_run_is_made_breaks_no_ledger(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its first statement is at work in a thread then, and its connection must not be closed under it."""
    desk, sandbox, access = place
    ids = sandbox.add_sessions(3)
    begun, cancelled, create_run = threading.Event(), threading.Event(), SqliteStore.create_run

    def slow(store: SqliteStore, new: NewRun, now: int) -> Run:
        begun.set()
        assert cancelled.wait(LONGEST)
        time.sleep(0.1)  # for whoever would close the connection now
        return create_run(store, new, now)

    async def program() -> CloseResult:
        task = asyncio.create_task(close_sessions(ids, **access))
        await asyncio.to_thread(begun.wait, LONGEST)
        task.cancel()
        asyncio.get_running_loop().call_soon(cancelled.set)
        with pytest.raises(asyncio.CancelledError):
            await task
        return await resume_run("last", **access)

    monkeypatch.setattr(SqliteStore, "create_run", slow)
    assert asyncio.run(program()).state == "halted"  # its ids were never read
    assert sandbox.counts.closes_effective == 0
    assert desk.rows() == []


@pytest.mark.parametrize(
    ("given", "changes", "told"),
    [
        ("0190c1f2-0000-7000-8000-000000000001", {}, "a single text is not a list"),
        (7, {}, "neither an iterable"),
        ([], {"rat": "4/s"}, "unknown setting 'rat'; did you mean rate?"),
        ([], {"rate": "fast"}, "rate: "),
        ([], {"protect": ["waiting_for_humann"]}, "did you mean waiting_for_human?"),
        ([], {"reason": "abandonned"}, "did you mean abandoned"),
        ([], {"api_key": "a b"}, "api_key"),
        ([], {"closes": False}, "unknown setting 'closes'"),
        ([], {"base_url": "http://example.com"}, "https"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_happens(
    tmp_path: Path, given: Any, changes: dict[str, Any], told: str
) -> None:
    """Not even a ledger is made."""
    path = tmp_path / "closeout.db"
    with pytest.raises(ConfigurationError, match=re.escape(told)):
        asyncio.run(close_sessions(given, **{"api_key": KEY, "ledger": path, **changes}))
    assert not path.exists()


def test_an_empty_iterable_is_a_finished_run(place: Place) -> None:
    """And a run that does not exist, or has another host, is an error of ours."""
    _, _, access = place
    assert asyncio.run(close_sessions([], **access)).exit_code == 0
    changes: list[dict[str, Any]] = [{"base_url": "http://127.0.0.1:1"}, {"api": "1.90"}, {"reason": "abandonned"}]
    for changed in changes:
        with pytest.raises(ConfigurationError, match=r"one host|did you mean abandoned"):
            asyncio.run(resume_run(**access | changed))
    with pytest.raises(RunNotFoundError):
        asyncio.run(resume_run("nosuchrun", **access))
    assert issubclass(RunNotFoundError, CloseoutError)


def test_every_setting_of_a_run_can_be_given() -> None:
    """By its own name; some belong to files and to queues alone."""
    elsewhere = INTERNAL_SETTINGS | {"id_column", "lenient_ids", "allow_empty", "dedupe_for", "probe_every"}
    assert set(SettingsGiven.__annotations__) == set(Settings.model_fields) - elsewhere
    assert (Path(closeout.__file__).parent / "py.typed").is_file()
    assert all(getattr(closeout, name) is not None for name in closeout.__all__)


def test_the_documented_example_runs(place: Place) -> None:
    """As it stands in the documentation."""
    desk, sandbox, _ = place
    ids = sandbox.add_sessions(5)
    page = ROOT / "docs" / "library.md"
    (example,) = re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.S)
    env = desk.environment() | {"SESSIONS": " ".join([*ids, "nonsense"]), "FEATHER_API_KEY": KEY}
    env |= {"FEATHER_BASE_URL": desk.url or ""}
    example = example.replace('rate="40/s"', 'rate="40/s", first_look="100ms", none_grace="100ms"')
    command = [sys.executable, "-c", example]
    done = subprocess.run(command, cwd=desk.home, env=env, capture_output=True, text=True, timeout=LONGEST, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-1].endswith("finished 5 closed")
    assert_ledger_is_true(desk, sandbox, ids)
