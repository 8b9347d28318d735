"""Processes that share a budget, production beside them, and a server that limits both, in simulated time."""

import heapq
import itertools
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Protocol

from closeout.worker.pace.budget import Answer, Ask, Budget, Grant, Wait, answered, reserve, throttled
from closeout.worker.pace.law import Terms
from closeout.worker.sandbox.ratelimit import RateLimiter

Limit = Callable[[float], RateLimiter]  # the limiter in force at a time
Told = Callable[[float, float], float | None]  # of (now, wait): what a 429 tells
Production = Callable[[float], float]  # requests per second at a time
_BUSIEST = 300.0  # requests per second that production never exceeds


class Decisions(Protocol):
    """What a law decides: as the functions of the budget, which these are."""

    def reserve(self, budget: Budget, now: float, ask: Ask) -> tuple[Budget, Answer]:
        """Who may leave when."""
        ...

    def throttled(  # as that of the budget
        self, budget: Budget, now: float, sent_at: float, told: float | None, terms: Terms, draw: float
    ) -> Budget:
        """Take in a 429."""
        ...

    def answered(self, budget: Budget, now: float, sent_at: float, terms: Terms) -> Budget:
        """Take in any other answer."""
        ...


class _Ours:
    """The law as it is in the code."""

    reserve, throttled, answered = staticmethod(reserve), staticmethod(throttled), staticmethod(answered)


OURS: Decisions = _Ours()


def no_production(_: float) -> float:
    """Nobody else is there."""
    return 0.0


@dataclass
class Outcome:
    """What the server saw, by times of arrival. ``others`` are production's, refused and accepted together."""

    accepted: list[float] = field(default_factory=list)
    refused: list[float] = field(default_factory=list)
    rates: list[tuple[float, float]] = field(default_factory=list)
    others: list[float] = field(default_factory=list)
    others_refused: list[float] = field(default_factory=list)

    @property
    def refused_share(self) -> float:
        return len(self.refused) / max(1, len(self.refused) + len(self.accepted))

    def rate(self, since: float, until: float) -> float:
        """Requests accepted per second in that time."""
        return sum(since <= at < until for at in self.accepted) / (until - since)

    @property
    def lost(self) -> float:
        """The share of production's requests that were refused."""
        return len(self.others_refused) / max(1, len(self.others))


def arrivals(production: Production, seconds: float, seed: int) -> Iterator[float]:
    """A Poisson process whose rate changes: production as it is when nobody sets it its pace."""
    rng, at = random.Random(seed), 0.0
    while (at := at + rng.expovariate(_BUSIEST)) < seconds:
        if rng.random() * _BUSIEST < production(at):
            yield at


def lost_alone(
    limiter: RateLimiter, production: Production, seconds: float, seed: int, start: float = 1_000.0
) -> float:
    """The share of production's requests that the limit refuses while nobody else is there: the same arrivals."""
    refused = [limiter.admit(start + at) > 0 for at in arrivals(production, seconds, seed)]
    return sum(refused) / max(1, len(refused))


@dataclass
class Simulation:
    """``processes`` clients by ``terms`` each, ``delay`` seconds to an answer, against ``limit`` for ``seconds``.

    ``alien`` is the share of our requests that is refused whatever the limit says; ``decisions`` those of another law.
    """

    limit: Limit
    ceiling: float
    processes: int = 1
    delay: float = 0.05
    told: Told = lambda _, wait: wait
    seed: int = 1
    wanted: int = 64
    org_limit: float = 100.0
    tolerated: float = 0.0
    production: Production = no_production
    alien: float = 0.0
    decisions: Decisions = OURS
    budget: Budget = field(default_factory=Budget)

    def run(self, seconds: float, start: float = 1_000.0) -> Outcome:
        """What the server saw in that time; the budget is left as it is at its end."""
        world = _World(self, seconds, start)
        world.run()
        return world.out


class _World:
    """One run of a simulation: a heap of what happens next, and one method for each kind of it."""

    def __init__(self, plan: Simulation, seconds: float, start: float) -> None:
        self.out = Outcome()
        self._plan, self._start, self._until = plan, start, start + seconds
        self._rng = random.Random(plan.seed)
        self._events: list[tuple[float, int, Callable[..., None], tuple[float, ...]]] = []
        self._turn = itertools.count()
        self._terms = Terms(plan.ceiling, plan.org_limit, tolerated=plan.tolerated)
        self._dropped = 0.0  # leases from before are given up on a 429
        self._others = arrivals(plan.production, seconds, plan.seed)

    def run(self) -> None:
        for process in range(self._plan.processes):
            self._at(self._start + process * 0.003, self._ask)
        self._await_production()
        while self._events and self._events[0][0] < self._until:
            now, _, happens, args = heapq.heappop(self._events)
            happens(now, *args)

    def _at(self, time: float, happens: Callable[..., None], *args: float) -> None:
        heapq.heappush(self._events, (time, next(self._turn), happens, args))

    def _await_production(self) -> None:
        if (following := next(self._others, None)) is not None:
            self._at(self._start + following, self._production)

    def _production(self, now: float) -> None:
        self.out.others.append(now - self._start)
        if self._plan.limit(now - self._start).admit(now):
            self.out.others_refused.append(now - self._start)
        self._await_production()

    def _ask(self, now: float) -> None:
        plan = self._plan
        plan.budget, answer = plan.decisions.reserve(plan.budget, now, Ask(self._terms, plan.wanted))
        if isinstance(answer, Wait):
            self._at(now + answer.seconds, self._ask)
        elif isinstance(answer, Grant):
            for number in range(answer.permits):
                self._at(max(now, answer.start + number * answer.step), self._leave, now)
            self._at(max(now, answer.end - answer.step) + self._rng.uniform(0.0005, 0.004), self._ask)
            self.out.rates.append((now - self._start, answer.rate))

    def _leave(self, now: float, leased: float) -> None:
        if leased >= self._dropped:
            self._at(now + self._plan.delay / 2 * self._rng.uniform(0.8, 1.2), self._arrive, now)

    def _arrive(self, now: float, sent: float) -> None:
        plan, second = self._plan, now - self._start
        wait = plan.limit(second).admit(now)
        if not wait and plan.alien and self._rng.random() < plan.alien:
            wait = 1.0
        (self.out.refused if wait else self.out.accepted).append(second)
        if wait:
            self._at(now + plan.delay / 2, self._refused, sent, wait)
        else:
            self._at(now + plan.delay / 2, self._answered, sent)

    def _refused(self, now: float, sent: float, wait: float) -> None:
        self._dropped = now
        told, draw = self._plan.told(now, wait), self._rng.random()
        self._plan.budget = self._plan.decisions.throttled(self._plan.budget, now, sent, told, self._terms, draw)

    def _answered(self, now: float, sent: float) -> None:
        if self._plan.budget.holds:
            self._plan.budget = self._plan.decisions.answered(self._plan.budget, now, sent, self._terms)
