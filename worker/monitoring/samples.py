"""What the metrics of a run are now, read from what it counts anyway."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from closeout.worker.monitoring.metrics import BUILD_INFO, CAUSES, RUN_METRICS
from closeout.worker.queues.protocol import Depth
from closeout.worker.runtime.context import Context
from closeout.worker.runtime.progress import OTHER, Histogram
from closeout.worker.runtime.snapshot import Meter


@dataclass(frozen=True, slots=True)
class Sample:
    """The value of a metric with these values of its labels, in the table's order."""

    metric: str
    value: float | Histogram
    labels: tuple[str, ...] = ()


class RunSampler:
    """Takes the samples of one run. A label is told of with each of its values, so that no series begins late."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._meter = Meter(context)

    def take(self) -> Iterator[Sample]:
        """All samples of now."""
        yield from self._sessions()
        yield from self._requests()
        yield from self._pace()
        yield from self._safety()

    def _sessions(self) -> Iterator[Sample]:
        progress, shot = self._context.progress, self._meter.take()
        yield Sample("closeout_rows_read_total", progress.rows_read)
        yield Sample("closeout_duplicates_total", progress.duplicates)
        yield from _each("closeout_sessions_total", Counter({key.value: n for key, n in progress.outcomes.items()}))
        yield from _each("closeout_evaluations_total", progress.verdicts)
        if self._meter.complete:  # what an earlier process did may still be being counted
            yield Sample("closeout_open_sessions", max(0, shot.sessions - shot.done))
            yield Sample("closeout_in_doubt_sessions", shot.in_doubt)
            yield Sample("closeout_unsettled_sessions", max(0, (shot.to_settle or 0) - shot.settled))
        yield Sample("closeout_achieved_requests_per_second", shot.rate)

    def _requests(self) -> Iterator[Sample]:
        progress = self._context.progress
        results: defaultdict[tuple[str, str], int] = defaultdict(int)
        for (kind, status), count in progress.exchanges.items():
            results[kind, result_of(status)] += count
        for kind, seconds in progress.request_seconds.items():
            for result in _values("closeout_requests_total", 1):
                yield Sample("closeout_requests_total", results[kind, result], (kind, result))
            yield Sample("closeout_request_duration_seconds", seconds, (kind,))
        yield Sample("closeout_requests_in_flight", progress.in_flight)
        yield Sample("closeout_close_retries_total", progress.resent)
        yield Sample("closeout_ledger_write_duration_seconds", progress.write_seconds)
        yield Sample("closeout_ledger_backlog_records", progress.to_write)

    def _pace(self) -> Iterator[Sample]:
        pace = self._context.gate.pace
        ceiling, rate = pace.ceiling(), pace.rate
        yield Sample("closeout_ceiling_requests_per_second", ceiling)
        yield Sample("closeout_allowed_requests_per_second", rate)
        yield Sample("closeout_budget_cut_ratio", 1 - rate / ceiling if ceiling > 0 else 0.0)
        held = {"brake": 1} if self._context.hold.why is not None else {}
        yield from _each("closeout_waiting", Counter({**({_cause(pace.cause): 1} if pace.cause else {}), **held}))
        waited: defaultdict[str, float] = defaultdict(float)
        for cause, seconds in pace.waited.items():
            waited[_cause(cause)] += seconds
        for cause in _values("closeout_waited_seconds_total", 0):
            yield Sample("closeout_waited_seconds_total", waited[cause], (cause,))

    def _safety(self) -> Iterator[Sample]:
        stop, brake, hold = self._context.stop, self._context.brake, self._context.hold
        crew = self._context.crew
        yield Sample("closeout_leading", crew.leading)
        yield Sample("closeout_lease_held", crew.may_send())
        yield Sample("closeout_halted", stop.state == "halted")
        yield Sample("closeout_draining", stop.requested)
        yield Sample("closeout_brake_engaged", hold.why is not None or brake.why() is not None)
        yield Sample("closeout_brake_window_sessions", brake.total)
        yield Sample("closeout_brake_window_failures", brake.failures.total())


def queue_samples(depth: Depth | None) -> Iterator[Sample]:
    """How many messages a queue has, as far as it tells."""
    if depth is not None:
        counts = {"waiting": depth.waiting, "in_flight": depth.in_flight, "dead": depth.dead}
        for state, count in counts.items():
            if count is not None:
                yield Sample("closeout_queue_messages", count, (state,))


def build_sample(version: str, python: str) -> Sample:
    """What runs here."""
    return Sample(BUILD_INFO.name, 1, (version, python))


def result_of(status: int | None) -> str:
    """The class of a status, of which there are few."""
    if status is None:
        return "none"
    if status == 429:
        return "429"
    found = f"{status // 100}xx"
    return found if found in ("2xx", "3xx", "4xx", "5xx") else OTHER


def _cause(cause: str) -> str:
    name = cause.replace(" ", "_")
    return name if name in CAUSES else OTHER


def _each(metric: str, counts: Counter[str]) -> Iterator[Sample]:
    for value in _values(metric, 0):
        yield Sample(metric, counts[value], (value,))


def _values(metric: str, label: int) -> tuple[str, ...]:
    (found,) = (one for one in RUN_METRICS if one.name == metric)
    return list(found.labels.values())[label] or ()
