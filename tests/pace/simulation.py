"""Processes that share a budget, and a server that limits them, in simulated time: hours of it in a blink."""

import heapq
import random
from collections.abc import Callable
from dataclasses import dataclass, field

from closeout.worker.pace.budget import Ask, Budget, Grant, Wait, answered, reserve, throttled
from closeout.worker.sandbox.ratelimit import RateLimiter

Limit = Callable[[float], RateLimiter]  # the limiter in force at a time
Told = Callable[[float, float], float | None]  # of (now, wait): what a 429 tells


@dataclass
class Outcome:
    """What the server saw. ``sent`` and ``refused`` hold times of arrival."""

    accepted: list[float] = field(default_factory=list)
    refused: list[float] = field(default_factory=list)
    rates: list[tuple[float, float]] = field(default_factory=list)

    @property
    def refused_share(self) -> float:
        return len(self.refused) / max(1, len(self.refused) + len(self.accepted))

    def rate(self, since: float, until: float) -> float:
        """Requests accepted per second in that time."""
        return sum(since <= at < until for at in self.accepted) / (until - since)


@dataclass
class Simulation:
    """``processes`` clients at ``ceiling`` each, ``delay`` seconds to an answer, against ``limit`` for ``seconds``."""

    limit: Limit
    ceiling: float
    processes: int = 1
    delay: float = 0.05
    told: Told = lambda _, wait: wait
    seed: int = 1
    wanted: int = 64
    budget: Budget = field(default_factory=Budget)

    def run(self, seconds: float, start: float = 1_000.0) -> Outcome:
        rng, out = random.Random(self.seed), Outcome()
        turn = 0
        events: list[tuple[float, int, int, float]] = []  # at, order, process (-1: an arrival), sent

        def at(time: float, process: int, sent: float = 0.0) -> None:
            nonlocal turn
            turn += 1
            heapq.heappush(events, (time, turn, process, sent))

        for process in range(self.processes):
            at(start + process * 0.003, process)
        until = start + seconds
        ask = Ask(self.ceiling, self.wanted)
        dropped = waits = 0.0  # leases from before are given up on a 429
        while events and events[0][0] < until:
            now, _, process, sent = heapq.heappop(events)
            if process >= 0:
                self.budget, answer = reserve(self.budget, now, ask)
                if isinstance(answer, Wait):
                    at(now + answer.seconds, process)
                elif isinstance(answer, Grant):
                    step = (answer.end - answer.start) / answer.permits
                    for number in range(answer.permits):
                        at(max(now, answer.start + number * step), -1, now)
                    at(max(now, answer.end - step) + rng.uniform(0.0005, 0.004), process)
                    out.rates.append((now - start, answer.rate))
            elif process == -1:  # leaves; what was leased before the last 429 does not
                if sent >= dropped:
                    at(now + self.delay / 2 * rng.uniform(0.8, 1.2), -2, now)
            elif process == -2:
                wait = self.limit(now - start).admit(now)
                (out.refused if wait else out.accepted).append(now - start)
                waits = wait or waits
                at(now + self.delay / 2, -3 if wait else -4, sent)
            elif process == -3:
                dropped = now
                told = self.told(now, waits)
                self.budget = throttled(self.budget, now, sent, told, self.ceiling, rng.random())
            elif self.budget.holds:
                self.budget = answered(self.budget, sent)
        return out
