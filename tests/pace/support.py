"""A budget in memory, for what needs one and no ledger."""

from collections.abc import Callable
from typing import TypeVar

from closeout.worker.pace.budget import Budget, Decided, Decision
from closeout.worker.pace.law import Law

_T = TypeVar("_T")


def at_rate(rate: float, now: float) -> Budget:
    """A budget that has been up to this rate and was not refused: what begins now goes at it from the start."""
    return Budget(due=now, law=Law(rate, now, now, first=False, capped=True, top=rate))


class MemoryBudget:
    """A store whose clock is the caller's; ``budget`` may be looked at and set."""

    def __init__(self, clock: Callable[[], float], budget: Budget | None = None) -> None:
        self.budget = budget or Budget()
        self._clock = clock

    async def decide(self, decision: Decision[_T]) -> Decided[_T]:
        """Run the decision on the budget as it is."""
        now = self._clock()
        self.budget, value = decision(self.budget, now)
        return Decided(self.budget, now, value)
