"""Worlds beside production: limiters, how production comes, and what is seen over some seeds, in virtual time."""

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import mean, median

from closeout.worker.sandbox.ratelimit import LimitKind, RateLimiter, make_limiter
from tests.pace.simulation import OURS, Decisions, Limit, Outcome, Production, Simulation, lost_alone

LIMITERS: dict[str, tuple[LimitKind, int, float, int | None]] = {
    "second": ("sliding", 100, 1.0, None),
    "bucket": ("bucket", 100, 1.0, 100),
    "minute": ("fixed", 6_000, 60.0, None),
    "sliding minute": ("sliding", 6_000, 60.0, None),
}


def steps(second: float) -> float:
    """60/s, a step up to 85/s, and down to 30/s."""
    return 60 if second < 25 else 85 if second < 50 else 30


def slow_steps(second: float) -> float:
    """The same over ten minutes."""
    return 60 if second < 200 else 85 if second < 400 else 30


def bursts(second: float) -> float:
    """30/s, and 150/s for five seconds of each minute."""
    return 150 if second % 60 < 5 else 30


def wave(second: float) -> float:
    """A day in ten minutes: 20 to 90/s."""
    return 55 - 35 * math.cos(2 * math.pi * second / 600)


def steady(rate: float) -> Production:
    """The same all the time."""
    return lambda _: rate


class UnevenNodes:
    """Four nodes that each keep a quarter of the limit, and get 28, 26, 24 and 22% of the requests."""

    def __init__(self, seed: int = 1) -> None:
        self._rng = random.Random(seed)
        self._nodes = [make_limiter("sliding", 25, 1.0) for _ in range(4)]

    def admit(self, now: float) -> float:
        (node,) = self._rng.choices(self._nodes, (28, 26, 24, 22))
        return node.admit(now)


def limiter_of(kind: str) -> RateLimiter:
    """A new limiter of a name in ``LIMITERS``, or ``nodes``."""
    return UnevenNodes() if kind == "nodes" else make_limiter(*LIMITERS[kind])


def constant(limiter: RateLimiter) -> Limit:
    """The same limiter all the time."""
    return lambda _: limiter


@dataclass(frozen=True)
class Seen:
    """Means over some seeds: ``added`` in points, ``used`` a share of the safe room, ``rate`` requests/s."""

    added: float
    used: float
    rate: float
    runs: Sequence[Outcome]

    def recovers(self, at: int, rate: float) -> float:
        """Seconds from there to the first three in which so much is used; the median of the seeds."""
        found = []
        for run in self.runs:
            until = int(run.rates[-1][0]) - 2
            found.append(next((t - at for t in range(at, until) if run.rate(t, t + 3) >= rate), 999))
        return median(found)


def see(  # a world
    production: Production, ceiling: float, told: bool, seconds: int, seeds: int = 6, kind: str = "second",
    delay: float = 0.05, processes: int = 1, alien: float = 0.0, tolerated: float = 0.0,
    decisions: Callable[[], Decisions] = lambda: OURS,
) -> Seen:  # fmt: skip
    """Simulate it, with the law as it is in the code."""
    waits: Callable[[float, float], float | None] = lambda _, wait: math.ceil(wait) if told else None  # noqa: E731
    runs, added = [], []
    for seed in range(1, seeds + 1):
        world = Simulation(
            constant(limiter_of(kind)), ceiling, processes, delay, waits, seed, production=production,
            alien=alien, tolerated=tolerated, decisions=decisions(),
        )  # fmt: skip
        runs.append(world.run(seconds))
        added.append(100 * (runs[-1].lost - lost_alone(limiter_of(kind), production, seconds, seed)))
    room = [max(0.0, min(ceiling, 100 - p - 2 * math.sqrt(p))) for p in map(production, range(seconds))]
    used = [sum(run.rate(t, t + 1) for t in range(seconds) if room[t]) / sum(room) if sum(room) else 0 for run in runs]
    return Seen(mean(added), mean(used), mean(run.rate(0, seconds) for run in runs), runs)
