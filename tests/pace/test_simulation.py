"""The promises of the pace against simulated servers: three kinds of limit, told and untold, over simulated hours.

Here nobody else is there: test_neighbour.py has production beside us.
"""

import math
from collections.abc import Callable

import pytest

from closeout.worker.sandbox.ratelimit import LimitKind, make_limiter
from closeout.worker.sandbox.truth import most_within
from tests.pace.simulation import Simulation, Told

Limit = tuple[LimitKind, int, float, int | None]  # kind, requests, seconds, burst

TELLING: dict[str, Told] = {
    "seconds": lambda _, wait: math.ceil(wait),
    "exactly": lambda _, wait: wait,
    "nothing": lambda _now, _wait: None,
    "the past": lambda _now, _wait: -30.0,
}


def of(kind: LimitKind, limit: int, period: float, burst: int | None = None) -> Limit:
    return kind, limit, period, burst


def a_simulation(
    limit: Limit, ceiling: float, processes: int = 1, told: str = "seconds", delay: float = 0.05
) -> Simulation:
    limiter = make_limiter(*limit)
    return Simulation(lambda _: limiter, ceiling, processes, delay=delay, told=TELLING[told])


TOLD = [
    of("fixed", 6000, 60), of("fixed", 100, 1), of("sliding", 6000, 60), of("sliding", 100, 1),
    of("bucket", 6000, 60), of("bucket", 100, 1, 5),
]  # fmt: skip
UNTOLD = [
    of("fixed", 2400, 60), of("fixed", 40, 1), of("sliding", 2400, 60), of("sliding", 40, 1),
    of("bucket", 2400, 60), of("bucket", 2400, 60, 40), of("bucket", 40, 1, 5),
]  # fmt: skip


@pytest.mark.parametrize("processes", [1, 3])
@pytest.mark.parametrize("limit", TOLD, ids=str)
def test_a_limit_that_is_known_is_used_and_hardly_ever_met(limit: Limit, processes: int) -> None:
    """All of it is asked for: at most one answer in a thousand is a 429, and 97% is used."""
    seen = a_simulation(limit, 100.0, processes).run(180)
    assert seen.refused_share <= 0.001
    assert seen.rate(10, 180) >= 97
    assert seen.rate(0, 4) <= 60, "the first four seconds are a ramp"


def used_of(limit: Limit, told: str, *, slowly: bool = False) -> float:
    """The share of a limit that is used at least, where we ask for far more and have to find it.

    Where a look may hit production, it is looked less often and given way by more. A window of a minute that slides
    tells waits of parts of a second, or none, while it has not room for long: that is taken for what it looks like.
    """
    if limit[0] == "sliding" and limit[2] == 60:
        return {"seconds": 0.85, "exactly": 0.55}.get(told, 0.74)
    return 0.78 if slowly else 0.82


@pytest.mark.parametrize("told", TELLING)
@pytest.mark.parametrize("limit", UNTOLD, ids=str)
def test_a_limit_that_is_not_known_is_found(limit: Limit, told: str) -> None:
    """We ask for 100/s, it gives 40/s: at most 1% are 429s, and most of it is used, however the wait is told."""
    seconds = 900 if limit[:1] == ("sliding",) and limit[2] == 60 else 450
    seen = a_simulation(limit, 100.0, told=told).run(seconds)
    assert seen.refused_share <= 0.01
    assert seen.rate(60, seconds) >= used_of(limit, told) * 40


@pytest.mark.parametrize("limit", UNTOLD, ids=str)
def test_a_limit_is_found_although_answers_take_long(limit: Limit) -> None:
    """Three tenths of a second to an answer: as much is learnt from it, only later."""
    seen = a_simulation(limit, 100.0, delay=0.3).run(450)
    assert seen.refused_share <= 0.03
    assert seen.rate(60, 450) >= used_of(limit, "seconds", slowly=True) * 40


@pytest.mark.parametrize("limit", UNTOLD, ids=str)
def test_three_processes_find_a_limit_together(limit: Limit) -> None:
    """As well as one alone."""
    seen = a_simulation(limit, 100.0, 3).run(450)
    assert seen.refused_share <= 0.01
    assert seen.rate(60, 450) >= used_of(limit, "seconds", slowly=True) * 40


def test_three_processes_keep_one_rate() -> None:
    """At 50/s no second at the server holds more than 52, and 97% is used."""
    seen = a_simulation(of("sliding", 10**6, 60), 50.0, 3).run(120)
    assert most_within(seen.accepted, 1.0) <= 52
    assert seen.rate(6, 120) >= 0.97 * 50


def test_two_hours_at_a_small_limit() -> None:
    """We ask for 10/s, it gives 4/s: the long run is as good as the short one."""
    limit = of("sliding", 240, 60)
    seen = a_simulation(limit, 10.0).run(7_200)
    assert seen.refused_share <= 0.03
    assert seen.rate(600, 7_200) >= used_of(limit, "seconds") * 4


@pytest.mark.parametrize("told", TELLING)
def test_a_limit_that_falls_and_rises_again_is_followed(told: str) -> None:
    """100/s, for five minutes 30/s, then 100/s again: little is refused, and two minutes later all is used again."""
    high, low = make_limiter("bucket", 100, 1, 20), make_limiter("bucket", 30, 1, 10)
    lowered: Callable[[float], bool] = lambda now: 120 <= now < 420  # noqa: E731
    seen = Simulation(lambda now: low if lowered(now) else high, 90.0, told=TELLING[told]).run(900)
    assert seen.refused_share <= 0.03
    assert seen.rate(150, 420) >= 0.80 * 30
    assert seen.rate(600, 900) >= 0.97 * 90
