"""What this process has seen of a run so far: counters for the display and for metrics. The ledger has the truth."""

import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from closeout.worker.domain.exchange import KINDS, Answer, Kind
from closeout.worker.domain.item import Change, Outcome, Record, SourceRow
from closeout.worker.domain.session import EVAL_STATUSES
from closeout.worker.ledger.records import Counts
from closeout.worker.ledger.stores import TakenIn

OTHER = "other"
_REQUEST_BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)  # seconds
_WRITE_BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)  # seconds


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


def _request_times() -> dict[Kind, Histogram]:
    return {kind: Histogram(_REQUEST_BOUNDS) for kind in KINDS}


@dataclass
class Progress:
    """Counters since this process began, except that ``rows_read`` and ``duplicates`` are those of the whole run.

    ``doubts`` is by how much the sessions in doubt have grown or shrunk. ``before`` is what the ledger held of a
    resumed run when this process began, once that has been counted.
    ``exchanges`` are by kind and status (None: no answer), ``request_seconds`` how long they took; ``resent`` are the
    closes that were not their session's first. ``write_seconds`` is how long it took to write a batch of answers, of
    which ``to_write`` wait. ``verdicts`` are the final ones, by ``eval_status``. ``taken_up`` counts sessions by
    the outcome that they had before they became pending again.
    """

    clock: Callable[[], float] = time.monotonic
    rows_read: int = 0
    duplicates: int = 0
    source_done: bool = False
    in_flight: int = 0
    outcomes: Counter[Outcome] = field(default_factory=Counter)
    taken_up: Counter[Outcome] = field(default_factory=Counter)
    exchanges: Counter[tuple[Kind, int | None]] = field(default_factory=Counter)
    request_seconds: dict[Kind, Histogram] = field(default_factory=_request_times)
    write_seconds: Histogram = field(default_factory=lambda: Histogram(_WRITE_BOUNDS))
    to_write: int = 0
    resent: int = 0
    verdicts: Counter[str] = field(default_factory=Counter)
    settled: int = 0
    to_settle: int = 0
    doubts: int = 0
    phase: str = "closing"
    before: Counts | None = None

    def __post_init__(self) -> None:
        self.began = self.clock()

    @property
    def seconds(self) -> float:
        return self.clock() - self.began

    @property
    def throttled(self) -> int:
        return sum(count for (_, status), count in self.exchanges.items() if status == 429)

    @property
    def done(self) -> int:
        """Rows that have their outcome."""
        return sum(count for outcome, count in self.outcomes.items() if outcome is not Outcome.PENDING)

    def admitted(self, rows: Sequence[SourceRow], duplicates: int) -> None:
        self.rows_read += len(rows)
        self.duplicates += duplicates
        self.outcomes[Outcome.INVALID] += sum(row.session_id is None for row in rows)

    def taken_in(self, read: int, taken: TakenIn) -> None:
        """The same of messages."""
        self.rows_read += read
        self.duplicates += taken.duplicates
        self.outcomes[Outcome.INVALID] += taken.invalid
        self.taken_up.update(taken.again)

    def exchanged(self, answer: Answer) -> None:
        exchange = answer.exchange
        self.exchanges[exchange.kind, exchange.http_status] += 1
        self.request_seconds[exchange.kind].add(exchange.ms / 1000)

    def recorded(self, records: Sequence[Record]) -> None:
        for record in records:
            for change in record.changes:
                self._changed(change, close=record.exchange is not None and record.exchange.kind == "close")

    def verified(self, changes: Sequence[Change]) -> None:
        """Take in what came of looks at sessions in doubt."""
        self.doubts -= sum(change.outcome is not Outcome.IN_DOUBT for change in changes)

    def _changed(self, change: Change, *, close: bool) -> None:
        if change.settled:
            self._settled(change)
        outcome = change.outcome
        if outcome is None:
            return
        self.doubts += close and outcome is Outcome.IN_DOUBT
        if outcome not in (Outcome.PENDING, Outcome.IN_DOUBT):
            self.outcomes[outcome] += 1
            self.to_settle += outcome in (Outcome.CLOSED, Outcome.ALREADY_CLOSED)

    def _settled(self, change: Change) -> None:
        self.settled += 1
        if change.session is not None:
            status = change.session.evals.status
            self.verdicts[status if status in EVAL_STATUSES else OTHER] += 1
