"""What a run did over time, cut into spans: nothing is lost, and the allowed rate is that of the time."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from closeout.worker.ledger.stores import LatencyCount, PaceSample, Traffic
from closeout.worker.report.charts import HEIGHT, WIDTH, columns_path, panels_of, steps_path
from closeout.worker.report.run_report import percentiles_of, width_for
from closeout.worker.report.timeline import MOST_SPANS, allowed_in, moments, nice_top, timeline_of

START = 1_772_445_600_000
MOMENTS = st.integers(0, 40 * 86_400)


@st.composite
def traffics(draw: st.DrawFn) -> list[Traffic]:
    """Exchanges at seconds of up to forty days, in the order of time."""
    found = draw(
        st.lists(st.tuples(MOMENTS, st.sampled_from(["close", "read", "list"]), st.integers(1, 90)), min_size=1)
    )
    return [
        Traffic(START + at * 1_000, kind, count, count // 9, count // 20, last)
        for last, (at, kind, count) in enumerate(sorted(found))
    ]


@given(traffics(), st.sampled_from([1_000, 10_000, 60_000]))
def test_every_exchange_is_in_its_span(traffic: list[Traffic], width: int) -> None:
    """However long the run was: few spans, evenly wide, none left out, and their sums are those of the run."""
    traffic = [replace(each, at=each.at // width * width) for each in traffic]
    timeline = timeline_of(traffic, width, [], 50.0)
    assert timeline is not None
    assert timeline.width % width == 0
    assert 1 <= len(timeline.spans) <= MOST_SPANS + 1
    starts = [span.at for span in timeline.spans]
    assert starts == list(range(starts[0], starts[0] + len(starts) * timeline.width, timeline.width))
    assert sum(span.requests for span in timeline.spans) == sum(each.count for each in traffic)
    assert sum(span.throttled for span in timeline.spans) == sum(each.throttled for each in traffic)
    answered = sum(each.count - each.throttled - each.failed for each in traffic if each.kind == "close")
    assert sum(span.closes for span in timeline.spans) == answered
    for span in timeline.spans:
        within = [each.count for each in traffic if span.at <= each.at < span.at + timeline.width]
        assert span.requests == sum(within)
    assert {span.allowed for span in timeline.spans} == {50.0}
    assert not timeline.noted


def test_a_run_without_exchanges_has_no_timeline() -> None:
    """There is nothing to draw."""
    assert timeline_of([], 1_000, [PaceSample(START, 5.0)], 50.0) is None


def test_the_allowed_rate_is_that_of_the_time() -> None:
    """A mean where it changed within a span; nothing while a run is paused, though its rate stands."""
    steps = [(0, 50.0), (10_000, 35.0), (20_000, 0.0), (25_000, 35.0)]
    assert [allowed_in(steps, at, at + 10_000) for at in (0, 10_000, 20_000, 30_000)] == [50.0, 35.0, 17.5, 35.0]
    assert allowed_in(steps, 5_000, 15_000) == 42.5
    assert allowed_in([(7_000, 9.0)], 0, 5_000) == 9.0
    traffic = [Traffic(START + at, "close", 10, 0, 0, at) for at in (0, 1_000, 2_000)]
    paces = [
        PaceSample(START, 50.0),
        PaceSample(START + 1_000, 50.0, "paused"),
        PaceSample(START + 2_000, 35.0, "throttled"),
    ]
    timeline = timeline_of(traffic, 1_000, paces, 99.0)
    assert timeline is not None
    assert [span.allowed for span in timeline.spans] == [50.0, 0.0, 35.0]
    assert timeline.noted
    assert [panel.name for panel in panels_of(timeline)] == ["closes", "rate", "throttled"]


@given(st.floats(0.001, 1e7))
def test_a_scale_ends_just_above_its_highest_value(highest: float) -> None:
    """At a round number."""
    assert highest * 0.999 <= nice_top(highest) <= 2 * highest


def test_geometry_stays_in_its_box() -> None:
    """Columns stand on the ground; what is over the scale ends at its top."""
    assert columns_path([5.0, 0.0, 20.0], 10.0) == "M30 100V50H303.33V100ZM696.67 100V0H970V100Z"
    assert steps_path([10.0, 5.0], 10.0) == f"M0 0V0H{WIDTH // 2}V{HEIGHT // 2}H{WIDTH}"
    assert steps_path([], 10.0) == columns_path([0.0], 10.0) == ""


@pytest.mark.parametrize(
    ("length", "first", "last"),
    [(60_000, "10:00:00", "10:01:00"), (7_200_000, "10:00", "12:00"), (3 * 86_400_000, "02 Mar 10:00", "05 Mar 10:00")],
)
def test_ticks_are_as_fine_as_the_time_is_short(length: int, first: str, last: str) -> None:
    """Five of them."""
    found = moments(START, START + length)
    assert (len(found), found[0], found[-1]) == (5, first, last)


@given(st.lists(st.integers(0, 5_000), min_size=1))
def test_percentiles_are_those_of_the_sorted_answers(answers: list[int]) -> None:
    """By the nearest rank, exactly."""
    ordered = sorted(answers)
    found = percentiles_of(LatencyCount("close", ms, ordered.count(ms)) for ms in sorted(set(ordered)))["close"]
    ranks = [-(-len(ordered) * share // 100) for share in (50, 90, 99)]
    assert [found.p50, found.p90, found.p99] == [ordered[rank - 1] for rank in ranks]
    assert (found.count, found.longest) == (len(ordered), ordered[-1])


def test_longer_runs_are_counted_more_coarsely() -> None:
    """So that a week of work takes no more memory than a night."""
    assert [width_for(hours * 3_600_000) for hours in (1, 6, 7, 60, 61)] == [1_000, 1_000, 10_000, 10_000, 60_000]
