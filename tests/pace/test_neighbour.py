"""The third promise: what production loses to a run beside it, and how much of the room that is safe the run uses.

Production is a Poisson process, put to the same limit of 100/s. "Added" is the share of its requests that are refused,
beyond what the same arrivals lose alone, in points; "safe room" is what the limit leaves after production and two of
its standard deviations. All in virtual time; `make pace-lab` prints the whole table, over more seeds.
"""

import math
from collections.abc import Callable
from statistics import median

import pytest

from closeout.worker.sandbox.ratelimit import make_limiter
from tests.pace.simulation import Production, Simulation
from tests.pace.worlds import LIMITERS, constant, see, steady, steps, wave

TOLD = pytest.mark.parametrize("told", [True, False], ids=["told", "untold"])


@TOLD
def test_a_step_of_production_is_given_way_to_and_its_fall_is_found(told: bool) -> None:
    """At 90% of the limit, where the law of before added 2.2 points, used 28% and never came back."""
    seen = see(steps, 90, told, 80)
    assert seen.added <= (1.5 if told else 1.8)
    assert seen.used >= 0.44
    assert seen.recovers(50, 0.8 * (70 - 2 * math.sqrt(30))) <= 25


@TOLD
def test_a_step_at_the_default_share(told: bool) -> None:
    """1.6 points and 33% before."""
    seen = see(steps, 50, told, 80)
    assert seen.added <= (1.1 if told else 1.3)
    assert seen.used >= 0.57
    assert seen.recovers(50, 40) <= 20


@pytest.mark.parametrize("delay", [0.03, 0.3])
def test_a_step_however_long_answers_take(delay: float) -> None:
    """A step is noticed a round trip later, whatever the law."""
    seen = see(steps, 90, True, 80, delay=delay)
    assert seen.added <= 1.9
    assert seen.used >= 0.44


def test_three_processes_give_way_as_one() -> None:
    """They share one law."""
    seen = see(steps, 90, True, 80, processes=3)
    assert seen.added <= 1.5
    assert seen.used >= 0.44


@TOLD
def test_production_that_fills_the_limit_by_itself_is_left_alone(told: bool) -> None:
    """Each of our requests takes the place of one of its own; but the run goes on."""
    seen = see(steady(98), 50, told, 120)
    assert seen.added <= (1.3 if told else 1.6)
    assert seen.rate >= 0.8


@TOLD
def test_where_nobody_else_is_there_nothing_is_lost(told: bool) -> None:
    """47/s of 50/s from the first second on, and not one 429."""
    seen = see(steady(0), 50, told, 60, seeds=1)
    assert seen.rate >= 47
    assert not seen.runs[0].refused


def test_a_day_is_followed() -> None:
    """Most of the safe room, for less than a point."""
    seen = see(wave, 50, True, 600, seeds=2)
    assert seen.added <= 1.0
    assert seen.used >= 0.70


def test_windows_of_a_minute_are_found_out() -> None:
    """Production lost a quarter before."""
    seen = see(steady(60), 90, True, 480, seeds=3, kind="minute")
    assert seen.added <= 5.5
    later = [at for run in seen.runs for at in run.others_refused if at >= 90]  # the first one is overfilled until 80
    assert 100 * len(later) / sum(at >= 90 for run in seen.runs for at in run.others) <= 2
    assert seen.used >= 0.7


def test_a_bucket_may_be_used_up_but_not_kept_empty() -> None:
    """What it holds in reserve is used by anyone who uses the room."""
    seen = see(steps, 50, False, 80, kind="bucket")
    assert seen.added <= 1.3
    assert seen.used >= 0.75


@TOLD
def test_429s_that_come_at_any_pace_are_found_to_be_none_of_ours(told: bool) -> None:
    """3% of answers, whatever we do: 1-4/s of 50/s before. Told waits are kept, which bounds the rate at 20/s."""
    seen = see(steady(0), 50, told, 240, seeds=7, alien=0.03)
    assert median(run.rate(180, 240) for run in seen.runs) >= (14 if told else 35)
    assert min(run.rate(120, 240) for run in seen.runs) >= 0.5


@TOLD
def test_fairly_they_change_nothing(told: bool) -> None:
    """``--pace fair``: from the first seconds on."""
    seen = see(steady(0), 50, told, 60, seeds=3, alien=0.03, tolerated=0.05)
    assert min(run.rate(20, 60) for run in seen.runs) >= 40


def test_fairly_a_full_limit_is_shared() -> None:
    """Both lose something; the run has the room that yielding leaves."""
    seen = see(steady(75), 50, True, 120, seeds=3, tolerated=0.05)
    assert seen.added <= 8
    assert seen.rate >= 15


def a_world(production: Production, ceiling: float, told: bool, seed: int, alien: float = 0.0) -> Simulation:
    """One to look into."""
    waits: Callable[[float, float], float | None] = lambda _, wait: math.ceil(wait) if told else None  # noqa: E731
    limiter = constant(make_limiter(*LIMITERS["second"]))
    return Simulation(limiter, ceiling, told=waits, seed=seed, production=production, alien=alien)


@TOLD
def test_no_verdict_is_given_where_production_is_what_refuses(told: bool) -> None:
    """60/s beside 50/s: each of our 429s is due to the two of us."""
    for seed in range(1, 7):
        world = a_world(steady(60), 50, told, seed)
        world.run(120)
        assert world.budget.law.alien == 0


@pytest.mark.parametrize(("told", "seconds"), [(False, 4), (True, 25)])
def test_a_verdict_is_lost_when_production_comes(told: bool, seconds: int) -> None:
    """A step from nothing to 98/s. Where waits are told and kept, the limit is empty after each, which hides it."""
    kept = 0
    for seed in range(1, 7):
        world = a_world(lambda second: 98 if second >= 230 else 0, 50, told, seed, alien=0.03)
        world.run(230 + seconds)
        kept += world.budget.law.alien > 0
    assert kept <= 2


@TOLD
def test_what_was_refused_at_another_time_says_nothing_of_now(told: bool) -> None:
    """Production that filled the limit and has fallen is not taken for 429s that come at any pace."""
    for seed in range(1, 7):
        world = a_world(lambda second: 98 if second < 60 else 30, 50, told, seed)
        world.run(85)
        assert world.budget.law.alien == 0
