"""The table of metrics: what is told is in it, and what is in it is documented."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from closeout.worker.monitoring.metrics import JOB_METRICS, METRICS, QUEUE_METRICS, RUN_METRICS, Metric
from closeout.worker.monitoring.prometheus import Exposition
from closeout.worker.monitoring.samples import RunSampler, Sample, result_of
from closeout.worker.runtime.progress import OTHER, Histogram
from tests.report.support import Standing

DOCS = Path(__file__).parents[2] / "docs" / "metrics.md"
_UNITS = ("seconds", "sessions", "requests", "records", "messages", "ratio", "per_second", "info", "total", "failures")
_STATES = {
    "closeout_waiting", "closeout_leading", "closeout_lease_held", "closeout_halted", "closeout_draining",
    "closeout_brake_engaged", "closeout_job_running",
}  # fmt: skip


def table(metrics: tuple[Metric, ...]) -> str:
    """The lines of a table of the documentation."""
    lines = ["| metric | type | labels | meaning |", "|---|---|---|---|"]
    for one in metrics:
        labels = ", ".join(f"`{name}`" for name in one.labels) or "-"
        lines.append(f"| `{one.name}` | {one.type} | {labels} | {one.help} |")
    return "\n".join(lines)


@pytest.mark.parametrize("metrics", [RUN_METRICS, QUEUE_METRICS, JOB_METRICS], ids=["run", "queue", "job"])
def test_every_metric_is_documented_as_it_is(metrics: tuple[Metric, ...]) -> None:
    """Write the table that this expects into docs/metrics.md."""
    assert table(metrics) in DOCS.read_text(encoding="utf-8"), f"docs/metrics.md lacks:\n{table(metrics)}"


def test_nothing_else_is_documented() -> None:
    """A metric that was renamed leaves nothing behind, not even in an alert."""
    text = DOCS.read_text(encoding="utf-8")
    known = set(METRICS) | {f"{name}_bucket" for name, one in METRICS.items() if one.type == "histogram"}
    assert set(re.findall(r"\bcloseout_[a-z_]+", text)) == known & set(re.findall(r"\bcloseout_[a-z_]+", text))
    assert set(METRICS) <= set(re.findall(r"\bcloseout_[a-z_]+", text))


@pytest.mark.parametrize("metric", METRICS.values(), ids=lambda one: one.name)
def test_names_follow_the_conventions(metric: Metric) -> None:
    """Our prefix, a base unit or what is counted at the end, ``_total`` for what only grows; help is a sentence."""
    assert re.fullmatch(r"closeout_[a-z]+(_[a-z]+)*", metric.name)
    assert metric.name.endswith("_total") == (metric.type == "counter")
    assert metric.name.endswith(_UNITS) or metric.name in _STATES | {"closeout_requests_in_flight"}
    assert metric.help.endswith(".")
    assert "|" not in metric.help
    assert not set(metric.labels) & {"run", "session", "session_id", "le", "instance"}


def test_a_run_tells_of_each_of_its_metrics_once() -> None:
    """Also one that has done nothing yet: a series that begins at 1 would hide its first increase."""
    taken = list(RunSampler(Standing().context).take())
    assert {sample.metric for sample in taken} == {metric.name for metric in RUN_METRICS}
    assert len({(sample.metric, sample.labels) for sample in taken}) == len(taken)
    for metric in RUN_METRICS:
        expected = 1
        for values in metric.labels.values():
            expected *= len(values or ())
        assert sum(sample.metric == metric.name for sample in taken) == expected


def test_whatever_an_api_answers_makes_no_new_series() -> None:
    """Odd statuses and verdicts share one value."""
    assert [result_of(status) for status in (None, 200, 204, 304, 404, 429, 503)] == [
        "none", "2xx", "2xx", "3xx", "4xx", "429", "5xx",
    ]  # fmt: skip
    assert {result_of(status) for status in (0, 101, 600, 999)} == {OTHER}


@given(st.lists(st.floats(0, 100), max_size=50), st.lists(st.floats(0.1, 50), min_size=1, max_size=8, unique=True))
def test_a_histogram_counts_what_each_bound_holds(values: list[float], bounds: list[float]) -> None:
    """A value that equals a bound is within it, as Prometheus has it."""
    histogram = Histogram(sorted(bounds))
    for value in values:
        histogram.add(value)
    assert [(bound, sum(value <= bound for value in values)) for bound in (*sorted(bounds), float("inf"))] == list(
        histogram.cumulative()
    )
    assert histogram.count == len(values)
    assert histogram.sum == pytest.approx(sum(values))


def test_a_sample_that_is_not_of_its_metrics_type_is_a_mistake() -> None:
    """It is not told as something else."""
    with pytest.raises(TypeError, match="closeout_halted is a gauge"):
        Exposition().write([Sample("closeout_halted", Histogram((1,)))], "")
