"""What this process has seen of a run so far: counters for the display. The ledger has the truth."""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from worker.ledger.protocol import Counts
from worker.models import Answer, Change, Outcome, Record, SourceRow


@dataclass
class Progress:
    """Counters since this process began, except that ``rows_read`` and ``duplicates`` are those of the whole run.

    ``doubts`` is by how much the sessions in doubt have grown or shrunk. ``before`` is what the ledger held of a
    resumed run when this process began, once that has been counted.
    ``asking``: a person is being asked, and nothing else may write to the terminal.
    """

    clock: Callable[[], float] = time.monotonic
    rows_read: int = 0
    duplicates: int = 0
    source_done: bool = False
    in_flight: int = 0
    outcomes: Counter[Outcome] = field(default_factory=Counter)
    requests: Counter[str] = field(default_factory=Counter)
    throttled: int = 0
    settled: int = 0
    to_settle: int = 0
    doubts: int = 0
    phase: str = "closing"
    before: Counts | None = None
    asking: bool = False

    def __post_init__(self) -> None:
        self.began = self.clock()

    @property
    def seconds(self) -> float:
        return self.clock() - self.began

    @property
    def done(self) -> int:
        """Rows that have their outcome."""
        return sum(count for outcome, count in self.outcomes.items() if outcome is not Outcome.PENDING)

    def admitted(self, rows: Sequence[SourceRow], duplicates: int) -> None:
        self.rows_read += len(rows)
        self.duplicates += duplicates
        self.outcomes[Outcome.INVALID] += sum(row.session_id is None for row in rows)

    def exchanged(self, answer: Answer) -> None:
        self.requests[answer.exchange.kind] += 1
        self.throttled += answer.http_status == 429

    def recorded(self, records: Sequence[Record]) -> None:
        for record in records:
            for change in record.changes:
                self._changed(change, close=record.exchange is not None and record.exchange.kind == "close")

    def verified(self, changes: Sequence[Change]) -> None:
        """Take in what came of looks at sessions in doubt."""
        self.doubts -= sum(change.outcome is not Outcome.IN_DOUBT for change in changes)

    def _changed(self, change: Change, *, close: bool) -> None:
        self.settled += change.settled
        outcome = change.outcome
        if outcome is None:
            return
        self.doubts += close and outcome is Outcome.IN_DOUBT
        if outcome not in (Outcome.PENDING, Outcome.IN_DOUBT):
            self.outcomes[outcome] += 1
            self.to_settle += outcome in (Outcome.CLOSED, Outcome.ALREADY_CLOSED)
