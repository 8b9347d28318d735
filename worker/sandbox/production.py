"""An organisation's own traffic on the same limit: a Poisson process that is put straight to the limiter.

Pure: the caller brings the time, in seconds, never running back.
"""

import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from closeout.worker.sandbox.ratelimit import RateLimiter

_STRETCH = re.compile(r"(\d+(?:\.\d+)?)-(\d+(?:\.\d+)?):(\d+(?:\.\d+)?)")


@dataclass(frozen=True, slots=True)
class Stretch:
    """So many requests a second from ``begin`` to ``end``, in seconds after the first request of anybody else."""

    begin: float
    end: float
    rate: float


def parse_production(text: str) -> tuple[Stretch, ...]:
    """The stretches of ``0-25:60,25-50:85``. Raises ValueError."""
    stretches: list[Stretch] = []
    for part in text.split(","):
        match = _STRETCH.fullmatch(part.strip())
        stretch = Stretch(*map(float, match.groups())) if match else None
        if stretch is None or stretch.end <= stretch.begin or (stretches and stretch.begin < stretches[-1].end):
            raise ValueError(f"invalid production {text!r}: use e.g. 0-25:60,25-50:85 (seconds:requests/s), in order")
        stretches.append(stretch)
    return tuple(stretches)


def _arrivals(stretches: Sequence[Stretch], seed: int) -> Iterator[float]:
    rng = random.Random(f"{seed}:production")
    for each in stretches:
        at = each.begin
        while each.rate > 0 and (at := at + rng.expovariate(each.rate)) < each.end:
            yield at


@dataclass
class Production:
    """Its requests go to ``shared``, which others use as well, and to ``alone``, which nobody else does.

    ``sent``, ``refused`` and ``refused_alone`` count them; ``by_second`` gives the first two for each second.
    """

    stretches: Sequence[Stretch]
    seed: int
    shared: RateLimiter
    alone: RateLimiter
    sent: int = 0
    refused: int = 0
    refused_alone: int = 0
    by_second: dict[int, list[int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._began: float | None = None
        self._arrivals = _arrivals(self.stretches, self.seed)
        self._next = next(self._arrivals, None)

    def up_to(self, now: float) -> None:
        """All that has arrived by now, each at its time; the first call is where its time begins."""
        if self._began is None:
            self._began = now
        while self._next is not None and self._began + self._next <= now:
            at = self._began + self._next
            refused = self.shared.admit(at) > 0
            self.sent += 1
            self.refused += refused
            self.refused_alone += self.alone.admit(at) > 0
            second = self.by_second.setdefault(int(self._next), [0, 0])
            second[0] += 1
            second[1] += refused
            self._next = next(self._arrivals, None)

    def in_words(self) -> str:
        """What it lost, beside others and alone."""
        share, alone = (100 * count / max(1, self.sent) for count in (self.refused, self.refused_alone))
        return f"{self.sent:,} requests of production: {share:.2f}% refused, {alone:.2f}% if nobody else had been there"
