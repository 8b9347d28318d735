"""Stages that have nothing to do: they look again as soon as something stirs, and now and then without that."""

import asyncio
from pathlib import Path

import anyio

from closeout.worker.config.settings import Settings
from closeout.worker.domain.item import SourceRow
from closeout.worker.feeds.source import RowDigest, admit_rows, end_of_source
from closeout.worker.feeds.sweep import Sweep
from closeout.worker.runtime.context import Context
from tests.engine.night import IDLE, Town
from tests.engine.virtual_time import run_virtually
from tests.report.support import Standing


def test_idling_ends_when_something_stirs_or_after_a_while() -> None:
    """Whichever comes first; what stirred before says nothing of what comes."""

    async def run() -> tuple[float, float]:
        context, loop = Standing(Settings()).context, asyncio.get_running_loop()
        context.stir()
        began = loop.time()
        await context.idle(5)
        undisturbed = loop.time() - began
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(context.idle, 100)
            tasks.start_soon(context.idle, 200)
            await anyio.sleep(1)
            context.end_closing()
        return undisturbed, loop.time() - began - undisturbed

    undisturbed, stirred = run_virtually(run)
    assert 5 <= undisturbed < 5.01
    assert 1 <= stirred < 1.01


def test_a_short_run_is_over_when_its_last_session_is_closed(tmp_path: Path) -> None:
    """Ten sessions at 50 a second are a fifth of a second's work; no stage waits for its next look at the end.

    Nothing is protected here: the lists for that come before the first close, and cost their own time.
    """
    town = Town(tmp_path)
    ids = town.add(10)
    began = town.now
    assert town.work(town.begin(protect=()), Sweep(IDLE, 100, [])).state == "finished"
    assert town.live(ids) == []
    assert town.now - began < 0.5


def test_rows_that_come_late_are_closed_when_they_come(tmp_path: Path) -> None:
    """Not at the next look: what a pipe brings is closed at once."""
    town = Town(tmp_path)
    ids = town.add(3)
    closed_after = []

    async def pipe(context: Context) -> None:
        for line, one in enumerate(ids, start=1):
            await anyio.sleep(0.77)  # between two looks
            await admit_rows(context, [SourceRow(line, one)], RowDigest())
            came = town.clock()
            while town.live([one]):  # noqa: ASYNC110  # in virtual time, a look costs nothing
                await anyio.sleep(0.001)
            closed_after.append(town.clock() - came)
        await end_of_source(context)

    assert town.work(town.begin(rule=None, protect=()), Sweep(IDLE, 100, []), feed=pipe).state == "finished"
    assert max(closed_after) < 0.1
