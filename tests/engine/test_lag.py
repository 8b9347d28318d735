"""When verdicts come is learnt from looks, and so is how long a ``none`` is doubted."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from closeout.worker.policy.evaluation_lag import Lag
from closeout.worker.policy.none_grace import Grace

SECOND = 1_000


def followed(lag: Lag, true_lag: float, first: float = 2_000, growth: float = 1.5, end: float = 1e6) -> int:
    """Look at one session until its verdict is there; returns how often."""
    age, before, looks = first, None, 0
    while age < end:
        looks += 1
        lag.looked(before, round(age), final=age >= true_lag)
        if age >= true_lag:
            break
        before, age = round(age), age * growth
    return looks


def test_nothing_is_known_at_first() -> None:
    """A minute, then, and the next look when the session is half as old again."""
    lag = Lag()
    assert (lag.known, lag.first_look, lag.median) == (False, 60_000, None)
    assert lag.next_look(10_000) == 5_000


def test_a_first_look_that_was_asked_for_is_kept() -> None:
    """Whatever is seen."""
    lag = Lag(fixed=7_000)
    followed(lag, 90_000)
    assert (lag.known, lag.first_look) == (True, 7_000)


@pytest.mark.parametrize("pilots", [4, 8, 200])
def test_the_time_of_most_verdicts_is_found(pilots: int) -> None:
    """Lags of 5 to 20 s, each known only to half its size: not so early that many are missing, nor much too late."""
    lag = Lag()
    for number in range(pilots):
        followed(lag, 5_000 + 15_000 * (number + 0.5) / pilots)
    assert lag.known
    assert 14_000 <= lag.first_look <= 28_000
    assert 6_000 <= (lag.median or 0) <= 18_000


def test_looks_at_one_age_say_how_many_come_later() -> None:
    """A first look that finds a third of the verdicts missing makes the next first looks later."""
    lag = Lag()
    rng = random.Random(1)
    for _ in range(300):
        true = rng.uniform(5_000, 20_000)
        followed(lag, true, first=15_000, growth=1.2)
    assert 18_000 <= lag.first_look <= 22_000


def test_verdicts_that_never_come_do_not_put_off_the_first_look() -> None:
    """It is asked of those that come at all; the others are looked at ever more rarely."""
    lag = Lag()
    for number in range(100):
        followed(lag, 4_000 if number % 10 else 1e9, end=200_000)
    assert lag.first_look < 7_000
    assert lag.next_look(100_000) == 50_000


def test_a_straggler_is_looked_at_when_most_of_its_like_are_done() -> None:
    """Some take 3 s, the rest about 100 s: what is pending after 5 s is one of the rest."""
    lag = Lag()
    for number in range(200):
        followed(lag, 3_000 if number % 2 else 100_000 + 50 * number, first=1_000, growth=1.1)
    assert 90_000 <= 5_000 + lag.next_look(5_000) <= 130_000


@given(st.lists(st.tuples(st.none() | st.integers(0, 10**9), st.integers(0, 10**9), st.booleans()), max_size=60))
def test_whatever_is_seen_there_is_an_answer(looks: list[tuple[int | None, int, bool]]) -> None:
    """Looks between half a second and five minutes apart, and a first look at an age that the grid has."""
    lag = Lag()
    for before, age, final in looks:
        lag.looked(before, age, final=final)
        assert 0 < lag.first_look < 200_000_000
        assert SECOND / 2 <= lag.next_look(age) <= 300 * SECOND


@given(st.floats(1_000, 3_600_000), st.integers(0, 10**6))
def test_the_estimate_is_within_a_step_of_the_looks(true: float, seed: int) -> None:
    """Verdicts that all take the same time, followed in steps of a tenth."""
    lag = Lag()
    rng = random.Random(seed)
    for _ in range(10):
        followed(lag, true, first=rng.uniform(500, 1_000), growth=1.1, end=1e9)
    assert true * 0.9 <= lag.first_look <= true * 1.25


def test_a_lag_that_changes_is_followed() -> None:
    """Half of what is old is forgotten, again and again."""
    lag = Lag()
    for _ in range(15_000):
        lag.looked(2_000, 3_000, final=True)
    for _ in range(100_000):
        lag.looked(40_000, 50_000, final=True)
    assert lag.first_look >= 40_000


def test_the_grace_grows_at_once_when_runs_appear_late() -> None:
    """Three times the latest age at which they had still been missing the time before."""
    grace = Grace(15_000)
    assert not grace.appeared(2_000, without=1_500)
    assert grace.value == 15_000
    assert grace.appeared(8_000, without=5_000)
    assert grace.value == 24_000
    assert not grace.appeared(7_000, without=5_000)
    assert grace.value == 24_000


def test_the_grace_shrinks_when_five_sessions_have_shown_their_runs_early() -> None:
    """Never below five seconds; and grows again."""
    grace = Grace(15_000)
    for _ in range(5):
        assert grace.value == 15_000
        grace.appeared(1_000, without=None)
    assert grace.value == 5_000
    assert grace.appeared(2_500, without=2_000)
    assert grace.value == 7_500


def test_a_grace_that_was_asked_for_is_not_made_longer_without_evidence() -> None:
    """Five seconds are the shortest that is learnt, not the shortest that may be set."""
    grace = Grace(500)
    for _ in range(9):
        assert not grace.appeared(100, without=None)
    assert grace.value == 500


def test_runs_first_seen_late_are_no_evidence() -> None:
    """They may have been there for long."""
    grace = Grace(15_000)
    for _ in range(50):
        assert not grace.appeared(20_000, without=None)
    assert grace.value == 15_000


def test_a_look_that_comes_late_does_not_make_the_grace_run_away() -> None:
    """Runs that were missing after 15 s and are there five minutes later may have come at any time between."""
    grace = Grace(15_000)
    assert grace.appeared(300_000, without=15_000)
    assert grace.value == 90_000
    assert grace.appeared(300_000, without=90_000)
    assert grace.value == 540_000
