"""The figures of a run at work, on a clock that is moved by hand."""

from collections import Counter
from dataclasses import replace

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from closeout.worker.config.settings import Settings
from closeout.worker.domain.item import Outcome
from closeout.worker.ledger.records import Counts
from closeout.worker.runtime.snapshot import Meter, Rate, time_left
from tests.report.support import FRESH, Standing


def test_a_rate_needs_two_moments() -> None:
    rate = Rate(10)
    assert rate.seen(5.0, 100) == 0.0
    assert rate.seen(5.0, 200) == 0.0
    assert rate.seen(7.0, 200) == 50.0


def test_a_rate_forgets_what_is_older_than_its_window() -> None:
    rate = Rate(10)
    rates = [rate.seen(float(second), min(second, 20) * 50) for second in range(40)]
    assert rates[1:21] == [50.0] * 20
    assert rates[25] == 25.0
    assert rates[30:] == [0.0] * 10


def test_moments_further_apart_than_the_window_still_give_a_rate() -> None:
    rate = Rate(10)
    assert [rate.seen(at, count) for at, count in ((0, 0), (60, 600), (120, 1800))] == [0.0, 10.0, 20.0]


@given(st.lists(st.tuples(st.floats(0.001, 30), st.integers(0, 1000)), min_size=1, max_size=50))
def test_a_rate_lies_between_the_slowest_and_the_fastest_step(steps: list[tuple[float, int]]) -> None:
    rate, at, count, got = Rate(10), 0.0, 0, 0.0
    rate.seen(at, count)
    for seconds, more in steps:
        at, count = at + seconds, count + more
        got = rate.seen(at, count)
    each = [more / seconds for seconds, more in steps]
    assert min(each) * 0.999 - 1e-6 <= got <= max(each) * 1.001 + 1e-6


@pytest.mark.parametrize(
    ("total", "done", "rate", "left"),
    [(None, 5, 1.0, None), (100, 0, 0.0, None), (100, 50, 5.0, 10.0), (100, 100, 0.0, 0.0), (0, 0, 0.0, 0.0)],
)
def test_time_left(total: int | None, done: int, rate: float, left: float | None) -> None:
    assert time_left(total, done, rate) == left


def test_the_total_and_the_time_left_are_unknown_until_the_source_is_done() -> None:
    standing = Standing()
    meter = Meter(standing.context)
    standing.clock.now += 10
    standing.busy()
    standing.progress.source_done = False
    shot = meter.take()
    assert (shot.total, shot.left, shot.sessions) == (None, None, 100_000)
    standing.progress.source_done = True
    shot = meter.take()
    assert shot.total == 100_000
    assert shot.left == pytest.approx((100_000 - 12_400) / 1_240)


def test_a_snapshot_tells_what_the_counters_hold() -> None:
    standing = Standing()
    meter = Meter(standing.context)
    standing.clock.now += 10
    standing.busy()
    shot = meter.take()
    assert (shot.rows_read, shot.duplicates, shot.done) == (100_012, 12, 12_400)
    assert (shot.rate, shot.allowed, shot.seconds) == (1_250.0, 50.0, 10.0)
    assert (shot.in_flight, shot.throttled, shot.held_for) == (64, 2, 0.0)
    assert (shot.settled, shot.to_settle) == (11_000, 12_350)
    assert shot.outcomes[Outcome.FAILED] == 3


def test_a_wait_the_api_asked_for_is_counted_down() -> None:
    standing = Standing()
    meter = Meter(standing.context)
    anyio.run(standing.pace.throttled, 12.0, 0)
    first = meter.take().held_for
    standing.clock.now += 5
    assert first >= 12.0
    assert meter.take().held_for == pytest.approx(first - 5)


def test_a_stop_ends_the_guess_of_the_time_left() -> None:
    standing = Standing()
    standing.busy()
    meter = Meter(standing.context)
    standing.stop.request("interrupted", "interrupted by TERM", 143)
    shot = meter.take()
    why = "interrupted by TERM; repeat it to abandon requests in flight"
    assert (shot.phase, shot.draining, shot.why, shot.left) == ("draining", True, why, None)


def test_without_settling_there_is_nothing_to_settle() -> None:
    assert Meter(Standing(Settings(settle=False)).context).take().to_settle is None


def test_what_the_ledger_held_before_is_added() -> None:
    standing = Standing(run=replace(FRESH, rows_read=1_000, duplicates=10))
    standing.progress.rows_read, standing.progress.duplicates = 1_000, 10
    outcomes = {Outcome.CLOSED: 600, Outcome.ALREADY_CLOSED: 5, Outcome.PENDING: 380, Outcome.IN_DOUBT: 5}
    meter = Meter(standing.context)
    standing.progress.source_done = True
    standing.progress.outcomes = Counter({Outcome.CLOSED: 20})
    standing.progress.to_settle, standing.progress.settled = 20, 30
    standing.clock.now += 10
    assert meter.take().left is None  # not counted yet
    standing.progress.before = Counts(outcomes=outcomes, unsettled=100)
    shot = meter.take()
    assert (shot.total, shot.done, shot.outcomes[Outcome.CLOSED]) == (990, 625, 620)
    assert (shot.settled, shot.to_settle) == (535, 625)
    assert shot.left == pytest.approx((990 - 625) / 2)


def test_a_halt_has_nobody_at_hand_who_could_end_it_at_once() -> None:
    standing = Standing()
    standing.context.stop.halt("too many failures")
    assert Meter(standing.context).take().why == "too many failures"
