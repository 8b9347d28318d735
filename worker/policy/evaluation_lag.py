"""How long verdicts take, learnt from looks at closed sessions, each of which says only "not yet" or "some time ago".

Pure: no I/O, no clock. Ages are milliseconds since the close was recorded.
"""

from bisect import bisect_left, bisect_right
from collections import Counter
from itertools import accumulate

from closeout.worker.support.clock import Millis

_MOST = 0.95  # of the verdicts that come at all: when that many are there, a look is worth its request
_UNKNOWN: Millis = 60_000  # when to look first while nothing has been learnt
_SHORTEST_PAUSE: Millis = 500
_LONGEST_PAUSE: Millis = 300_000
_GROWTH = 1.5  # of the age, from one look to the next, where nothing better is known
_ENOUGH = 2  # verdicts whose time is known, and at least half of those followed
_MEMORY = 20_000  # looks; older ones then count half, so that a lag that changes is followed
_ROUNDS = 60  # of the estimate: enough for a grid this coarse
_EDGES = [round(250 * 1.1**step) for step in range(140)]  # cells of the estimate, from 250 ms to 39 hours
_NEVER = len(_EDGES)  # the cell of verdicts that have not come
_NO_MASS = 0.002


class Lag:
    """The distribution of the time from a close to its verdict.

    ``fixed``: what the settings say of the first look; then it is not learnt.
    """

    def __init__(self, fixed: Millis | None = None) -> None:
        self._fixed = fixed
        self._intervals: Counter[tuple[int, int]] = Counter()
        self._sums: list[float] | None = None

    def looked(self, before: Millis | None, age: Millis, *, final: bool) -> None:
        """Take in one look at a session of this age; ``before`` was its age at the last look that found no verdict."""
        low = 0 if before is None else bisect_right(_EDGES, before)
        if before is not None and self._intervals[low, _NEVER] > 0:
            self._intervals[low, _NEVER] -= 1
        seen = (low, max(low, bisect_left(_EDGES, age))) if final else (bisect_right(_EDGES, age), _NEVER)
        self._intervals[seen] += 1
        self._sums = None
        if self._intervals.total() > _MEMORY:
            self._intervals = Counter({cell: count // 2 for cell, count in self._intervals.items() if count > 1})

    @property
    def known(self) -> bool:
        """Whether enough verdicts have come to say when to look first."""
        if self._fixed is not None:
            return True
        came = sum(count for (_, high), count in self._intervals.items() if high < _NEVER)
        return came >= _ENOUGH and 2 * came >= self._intervals.total()

    @property
    def first_look(self) -> Millis:
        """The age at which most verdicts are there."""
        if self._fixed is not None:
            return self._fixed
        return self._quantile(0, _MOST) or _UNKNOWN if self.known else _UNKNOWN

    @property
    def median(self) -> Millis | None:
        """The age at which half of the verdicts are there; None while that is not known."""
        return self._quantile(0, 0.5) if self.known and self._intervals else None

    def next_look(self, age: Millis) -> Millis:
        """How long to wait for a session that has no verdict at this age: until most such ones have theirs."""
        then = self._quantile(bisect_right(_EDGES, age), _MOST) if self.known else None
        wait = max(
            then - age if then is not None else 0, round(age * (_GROWTH - 1)) if then is None else 0, _SHORTEST_PAUSE
        )
        return min(wait, _LONGEST_PAUSE)

    def _quantile(self, low: int, share: float) -> Millis | None:
        """The age at which this share of the verdicts that come from cell ``low`` on is there; None if none does."""
        sums = self._distribution()
        start, end = sums[low], sums[_NEVER]
        if end - start < _NO_MASS:
            return None
        cell = bisect_left(sums, start + share * (end - start) - 1e-9, low + 1, _NEVER + 1) - 1
        return _EDGES[min(cell, _NEVER - 1)]

    def _distribution(self) -> list[float]:
        """Sums of the cells' probabilities; the last cell is for verdicts that never come.

        The non-parametric estimate for interval-censored times by self-consistency: Turnbull, J. R. Statist. Soc. B 38
        (1976) 290-295. Each interval spreads its count over its cells as the present estimate does, and the sums of
        that are the next estimate.
        """
        if self._sums is None:
            intervals = [(low, high, count) for (low, high), count in self._intervals.items() if count > 0]
            chances = _start(intervals)
            for _ in range(_ROUNDS if intervals else 0):
                chances = _consistent(chances, intervals)
            self._sums = [0.0, *accumulate(chances)]
        return self._sums


def _start(intervals: list[tuple[int, int, int]]) -> list[float]:
    """Even over the cells in which a verdict may have come, and the last: nothing speaks for the others."""
    possible = {_NEVER}.union(*(range(low, high + 1) for low, high, _ in intervals if high < _NEVER))
    return [(cell in possible) / len(possible) for cell in range(_NEVER + 1)]


def _consistent(chances: list[float], intervals: list[tuple[int, int, int]]) -> list[float]:
    """One round of the estimate."""
    sums = [0.0, *accumulate(chances)]
    slopes = [0.0] * (len(chances) + 1)
    for low, high, count in intervals:
        weight = count / max(sums[high + 1] - sums[low], 1e-12)
        slopes[low] += weight
        slopes[high + 1] -= weight
    total = sum(count for _, _, count in intervals)
    return [chance * weight / total for chance, weight in zip(chances, accumulate(slopes), strict=False)]
