"""How long things took, counted by size: what is worth keeping of many measurements. No I/O, no clock."""

from bisect import bisect_left
from collections.abc import Iterator, Sequence


class Histogram:
    """Counts values by the first of some rising ``bounds`` that they do not exceed, and sums them up."""

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = tuple(bounds)
        self.sum = 0.0
        self._counts = [0] * (len(self.bounds) + 1)

    def add(self, value: float) -> None:
        self._counts[bisect_left(self.bounds, value)] += 1
        self.sum += value

    @property
    def count(self) -> int:
        return sum(self._counts)

    def cumulative(self) -> Iterator[tuple[float, int]]:
        """Each bound, the last one infinite, and how many values it is not exceeded by."""
        total = 0
        for bound, count in zip((*self.bounds, float("inf")), self._counts, strict=True):
            total += count
            yield bound, total
