"""The pace: how evenly permits are handed out, and how everybody waits after a 429."""

import asyncio
import math
import random
from collections.abc import Sequence

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.engine.virtual_time import Lateness, late_by_up_to, run_virtually
from worker.pacing import Pace

WAITING = 64


class Clock:
    """A clock moved by hand."""

    def __init__(self) -> None:
        self.now = 500.0

    def __call__(self) -> float:
        return self.now


def hand_outs(rate: float, seconds: float, lateness: Lateness) -> list[float]:
    """When each permit was handed out to one of 64 tasks that want one after the other, from zero on."""

    async def run() -> list[float]:
        loop = asyncio.get_running_loop()
        pace, began, taken = Pace(rate, random.Random(1), loop.time), loop.time(), list[float]()

        async def take() -> None:
            while loop.time() - began < seconds:
                await pace.permit()
                taken.append(loop.time() - began)

        async with anyio.create_task_group() as tasks:
            for _ in range(WAITING):
                tasks.start_soon(take)
        return taken

    return run_virtually(run, lateness)


def most_in_a_second(times: Sequence[float]) -> int:
    """The fullest second, wherever it begins; both of its ends count."""
    first = most = 0
    for last, time in enumerate(times):
        while time - times[first] > 1.0 - 1e-9:
            first += 1
        most = max(most, last - first + 1)
    return most


rates = st.one_of(st.integers(1, 2_000), st.floats(0.5, 200.0))


@settings(max_examples=60, deadline=None)
@given(rate=rates, late=st.floats(0, 1), seed=st.integers(0, 10**6))
def test_no_second_sees_more_than_the_rate_and_one(rate: float, late: float, seed: int) -> None:
    """However late the timers are: what was missed is not made good for in a burst. A rate is counted rounded up."""
    times = hand_outs(rate, 3 if rate > 20 else 8, late_by_up_to(late / rate, seed))
    assert most_in_a_second(times) <= math.ceil(rate) + 1


@pytest.mark.parametrize("rate", [50, 100])
def test_the_rate_is_used_although_timers_are_late(rate: int) -> None:
    """At least 97% of it, with timers late by up to one interval."""
    times = hand_outs(rate, 20, late_by_up_to(1 / rate, seed=3))
    assert sum(time < 20 for time in times) >= 0.97 * rate * 20


@pytest.mark.parametrize("rate", [0.5, 2, 50, 100, 1_000, 2_000])
def test_the_rate_is_reached_with_punctual_timers(rate: float) -> None:
    """Within one percent and a permit, at any rate."""
    times = hand_outs(rate, 20, lambda: 0.0)
    assert sum(time < 20 for time in times) == pytest.approx(rate * 20, rel=0.01, abs=2)


def test_idle_time_is_not_saved_up() -> None:
    """After a minute in which nobody wanted a permit there is no burst."""

    async def run() -> list[float]:
        loop = asyncio.get_running_loop()
        pace, times = Pace(10, random.Random(1), loop.time), list[float]()
        for number in range(40):
            if number == 20:
                await asyncio.sleep(60)
            await pace.permit()
            times.append(loop.time())
        return times

    assert most_in_a_second(run_virtually(run)) <= 11


@pytest.mark.parametrize("told", [5.0, None])
def test_a_throttled_pace_holds_everyone(told: float | None) -> None:
    """Not one permit until the wait is over, and then again no burst."""

    async def run() -> tuple[float, list[float]]:
        loop = asyncio.get_running_loop()
        pace, times = Pace(50, random.Random(1), loop.time), list[float]()

        async def take() -> None:
            await pace.permit()
            times.append(loop.time())

        async with anyio.create_task_group() as tasks:
            pace.throttled(told)
            until = loop.time() + pace.held_for
            for _ in range(WAITING):
                tasks.start_soon(take)
        return until, times

    until, times = run_virtually(run)
    assert len(times) == WAITING
    assert min(times) >= until
    assert most_in_a_second(times) <= 51


def test_a_wait_that_grows_meanwhile_is_kept() -> None:
    """Those who wait already go on waiting."""

    async def run() -> float:
        loop = asyncio.get_running_loop()
        pace, began = Pace(50, random.Random(1), loop.time), loop.time()
        pace.throttled(2.0)
        loop.call_at(began + 1, pace.throttled, 10.0)
        await pace.permit()
        return loop.time() - began

    assert run_virtually(run) >= 11


def test_the_longest_wait_wins() -> None:
    """A shorter one neither replaces nor prolongs it."""
    clock = Clock()
    pace = Pace(50, random.Random(1), clock)
    pace.throttled(10)
    pace.throttled(3)
    assert pace.held_for == 10
    pace.throttled(20)
    assert (pace.held_for, pace.waited, pace.throttled_count) == (20, 20, 3)


def test_untold_waits_grow_once_per_hold() -> None:
    """Sixty-four answers to requests sent before the wait began are one throttling, not sixty-four."""
    clock = Clock()
    pace = Pace(50, random.Random(1), clock)
    for ceiling in (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0):
        for _ in range(WAITING):
            pace.throttled(None)
        assert ceiling / 2 <= pace.held_for <= ceiling
        clock.now += pace.held_for


def test_told_waits_during_a_hold_do_not_grow_the_streak() -> None:
    """All these answers are one throttling; the next wait that is not told is the second in a row."""
    clock = Clock()
    pace = Pace(50, random.Random(1), clock)
    for _ in range(WAITING):
        pace.throttled(5)
    clock.now += pace.held_for
    pace.throttled(None)
    assert 1.0 <= pace.held_for <= 2.0


def test_a_proper_answer_ends_the_streak_but_not_the_hold() -> None:
    """An answer to an earlier request that arrives during the hold says nothing about it."""
    clock = Clock()
    pace = Pace(50, random.Random(1), clock)
    pace.throttled(None)
    clock.now += pace.held_for
    pace.throttled(None)
    held = pace.held_for
    assert held > 1.0 - 1e-9
    pace.answered()
    assert pace.held_for == held
    clock.now += held
    pace.throttled(None)
    assert pace.held_for >= 2.0
    clock.now += pace.held_for
    pace.answered()
    pace.throttled(None)
    assert pace.held_for <= 1.0


def test_a_permit_that_is_cancelled_is_nobodys() -> None:
    """Those who wait behind it get theirs."""

    async def run() -> bool:
        loop = asyncio.get_running_loop()
        pace = Pace(2, random.Random(1), loop.time)
        with anyio.move_on_after(0.9):
            while True:
                await pace.permit()
        await pace.permit()
        return True

    assert run_virtually(run)


def test_an_unreachable_host_is_tried_less_and_less() -> None:
    """Each failed connection after a wait doubles it; those that failed together count once; an answer ends it."""
    clock = Clock()
    pace = Pace(50, random.Random(1), clock)
    waits = []
    for _ in range(5):
        for _ in range(WAITING):
            pace.unreachable()
        waits.append(pace.held_for)
        clock.now += pace.held_for
    assert all(2.0**n / 2 <= wait <= 2.0**n for n, wait in enumerate(waits))
    assert pace.is_unreachable
    assert pace.throttled_count == 0
    pace.answered()
    assert not pace.is_unreachable
    pace.unreachable()
    assert pace.held_for <= 1.0
