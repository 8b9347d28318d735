"""The deadline at work: when closing is told to end, and what is left alone."""

import asyncio
from dataclasses import dataclass

import anyio
import pytest
from hypothesis import given
from hypothesis import settings as running
from hypothesis import strategies as st

from closeout.worker.config.settings import Settings
from closeout.worker.runtime.context import Context
from closeout.worker.stages.deadline import Deadline, closing_ends
from tests.engine.virtual_time import run_virtually
from tests.report.support import Clock, Standing

LOOK = 0.3  # seconds within which a deadline is noticed


class LoopClock(Clock):
    """The virtual time of the loop that the test runs on."""

    def __call__(self) -> float:
        return asyncio.get_running_loop().time()


@dataclass(frozen=True)
class Called:
    """When closing was told to end (None: never), seconds after the start, and why; whether the run goes on."""

    at: float | None
    why: str | None
    goes_on: bool


def call(chosen: Settings, *, closing_takes: float, unsettled: int = 0, stopped_at: float | None = None) -> Called:
    """Run it beside a closing that takes so many seconds, in virtual time."""

    async def run() -> Called:
        context = Standing(chosen, clock=LoopClock()).context
        context.progress.to_settle = unsettled
        began, at = context.progress.seconds, None
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_close, context, closing_takes)
            if stopped_at is not None:
                tasks.start_soon(_stop, context, stopped_at)
            await Deadline(context).run()
            if context.last_call.requested:
                at = context.progress.seconds - began
        return Called(at, context.last_call.why, not context.stop.requested)

    return run_virtually(run)


async def _close(context: Context, takes: float) -> None:
    await anyio.sleep(takes)
    context.closing_done.set()


async def _stop(context: Context, after: float) -> None:
    await anyio.sleep(after)
    context.stop.halt("enough")


@pytest.mark.parametrize(
    ("values", "unsettled", "at"),
    [
        ({"deadline": "2h", "settle": False}, 0, 7_200), ({"deadline": "2h"}, 0, 7_165),
        ({"deadline": "2h"}, 100_000, 7_145), ({"deadline": "40s"}, 0, 20),
        ({"deadline": "2h", "settle_for": 0}, 9, 7_200),
    ],
)  # fmt: skip
def test_closing_ends_in_time_to_settle(values: dict[str, object], unsettled: int, at: float) -> None:
    """Closing alone: the run itself is not stopped, and the reason names the deadline."""
    called = call(Settings.model_validate(values), closing_takes=10_000, unsettled=unsettled)
    assert called.at is not None
    assert at <= called.at <= at + LOOK
    assert called.goes_on
    assert called.why is not None
    assert called.why.startswith("--deadline ")
    assert "stay pending" in called.why


@pytest.mark.parametrize("deadline", [None, "2h"])
def test_a_closing_that_is_done_is_not_told(deadline: str | None) -> None:
    """Nor is one without a deadline."""
    assert call(Settings.model_validate({"deadline": deadline}), closing_takes=60) == Called(None, None, goes_on=True)


def test_a_stop_ends_the_watch() -> None:
    """Its reason stays the only one."""
    called = call(Settings.model_validate({"deadline": "2h"}), closing_takes=50, stopped_at=20)
    assert called == Called(None, None, goes_on=False)


@running(max_examples=25, deadline=None)
@given(st.floats(1, 300), st.integers(0, 10**6), st.floats(0, 400))
def test_it_is_told_at_the_first_look_after_its_time(deadline: float, unsettled: int, takes: float) -> None:
    """And never where closing is done before."""
    chosen = Settings(deadline=deadline)
    ends = closing_ends(
        deadline, settle=True, settle_for=chosen.settle_for, first_look=10.0, none_grace=chosen.none_grace,
        unsettled=unsettled, rate=50.0,
    )  # fmt: skip
    called = call(chosen, closing_takes=takes, unsettled=unsettled)
    if called.at is None:
        assert takes <= ends + LOOK
    else:
        assert ends <= called.at <= ends + LOOK
        assert called.at <= takes + LOOK
