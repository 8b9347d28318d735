"""When the API counts as slow."""

import random

import pytest

from closeout.worker.runtime.api_health import Latency


def fed(latency: Latency, milliseconds: list[float]) -> list[int]:
    """The numbers of the answers at which it was found to be slow."""
    return [at for at, ms in enumerate(milliseconds) if latency.add(ms)]


def around(middle: float, count: int, seed: int = 1) -> list[float]:
    rng = random.Random(seed)
    return [middle * rng.uniform(0.7, 1.3) for _ in range(count)]


def test_answers_that_take_far_longer_than_usual_are_noticed_soon() -> None:
    """Within ten answers of the change, and again after each hundred more while it goes on."""
    latency = Latency()
    assert fed(latency, around(100, 500)) == []
    slow = fed(latency, around(600, 250))
    assert slow[0] < 10
    assert len(slow) == 3


@pytest.mark.parametrize("middle", [2.0, 40.0, 100.0, 900.0])
def test_an_api_that_stays_as_it_is_is_never_slow(middle: float) -> None:
    """However slow that is, and with one answer in fifty that takes ten times as long."""
    usual = around(middle, 5_000)
    usual[::50] = [10 * ms for ms in usual[::50]]
    assert fed(Latency(), usual) == []


def test_below_a_floor_nothing_is_slow() -> None:
    """From 2 to 100 ms is a mood of our own machine."""
    latency = Latency()
    assert fed(latency, around(2, 300) + around(100, 300)) == []
    assert latency.bar == 150


def test_an_api_that_is_slower_for_good_becomes_usual() -> None:
    """The calm value is forgotten, slowly."""
    latency = Latency()
    fed(latency, around(100, 300))
    found = fed(latency, around(400, 20_000))
    assert found
    assert found[-1] < 12_000
