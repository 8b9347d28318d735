"""Every metric that closeout tells of: its name, its type, its labels with all their values, and what it means.

docs/metrics.md shows this table, and a test holds them together. No label takes values without bound: not the ids of
sessions or runs, nor what an API may think of.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from closeout.worker.domain.exchange import KINDS
from closeout.worker.domain.item import Outcome
from closeout.worker.domain.session import EVAL_STATUSES
from closeout.worker.runtime.progress import OTHER

MetricType = Literal["counter", "gauge", "histogram", "info"]
RESULTS = ("2xx", "3xx", "4xx", "429", "5xx", "none", OTHER)
CAUSES = ("outage", "paused", "quiet_hours", "throttled", OTHER)
EXIT_CODES = ("0", "1", "2", "3", "4", "5", "130", "143", OTHER)
_CONFIGURED: tuple[str, ...] | None = None  # as many as there are jobs in the configuration
_TEXT: tuple[str, ...] | None = None  # one value for as long as the process lives


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric. ``labels`` gives the values of each label, None where the configuration bounds them."""

    name: str
    type: MetricType
    help: str
    labels: Mapping[str, tuple[str, ...] | None] = field(default_factory=dict)


_OUTCOMES = tuple(outcome.value for outcome in Outcome if outcome not in (Outcome.PENDING, Outcome.IN_DOUBT))
_VERDICTS = (*sorted(EVAL_STATUSES), OTHER)

RUN_METRICS = (
    Metric("closeout_rows_read_total", "counter", "Rows read from the source, over the whole run."),
    Metric("closeout_duplicates_total", "counter", "Rows whose session had been read before, over the whole run."),
    Metric(
        "closeout_sessions_total", "counter", "Sessions that came to this outcome in this process.",
        {"outcome": _OUTCOMES},
    ),
    Metric("closeout_open_sessions", "gauge", "Sessions read that have no final outcome yet, those in doubt included."),
    Metric("closeout_in_doubt_sessions", "gauge", "Sessions whose close was sent, its answer lost, and not yet read."),
    Metric("closeout_unsettled_sessions", "gauge", "Closed sessions whose evaluations are still looked at."),
    Metric(
        "closeout_evaluations_total", "counter", "Verdicts (eval_status) that this process took as final.",
        {"status": _VERDICTS},
    ),
    Metric(
        "closeout_requests_total", "counter",
        "Requests by the class of their answer's status; 429 (throttled) stands apart, none: no answer came.",
        {"kind": KINDS, "result": RESULTS},
    ),
    Metric(
        "closeout_request_duration_seconds", "histogram", "Time from a request's start to its answer, or to none.",
        {"kind": KINDS},
    ),
    Metric("closeout_requests_in_flight", "gauge", "Requests sent that have no answer yet, and those about to leave."),
    Metric("closeout_close_retries_total", "counter", "Closes sent for a session that had been sent one before."),
    Metric("closeout_ceiling_requests_per_second", "gauge", "The rate that the settings allow now; 0 in quiet hours."),
    Metric("closeout_allowed_requests_per_second", "gauge", "The rate that the shared budget allows now."),
    Metric("closeout_achieved_requests_per_second", "gauge", "The rate over the last 10 s, or since the last scrape."),
    Metric(
        "closeout_budget_cut_ratio", "gauge",
        "Share of the ceiling that is withheld after 429s or slow answers, or by `closeout rate`; 0: none.",
    ),
    Metric(
        "closeout_waiting", "gauge", "1 for what holds requests up now; the brake holds up closes alone.",
        {"cause": ("brake", *CAUSES)},
    ),
    Metric(
        "closeout_waited_seconds_total", "counter",
        "Seconds in which nothing could leave: API down, `closeout pause`, quiet hours, or the API asked to wait.",
        {"cause": CAUSES},
    ),
    Metric("closeout_leading", "gauge", "1 while it leads its run: reads the source, settles, ends it; alone, always."),
    Metric("closeout_lease_held", "gauge", "1 while the ledger has heard of it in time, so that it may close."),
    Metric("closeout_halted", "gauge", "1 once the run has stopped because going on would be wrong."),
    Metric("closeout_draining", "gauge", "1 once nothing new is sent, for whatever reason."),
    Metric("closeout_brake_engaged", "gauge", "1 while more of the last sessions failed than --max-failures bears."),
    Metric("closeout_brake_window_sessions", "gauge", "Sessions that the brake looks at: the last 1,000 attempted."),
    Metric("closeout_brake_window_failures", "gauge", "How many of these failed, were rejected or not found."),
    Metric(
        "closeout_ledger_write_duration_seconds", "histogram", "Time to commit one batch of answers to the ledger.",
    ),
    Metric("closeout_ledger_backlog_records", "gauge", "Answers that have come and are not in the ledger yet."),
)  # fmt: skip
QUEUE_METRICS = (
    Metric(
        "closeout_queue_messages", "gauge",
        "Messages of the queue; a state whose count the server does not tell is left out.",
        {"state": ("waiting", "in_flight", "dead")},
    ),
)  # fmt: skip
JOB_METRICS = (
    Metric("closeout_job_running", "gauge", "1 while the job runs.", {"job": _CONFIGURED}),
    Metric("closeout_job_next_start_timestamp_seconds", "gauge", "When the job starts next.", {"job": _CONFIGURED}),
    Metric(
        "closeout_job_last_end_timestamp_seconds", "gauge", "When the job ended last, since the schedule is kept.",
        {"job": _CONFIGURED},
    ),
    Metric(
        "closeout_job_runs_total", "counter", "Runs of the job that ended with this exit code.",
        {"job": _CONFIGURED, "exit_code": EXIT_CODES},
    ),
)  # fmt: skip
BUILD_INFO = Metric(
    "closeout_build_info", "info", "Always 1: which closeout, on which Python.", {"version": _TEXT, "python": _TEXT}
)
METRICS = {metric.name: metric for metric in (*RUN_METRICS, *QUEUE_METRICS, *JOB_METRICS, BUILD_INFO)}
