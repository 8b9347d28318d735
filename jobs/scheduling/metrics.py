"""How the jobs that a schedule starts have done since it is kept: what ``schedule --listen`` tells."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from closeout.jobs.definitions.cron import Schedule, next_start
from closeout.worker.monitoring.metrics import EXIT_CODES
from closeout.worker.monitoring.samples import Sample
from closeout.worker.runtime.progress import OTHER
from closeout.worker.support.clock import Millis


@dataclass
class JobBoard:
    """Counts starts and ends of the ``schedules``."""

    schedules: Sequence[Schedule]
    running: set[str] = field(default_factory=set)
    ended_at: dict[str, Millis] = field(default_factory=dict)
    runs: Counter[tuple[str, str]] = field(default_factory=Counter)

    def started(self, name: str) -> None:
        self.running.add(name)

    def ended(self, name: str, exit_code: int, now: Millis) -> None:
        code = str(exit_code)
        self.running.discard(name)
        self.ended_at[name] = now
        self.runs[name, code if code in EXIT_CODES else OTHER] += 1

    def samples(self, now: Millis) -> Iterator[Sample]:
        """What there is to tell now."""
        for schedule in self.schedules:
            name = (schedule.name,)
            yield Sample("closeout_job_running", schedule.name in self.running, name)
            yield Sample("closeout_job_next_start_timestamp_seconds", next_start(schedule, now) / 1000, name)
            if schedule.name in self.ended_at:
                yield Sample("closeout_job_last_end_timestamp_seconds", self.ended_at[schedule.name] / 1000, name)
            for code in EXIT_CODES:
                yield Sample("closeout_job_runs_total", self.runs[schedule.name, code], (*name, code))
