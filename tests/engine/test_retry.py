"""Back-off, waits after throttling, and when to give up."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from closeout.worker.policy.verdict import Limits
from closeout.worker.support.backoff import BACKOFF_BASE, BACKOFF_CAP, backoff, throttle_wait
from tests.engine.support import NOW, a_claim

DAY = 24 * 3600.0


class Extreme(random.Random):
    """Jitter that always falls on one end."""

    def __init__(self, high: bool) -> None:
        super().__init__(0)
        self.high = high

    def uniform(self, a: float, b: float) -> float:
        return b if self.high else a


@given(failures=st.integers(1, 10**9), seed=st.integers())
def test_backoff_stays_within_its_bounds(failures: int, seed: int) -> None:
    """However many failures: never negative, never above the cap."""
    assert 0 <= backoff(failures, random.Random(seed)) <= BACKOFF_CAP


@pytest.mark.parametrize(("failures", "ceiling"), [(1, 0.5), (2, 1.0), (3, 2.0), (7, 32.0), (8, 60.0), (40, 60.0)])
def test_backoff_has_full_jitter_under_a_doubling_ceiling(failures: int, ceiling: float) -> None:
    """The whole interval from zero to the ceiling is used."""
    assert backoff(failures, Extreme(high=False)) == 0
    assert backoff(failures, Extreme(high=True)) == ceiling
    assert backoff(1, Extreme(high=True)) == BACKOFF_BASE


@pytest.mark.parametrize("told", [0.001, 1, 30, 3600, DAY])
def test_a_told_wait_is_kept_to_the_letter(told: float) -> None:
    """The API knows best, up to a day."""
    assert throttle_wait(told, 5, 0.5) == told


@pytest.mark.parametrize("told", [None, 0, -1, -1e9, float("-inf"), float("nan")])
def test_a_nonsense_wait_is_as_good_as_none(told: float | None) -> None:
    """A wait in the past, or of nothing, falls back to our own."""
    assert 0.5 <= throttle_wait(told, 1, 0.5) <= 1.0


@pytest.mark.parametrize("told", [DAY + 1, 1e9, 1e12, float("inf")])
def test_a_wait_of_more_than_a_day_is_one_of_a_day(told: float) -> None:
    """It is longer than anybody waits, so it halts the run; a moment in seconds since 1970 holds nobody for ever."""
    assert throttle_wait(told, 1, 0.5) == DAY


@given(streak=st.integers(1, 10**9), draw=st.floats(0, 1))
def test_untold_waits_double_from_one_second_to_sixteen(streak: int, draw: float) -> None:
    """At least half of the ceiling: a throttled API must be left alone for a while."""
    ceiling = min(16.0, 2.0 ** (min(streak, 10) - 1))
    assert ceiling / 2 <= throttle_wait(None, streak, draw) <= ceiling


@pytest.mark.parametrize(
    ("attempts", "age", "exhausted"), [(2, 0, False), (3, 0, True), (4, 0, True), (0, 999, False), (0, 1_000, True)]
)
def test_attempts_and_time_are_both_bounded(attempts: int, age: int, exhausted: bool) -> None:
    """Whichever comes first."""
    limits = Limits(3, 1_000, since=0)
    assert limits.exhausted(a_claim(first_attempt_at=NOW - age), attempts, NOW) is exhausted


def test_an_item_never_attempted_has_all_its_time() -> None:
    """Its time begins with its first attempt."""
    assert not Limits(3, 1_000, since=0).exhausted(a_claim(first_attempt_at=None), 0, NOW)
