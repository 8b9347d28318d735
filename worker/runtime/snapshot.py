"""The figures of a run at work, computed from its counters; how they look is for ``display`` to say."""

from collections import Counter, deque
from dataclasses import dataclass

from closeout.worker.domain.item import Outcome
from closeout.worker.ledger.records import Counts
from closeout.worker.pace.case import Case
from closeout.worker.runtime.context import Context
from closeout.worker.runtime.stop import Stop

REQUEST_WINDOW = 10.0
CLOSING_WINDOW = 60.0  # closing pauses while the API asks to wait; the time left should not jump each time
_OPEN = (Outcome.PENDING, Outcome.IN_DOUBT)


class Rate:
    """How fast a counter grows, per second, over a sliding window. Times are in seconds."""

    def __init__(self, window: float) -> None:
        self._window = window
        self._seen: deque[tuple[float, int]] = deque()

    def seen(self, at: float, count: int) -> float:
        """Take in the counter's value and return its rate; 0 until two moments are known."""
        self._seen.append((at, count))
        # One sample at or before the window's beginning is kept, so that the whole window is measured.
        while len(self._seen) > 2 and self._seen[1][0] <= at - self._window:
            self._seen.popleft()
        since, before = self._seen[0]
        return (count - before) / (at - since) if at > since else 0.0


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One moment of a run. Rates are per second, ``left`` and ``held_for`` are in seconds.

    ``waiting_for`` is what holds requests up (``outage``, ``paused``, ``quiet hours``, ``throttled``), or None;
    ``case`` what keeps the rate below what is allowed, or None. ``total`` is None until the source has been read to its
    end, ``left`` while it cannot be told. ``to_settle`` is None where evaluations are not looked at.
    """

    run: str
    source: str
    phase: str
    why: str | None
    draining: bool
    seconds: float
    rows_read: int
    duplicates: int
    total: int | None
    done: int
    outcomes: Counter[Outcome]
    in_doubt: int
    in_flight: int
    rate: float
    allowed: float
    throttled: int
    held_for: float
    left: float | None
    settled: int
    to_settle: int | None
    waiting_for: str | None = None
    case: Case | None = None

    @property
    def sessions(self) -> int:
        """Rows read so far that are no duplicates."""
        return self.rows_read - self.duplicates


@dataclass
class Meter:
    """Takes the snapshots of one run."""

    context: Context

    def __post_init__(self) -> None:
        self._requests = Rate(REQUEST_WINDOW)
        self._closing = Rate(CLOSING_WINDOW)
        self.take()

    def take(self) -> Snapshot:
        """The figures of now."""
        context, progress, stop = self.context, self.context.progress, self.context.stop
        now = progress.clock()
        outcomes = self._outcomes()
        done = sum(outcomes.values())
        total = progress.rows_read - progress.duplicates if progress.source_done else None
        # What was there before may be counted late, and is no work of this process: it has no part in the rate.
        closing = self._closing.seen(now, progress.done)
        foreseeable = self.complete and not stop.requested and progress.phase == "closing"
        return Snapshot(
            run=context.run.name,
            source=context.run.source,
            phase="draining" if stop.requested else progress.phase,
            why=_why(stop),
            draining=stop.requested,
            seconds=progress.seconds,
            rows_read=progress.rows_read,
            duplicates=progress.duplicates,
            total=total,
            done=done,
            outcomes=outcomes,
            in_doubt=max(0, self._before.outcomes.get(Outcome.IN_DOUBT, 0) + progress.doubts),
            in_flight=progress.in_flight,
            rate=self._requests.seen(now, progress.exchanges.total()),
            allowed=context.gate.pace.rate,
            throttled=progress.throttled,
            held_for=context.gate.pace.held_for,
            left=time_left(total, done, closing) if foreseeable else None,
            settled=self._settled(),
            waiting_for=context.gate.pace.cause,
            case=context.gate.pace.case,
            to_settle=self._to_settle() if context.settings.settle else None,
        )

    @property
    def complete(self) -> bool:
        """Whether all that has ended is known: a resumed run's earlier outcomes are counted beside its work."""
        return self.context.run.rows_read == 0 or self.context.progress.before is not None

    @property
    def _before(self) -> Counts:
        return self.context.progress.before or Counts()

    def _outcomes(self) -> Counter[Outcome]:
        """What has ended, before this process and in it."""
        progress = self.context.progress
        counts = Counter(self._before.outcomes) + progress.outcomes
        counts.subtract(progress.taken_up)
        counts.subtract(self._before.again)
        return Counter({outcome: count for outcome, count in counts.items() if outcome not in _OPEN})

    def _to_settle(self) -> int:
        return self._closed_before() + self.context.progress.to_settle

    def _settled(self) -> int:
        return self._closed_before() - self._before.unsettled + self.context.progress.settled

    def _closed_before(self) -> int:
        before = self._before.outcomes
        return before.get(Outcome.CLOSED, 0) + before.get(Outcome.ALREADY_CLOSED, 0)


def _why(stop: Stop) -> str | None:
    """Why it ends early, and how to end it at once where a person wants it to end."""
    if stop.state != "interrupted":
        return stop.why
    return f"{stop.why}; repeat it to abandon requests in flight"


def time_left(total: int | None, done: int, rate: float) -> float | None:
    """Seconds until all rows have ended, at this rate; None while that is unknown."""
    if total is None:
        return None
    if done >= total:
        return 0.0
    return (total - done) / rate if rate > 0 else None
