"""Jobs started at their times: once each, one at a time, a missed night once, and an end that lets them end."""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC
from pathlib import Path

import anyio
import pytest

from closeout.jobs.definitions.cron import Schedule
from closeout.jobs.scheduling import scheduler as scheduling
from closeout.jobs.scheduling.scheduler import SchedulerDeps, run_child, run_schedule
from tests.engine.virtual_time import late_by_up_to, run_virtually

HOUR = 3_600_000
DAY = 24 * HOUR
NIGHTLY = Schedule("nightly", "0 3 * * *", UTC, catch_up=12 * HOUR)


@pytest.fixture(autouse=True)
def long_naps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Virtual days go by faster, and a start is on time all the same."""
    monkeypatch.setattr(scheduling, "_NAP", 20 * 60_000)


@dataclass
class World:
    """A ledger that remembers starts, and a clock that begins at ``began``; a job takes ``takes`` seconds."""

    began: int = 0
    takes: float = 60.0
    known: dict[str, int] = field(default_factory=dict)
    starts: list[tuple[str, int]] = field(default_factory=list)
    running: int = 0
    remembers: bool = True
    zero: float | None = None

    def now(self) -> int:
        """Virtual milliseconds."""
        if self.zero is None:
            self.zero = asyncio.get_running_loop().time()
        return self.began + int((asyncio.get_running_loop().time() - self.zero) * 1000)

    async def started(self, name: str) -> int | None:
        """As the ledger knows it."""
        return self.known.get(name)

    async def run(self, schedule: Schedule) -> None:
        """One job; never two."""
        assert not self.running
        self.running += 1
        self.starts.append((schedule.name, self.now()))
        if self.remembers:
            self.known[schedule.name] = self.now()
        await asyncio.sleep(self.takes)
        self.running -= 1

    def keep(self, *schedulers: list[Schedule], seconds: float) -> list[tuple[str, int]]:
        """What several schedulers on one ledger start in so many seconds."""

        async def work() -> None:
            lock, stop = anyio.Lock(), anyio.Event()

            @asynccontextmanager
            async def in_turn() -> AsyncIterator[bool]:
                async with lock:
                    yield not stop.is_set()

            keeping = SchedulerDeps(self.now, self.started, in_turn, self.run, stop)
            async with anyio.create_task_group() as tasks:
                for schedules in schedulers:
                    tasks.start_soon(run_schedule, schedules, keeping)
                await asyncio.sleep(seconds)
                stop.set()

        run_virtually(work, late_by_up_to(0.5, seed=1))
        return self.starts


@pytest.mark.parametrize("schedulers", [1, 2])
def test_each_night_the_job_is_started_once(schedulers: int) -> None:
    """At its time, also where two keep the same times."""
    starts = World().keep(*[[NIGHTLY]] * schedulers, seconds=3 * 86_400)
    assert len(starts) == 3
    assert all(0 <= at - (day * DAY + 3 * HOUR) < 60_000 for day, (_, at) in enumerate(starts))


def test_jobs_of_one_organisation_wait_for_each_other() -> None:
    """None is left out for it, and ``run`` finds nobody running."""
    others = [Schedule(name, "0 3 * * *", UTC) for name in ("a", "b")]
    starts = World(takes=7_200).keep([NIGHTLY, *others], seconds=2 * 86_400)
    assert sorted(name for name, _ in starts) == ["a", "a", "b", "b", "nightly", "nightly"]


@pytest.mark.parametrize(("began", "expected"), [(14, [14, 27]), (16, [27])])
def test_a_missed_night_is_made_up_for_once(began: int, expected: list[int]) -> None:
    """If it is not too late for it, and the job had been started before."""
    world = World(began=DAY + began * HOUR, known={"nightly": 3 * HOUR})
    starts = world.keep([NIGHTLY], seconds=15 * 3_600)
    assert [(at - DAY) // HOUR for _, at in starts] == expected


def test_a_job_that_never_ran_has_missed_nothing() -> None:
    """Whoever begins to keep its times at two minutes past three sees it start the night after, and no sooner."""
    starts = World(began=3 * HOUR + 2 * 60_000).keep([NIGHTLY], seconds=86_400)
    assert [at // DAY for _, at in starts] == [1]


def test_a_start_that_the_ledger_never_knew_of_is_not_made_again() -> None:
    """A job that fails at once, say for its configuration, is not started over and over."""
    assert len(World(remembers=False, takes=0.1).keep([NIGHTLY], seconds=2 * 86_400)) == 2


async def there(path: Path) -> None:
    """Wait until another process has made this file."""
    while not path.exists():  # noqa: ASYNC110, ASYNC240  # it has no other way to tell us
        await anyio.sleep(0.01)


def test_a_child_is_told_to_stop_once_and_may_end_what_it_began(tmp_path: Path) -> None:
    """By TERM; its exit code is ours."""
    ready, drained = tmp_path / "ready", tmp_path / "drained"
    script = (
        "import pathlib, signal, sys, time\n"
        "def drain(*_):\n"
        "    time.sleep(0.05); pathlib.Path(sys.argv[2]).touch(); sys.exit(143)\n"
        f"signal.signal({int(signal.SIGTERM)}, drain); pathlib.Path(sys.argv[1]).touch(); time.sleep(60)\n"
    )

    async def check() -> int:
        stop, codes = anyio.Event(), list[int]()

        async def child() -> None:
            codes.append(await run_child([sys.executable, "-c", script, str(ready), str(drained)], stop))

        with anyio.fail_after(20):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(child)
                await there(ready)
                stop.set()
        return codes[0]

    assert anyio.run(check) == 143
    assert drained.exists()


def test_a_child_that_ends_by_itself_gives_its_code(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever it is. Two processes cannot answer at one address."""
    monkeypatch.setenv("CLOSEOUT_LISTEN", "9464")
    script = "import os; raise SystemExit(4 + ('CLOSEOUT_LISTEN' in os.environ))"
    assert anyio.run(run_child, [sys.executable, "-c", script], anyio.Event()) == 4
