"""The ledger's clock is known here as well as the quickest answer tells it, however long others take."""

import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from closeout.worker.pace.budget import Budget, Decided, Decision
from closeout.worker.pace.limiter import Pace

_T = TypeVar("_T")
Ways = list[tuple[float, float]]
delays = st.lists(st.tuples(st.floats(0, 3), st.floats(0, 3)), min_size=1, max_size=8)


class SlowStore:
    """Its clock is ``ahead`` of ours; each question and each answer takes its time on the way."""

    def __init__(self, ahead: float, on_the_way: Ways) -> None:
        self.ours = 100.0
        self.ahead = ahead
        self._on_the_way = iter(on_the_way)

    async def decide(self, decision: Decision[_T]) -> Decided[_T]:
        there, back = next(self._on_the_way)
        self.ours += there
        now = self.ours + self.ahead
        budget, value = decision(Budget(), now)
        self.ours += back
        return Decided(budget, now, value)


def _asked(store: SlowStore, times: int) -> Pace:
    pace = Pace(store, lambda: 50.0, random.Random(1), lambda: store.ours)
    ask: Callable[[], Awaitable[None]] = pace.suspect

    async def run() -> None:
        for _ in range(times):
            await ask()

    anyio.run(run)
    return pace


@given(ahead=st.floats(-1e6, 1e6), on_the_way=delays)
def test_a_slow_answer_does_not_spoil_what_a_quick_one_told(ahead: float, on_the_way: Ways) -> None:
    """Permits would leave late by as much, and so bunched with those of other processes."""
    store = SlowStore(ahead, on_the_way)
    pace = _asked(store, len(on_the_way))
    error = pace.now() - (store.ours + ahead)
    assert abs(error) <= min(there + back for there, back in on_the_way) + 1e-6


def test_a_clock_that_is_set_takes_what_is_known_with_it() -> None:
    """Back or forth: an answer that contradicts it is believed."""
    for step in (-3_600.0, 3_600.0):
        store = SlowStore(0.0, [(0.01, 0.01), (0.01, 0.01)])
        pace = _asked(store, 1)
        store.ahead += step
        anyio.run(pace.suspect)
        assert pace.now() == pytest.approx(store.ours + step, abs=0.03)
