"""An event loop whose time is virtual: a wait takes no time, and timers may be late, as those of a busy machine are."""

import asyncio
import random
import selectors
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

_T = TypeVar("_T")
Lateness = Callable[[], float]
_TURN = 1e-6  # what a turn of the loop takes: a clock that stood still would let a timer fall due for ever


class _Selector(selectors.DefaultSelector):
    """Instead of waiting, moves the clock to the end of the wait, and past it by as much as timers are late."""

    def __init__(self, lateness: Lateness) -> None:
        super().__init__()
        self.now = 1_000.0
        self._lateness = lateness

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise RuntimeError("everything waits, and nothing is left that could end it")
        self.now += max(timeout, 0) + (self._lateness() if timeout > 0 else 0.0) + _TURN
        return super().select(0)


class VirtualLoop(asyncio.SelectorEventLoop):
    """Runs as fast as the machine can, on its own clock."""

    def __init__(self, lateness: Lateness) -> None:
        self._virtual = _Selector(lateness)
        super().__init__(self._virtual)

    def time(self) -> float:
        return self._virtual.now


def run_virtually(work: Callable[[], Coroutine[Any, Any, _T]], lateness: Lateness = lambda: 0.0) -> _T:
    """Run a coroutine function to its end in virtual time."""
    with asyncio.Runner(loop_factory=lambda: VirtualLoop(lateness)) as runner:
        return runner.run(work())


def late_by_up_to(longest: float, seed: int) -> Lateness:
    """Timers that are late by a random time, evenly from nothing to ``longest``."""
    rng = random.Random(seed)
    return lambda: rng.uniform(0, longest)
