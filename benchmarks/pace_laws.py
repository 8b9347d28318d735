"""Laws to hold ours against, in the simulation: the one of before, and one that knows what nobody can know."""

import math
from dataclasses import dataclass, replace

from closeout.worker.pace.budget import Answer, Ask, Budget, answered, reserve, throttled
from closeout.worker.pace.law import Law, Terms
from tests.pace.simulation import Production

_START = 1_000.0  # seconds at which a simulation begins
_SLOWEST = 0.1  # requests/s


def _at(budget: Budget, rate: float, now: float) -> Budget:
    """The budget of a law that goes at just this rate."""
    return replace(budget, law=Law(rate, now, now, first=False, capped=True, top=rate), due=max(budget.due, now - 1))


@dataclass
class KnowsProduction:
    """Uses the safe room, and nothing else; a 429 changes nothing."""

    production: Production

    def reserve(self, budget: Budget, now: float, ask: Ask) -> tuple[Budget, Answer]:
        """At the rate that production leaves."""
        others = self.production(now - _START)
        room = max(0.01 * ask.terms.limit, ask.terms.limit - others - 2 * math.sqrt(others))
        rate = min(ask.terms.ceiling, room)
        return reserve(_at(budget, rate, now), now, replace(ask, terms=replace(ask.terms, ceiling=rate)))

    def throttled(
        self, budget: Budget, _now: float, _sent_at: float, _told: float | None, _terms: Terms, _draw: float
    ) -> Budget:
        """Nothing is to be learnt."""
        return budget

    def answered(self, budget: Budget, _now: float, _sent_at: float, _terms: Terms) -> Budget:
        """Nor here."""
        return budget


@dataclass
class FirstVersion:
    """A 429 cuts the rate to 70%; it returns along two cubics to just below the peak, stays, and climbs on."""

    low: float | None = None
    peak: float = 0.0
    cut_at: float = 0.0

    def rate(self, budget: Budget, ceiling: float, now: float) -> float:
        """The rate of now."""
        if self.low is None:
            return ceiling
        calm = max(0.0, now - max(self.cut_at, budget.held_until))
        level = max(self.low, 0.97 * self.peak)
        missing, beyond = max(0.0, 1 - calm / 25), max(0.0, (calm - 85) / 40)
        return min(ceiling, level + (level - self.low) * (beyond**3 - missing**3))

    def reserve(self, budget: Budget, now: float, ask: Ask) -> tuple[Budget, Answer]:
        """At the rate of now."""
        rate = self.rate(budget, ask.terms.ceiling, now)
        return reserve(_at(budget, rate, now), now, replace(ask, terms=replace(ask.terms, ceiling=rate)))

    def throttled(  # noqa: PLR0917  # as that of the budget
        self, budget: Budget, now: float, sent_at: float, told: float | None, terms: Terms, draw: float
    ) -> Budget:
        """Cut once a round trip, and not for a refusal right after a wait."""
        if sent_at > self.cut_at and not budget.holds:
            rate = self.rate(budget, terms.ceiling, now)
            self.low, self.peak, self.cut_at = max(_SLOWEST, 0.7 * rate), rate, now
        return throttled(budget, now, sent_at, told, terms, draw)

    def answered(self, budget: Budget, now: float, sent_at: float, terms: Terms) -> Budget:
        """A wait is over."""
        return answered(budget, now, sent_at, terms)
