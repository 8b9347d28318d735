"""What the live page costs: one look for all, none for nobody, and counts that are rare where they are slow."""

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import anyio
import pytest

from closeout.worker.domain.item import Outcome
from closeout.worker.domain.run import Run
from closeout.worker.ledger.open import open_ledger
from closeout.worker.ledger.protocol import Ledger
from closeout.worker.ledger.records import Counts
from closeout.worker.ledger.stores import Traffic
from closeout.worker.pace.budget import BudgetKey, BudgetStore
from closeout.worker.report.run_report import read_run_report
from closeout.worker.support.errors import LedgerError
from closeout.worker.web.ledger_handle import OpenedLedger
from closeout.worker.web.pages import left, live
from closeout.worker.web.run_feed import Following, RunList
from closeout.worker.web.updates import STILL_THERE, Refresh, Watch
from tests.engine.virtual_time import run_virtually
from tests.ledger.support import NOW
from tests.pace.support import MemoryBudget
from tests.pages.nights import eventful, make_eventful


@pytest.mark.anyio
async def test_a_followed_run_is_told_as_its_report_tells_it(tmp_path: Path) -> None:
    """Added up look by look; and whatever came from outside is text there, too."""
    async with eventful(tmp_path) as (ledger, run):
        following, report = Following(run.name), await read_run_report(ledger, run, NOW)
        first, second = await following.story(ledger), await following.story(ledger)
    for story in (first, second):
        assert (story.counts, story.causes, story.paces) == (report.counts, report.causes, report.paces)
        assert [(each.at, each.kind, each.count) for each in story.traffic] == [
            (each.at, each.kind, each.count) for each in report.traffic
        ]
    markup = live(second, 0.0)
    assert "<script" not in markup
    assert "&lt;script&gt;" in markup
    assert "<img" not in markup


class Slow:
    """A ledger of one run at work, whose counts take long. Its clock is set by hand."""

    def __init__(self, run: Run) -> None:
        self.run, self.now, self.counted, self.asked = run, 100.0, 0, [0]
        self.reports = self

    def clock(self) -> float:
        return self.now

    async def find_run(self, _: str) -> Run:
        return self.run

    def budget(self, _: BudgetKey) -> AbstractAsyncContextManager[BudgetStore]:
        return nullcontext(MemoryBudget(self.clock))

    async def busy(self, _: Run) -> bool:
        return True

    async def counts(self, _: Run) -> Counts:
        self.counted, self.now = self.counted + 1, self.now + 2.0
        return Counts()

    async def causes(self, _run: Run, _limit: int) -> list[Any]:
        return []

    async def paces(self, _: Run) -> list[Any]:
        return []

    async def traffic(self, _run: Run, _width: int, after: int) -> list[Traffic]:
        self.asked.append(after)
        return [Traffic(NOW, "close", 5, 1, 0, after + 7)]


@pytest.mark.anyio
async def test_a_count_that_is_slow_is_made_the_less_often(tmp_path: Path) -> None:
    """Two seconds of counting are paid for by forty without; exchanges are read from where the last look ended."""
    async with open_ledger(str(tmp_path / "ledger.db"), create=True) as ledger:
        run = await make_eventful(ledger)
        await ledger.start_run(run, run.options)
        slow = Slow(await ledger.find_run(run.name))
    following = Following("x", slow.clock)
    ends = slow.now + 90.0
    while slow.now < ends:
        story = await following.story(cast("Ledger", slow))
        slow.now += 1.0
    assert slow.counted == 3
    assert slow.asked[1:] == [7 * at for at in range(len(slow.asked) - 1)]
    assert (story.traffic[0].count, story.traffic[0].throttled) == (5 * len(slow.asked[1:]), len(slow.asked[1:]))


@pytest.mark.anyio
async def test_the_time_left_goes_by_the_last_minute(tmp_path: Path) -> None:
    """Of closes that were answered; nobody knows it before the source was read, nor without a close."""
    async with eventful(tmp_path) as (ledger, run):
        story = await read_run_report(ledger, run, NOW)
    running = replace(story.run, state="running")
    counts = replace(story.counts, outcomes={Outcome.PENDING: 300})
    traffic = [Traffic(NOW + at * 1_000, "close", 7, 1, 1, at) for at in range(120)]
    story = replace(story, run=running, counts=counts, traffic=traffic, until=NOW + 120_000)
    assert left(story) == pytest.approx(60.0)
    assert left(replace(story, until=NOW + 150_000)) == pytest.approx(120.0)
    assert left(replace(story, until=NOW + 200_000)) is None
    assert left(replace(story, run=replace(running, source_done=False))) is None
    assert "about 1 min 0 s left" in live(story, 0.0)


