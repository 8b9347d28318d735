"""How long answers took: exact percentiles, from how many took how many milliseconds. No I/O."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from math import ceil

from closeout.worker.ledger.report_store import LatencyCount


@dataclass(frozen=True, slots=True)
class Percentiles:
    """Of the answers to one kind of request, in milliseconds: so many percent took no longer."""

    count: int
    p50: int
    p90: int
    p99: int
    longest: int


def percentiles_of(counts: Iterable[LatencyCount]) -> dict[str, Percentiles]:
    """By kind. ``counts`` come by kind and milliseconds, in this order."""
    return {kind: _of_kind(list(found)) for kind, found in groupby(counts, key=lambda one: one.kind)}


def _of_kind(counts: Sequence[LatencyCount]) -> Percentiles:
    total = sum(one.count for one in counts)
    p50, p90, p99 = (_percentile(counts, ceil(total * share / 100)) for share in (50, 90, 99))
    return Percentiles(total, p50, p90, p99, counts[-1].ms)


def _percentile(counts: Sequence[LatencyCount], rank: int) -> int:
    """The milliseconds of the answer with this rank: the nearest-rank method."""
    for one in counts:
        rank -= one.count
        if rank <= 0:
            return one.ms
    raise ValueError("there are not so many")