@pytest.mark.anyio
async def test_the_list_counts_a_few_ended_runs_at_a_time_and_each_once(tmp_path: Path) -> None:
    """So that it is there at once, however many there are."""
    async with open_ledger(str(tmp_path / "ledger.db"), create=True) as ledger:
        for _ in range(5):
            await make_eventful(ledger)
        listed = RunList()
        unknown = [(await listed.markup(ledger)).count("–") for _ in range(3)]  # noqa: RUF001  # a dash is meant
    assert unknown == [6, 0, 0]


@pytest.mark.anyio
async def test_a_ledger_that_is_replaced_by_another_is_opened_anew(tmp_path: Path) -> None:
    """Which is not to be seen from its name; and one that went away is said to be away."""
    path = tmp_path / "ledger.db"
    opened = OpenedLedger(str(path))
    names = []
    for _ in range(2):
        with pytest.raises(LedgerError, match="there is no ledger"):
            await opened.get()
        async with open_ledger(str(path), create=True) as ledger:
            names.append((await make_eventful(ledger)).name)
        assert await opened.get() is await opened.get()
        assert [run.name for run in await (await opened.get()).runs()] == names[-1:]
        _empty(tmp_path)
    await opened.close()


def _empty(folder: Path) -> None:
    for file in folder.iterdir():
        file.unlink()


class Somewhere(OpenedLedger):
    """A ledger that is there or not."""

    def __init__(self) -> None:
        super().__init__("nowhere")
        self.there = True

    async def get(self) -> Ledger:
        await anyio.lowlevel.checkpoint()
        if not self.there:
            raise LedgerError("gone")
        return cast("Ledger", self)


class Audience:
    """Watchers of one topic, and how often it was looked at."""

    def __init__(self, watch: Watch) -> None:
        self.watch, self.looks = watch, 0
        self.markup = "one"

    def refresh(self) -> Refresh:
        async def look(_: Ledger) -> str:
            await anyio.lowlevel.checkpoint()
            self.looks += 1
            return self.markup

        return look

    async def hear(self, count: int) -> list[str | None]:
        heard: list[str | None] = []
        async for markup in self.watch.follow("topic", self.refresh):
            heard.append(markup)
            if len(heard) == count:
                break
        return heard


def watched(scene: Callable[[Watch, Audience, Somewhere], Awaitable[None]]) -> None:
    """Play a scene in virtual time."""

    async def play() -> None:
        opened = Somewhere()
        watch = Watch(opened, lambda told: f"trouble: {told}")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(watch.run)
            await scene(watch, Audience(watch), opened)
            tasks.cancel_scope.cancel()

    run_virtually(play)


def test_all_watchers_share_one_look_a_second_and_nobody_costs_none() -> None:
    """A page that is open all day costs what one look a second costs."""

    async def scene(_watch: Watch, audience: Audience, _opened: Somewhere) -> None:
        await anyio.sleep(1_000)
        assert audience.looks == 0
        async with anyio.create_task_group() as tasks:
            for _ in range(5):
                tasks.start_soon(audience.hear, 2)
            await anyio.sleep(10)
            assert 8 <= audience.looks <= 11
            audience.markup = "two"
        looks = audience.looks
        await anyio.sleep(1_000)
        assert audience.looks <= looks + 1

    watched(scene)


def test_what_one_page_trips_over_does_not_end_the_others() -> None:
    """A run of a newer version, say."""

    def broken() -> Refresh:
        async def look(_: Ledger) -> str:
            await anyio.lowlevel.checkpoint()
            raise ValueError("secret")

        return look

    async def scene(watch: Watch, audience: Audience, _opened: Somewhere) -> None:
        async for markup in watch.follow("broken", broken):
            assert markup == "trouble: unexpected ValueError: this page cannot be shown"
            break
        assert await audience.hear(1) == ["one"]

    watched(scene)


def test_watchers_hear_what_is_new_once_and_that_we_are_still_there() -> None:
    """Also that the ledger went away, and came back."""

    async def scene(_watch: Watch, audience: Audience, opened: Somewhere) -> None:
        async with anyio.create_task_group() as tasks:
            heard: list[str | None] = []

            async def listen() -> None:
                heard.extend(await audience.hear(5))

            tasks.start_soon(listen)
            await anyio.sleep(5)
            opened.there = False
            await anyio.sleep(5)
            opened.there = True
            await anyio.sleep(STILL_THERE + 5)
            audience.markup = "two"
        assert heard == ["one", "trouble: gone", "one", None, "two"]

    watched(scene)
