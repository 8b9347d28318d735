"""The decisions of the budget: by table, and by property over any history of askings."""

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from closeout.worker.pace.budget import (
    TOLERANCE,
    Ask,
    Budget,
    Grant,
    Lane,
    Probe,
    Wait,
    allowed,
    answered,
    given_back,
    recovered,
    reserve,
    ruled,
    slowed,
    suspected,
    throttled,
    unruled,
)

NOW = 1_772_445_600.0
ASK = Ask(100.0, 64)
LANES: tuple[Lane, ...] = ("close", "settle")


def a_lease(budget: Budget, now: float = NOW, ask: Ask = ASK) -> tuple[Budget, Grant]:
    """What is expected to be a lease."""
    budget, answer = reserve(budget, now, ask)
    assert isinstance(answer, Grant)
    return budget, answer


def waits(budget: Budget, now: float = NOW, ask: Ask = ASK) -> str | None:
    """What a process that asks now has to wait for."""
    answer = reserve(budget, now, ask)[1]
    return answer.cause if isinstance(answer, Wait) else None


asks = st.lists(
    st.tuples(st.floats(0, 0.4), st.sampled_from([1.0, 20.0, 50.0]), st.integers(1, 64)), min_size=1, max_size=60
)


@given(asks)
def test_leases_follow_one_another_and_none_is_given_far_ahead(history: list[tuple[float, float, int]]) -> None:
    """Whoever asks, however often: the time of one lease is nobody else's, and late askers get TOLERANCE at most."""
    budget, now, end = Budget(), NOW, 0.0
    for step, ceiling, wanted in history:
        now += step
        budget, answer = reserve(budget, now, Ask(ceiling, wanted))
        if isinstance(answer, Grant):
            assert answer.start >= end
            assert now - TOLERANCE <= answer.start <= now + 0.25
            assert 1 <= answer.permits <= wanted
            assert answer.end - answer.start >= answer.permits / ceiling
            end = answer.end
        else:
            assert isinstance(answer, Wait)
            assert 0 < answer.seconds <= 0.5


def test_what_was_not_used_goes_back() -> None:
    """Unless somebody stands in line behind it: their time does not move."""
    fresh = replace(Budget(), due=NOW)
    one, lease = a_lease(fresh)
    assert given_back(one, lease, lease.permits).due == pytest.approx(NOW)
    two, _ = a_lease(one)
    assert given_back(two, lease, lease.permits).due == two.due


@pytest.mark.parametrize(("told", "least"), [(30.0, 30.0), (3600.0, 3600.0), (None, 0.5), (-5.0, 0.5), (1e12, 0.5)])
def test_a_429_cuts_the_rate_and_holds_everyone(told: float | None, least: float) -> None:
    """Nonsense counts as not told; then our own wait."""
    budget = throttled(Budget(), NOW, NOW - 0.1, told, 100.0, 0.0)
    assert budget.held_until == NOW + least
    assert budget.cut_rate == 70.0
    assert waits(budget, NOW + least - 0.001) == "throttled"
    assert waits(budget, NOW + least) is None


def test_the_rate_is_cut_once_per_round_trip() -> None:
    """What left before the cut tells nothing of the rate after it, however many such answers come."""
    budget = Budget()
    for number in range(64):
        budget = throttled(budget, NOW + number / 1000, NOW - 0.1 + number / 1000, 1.0, 100.0, 0.0)
    assert budget.cut_rate == 70.0
    budget = answered(budget, NOW + 5)
    assert throttled(budget, NOW + 6, NOW + 5.9, 1.0, 100.0, 0.0).cut_rate == pytest.approx(70.0 * 0.7, rel=0.2)


def test_a_refusal_right_after_a_wait_lengthens_the_wait_and_spares_the_rate() -> None:
    """The wait was too short: untold ones double up to sixteen seconds, and the rate is not cut again for it."""
    budget, now, lengths = Budget(), NOW, []
    for _ in range(7):
        budget = throttled(budget, now, now - 0.01, None, 100.0, 1.0)
        lengths.append(budget.held_until - now)
        now = budget.held_until + 0.5
    assert lengths == pytest.approx([1, 2, 4, 8, 16, 16, 16])
    assert budget.cut_rate == 70.0
    assert answered(budget, now).holds == 0


@given(st.floats(0, 1e7), st.floats(0.2, 1e4), st.floats(0.2, 1e4))
def test_the_rate_never_exceeds_ceiling_or_what_was_set(calm: float, ceiling: float, set_rate: float) -> None:
    """However long ago the cut was."""
    budget = throttled(Budget(), NOW, NOW - 0.1, 1.0, ceiling, 0.0)
    assert allowed(budget, ceiling, NOW + calm) <= ceiling
    assert allowed(replace(budget, set_rate=set_rate), ceiling, NOW + calm) <= min(ceiling, set_rate)


@given(st.floats(0, 300), st.floats(0, 300))
def test_the_climb_never_falls_and_ends_at_the_ceiling(one: float, two: float) -> None:
    """Without another 429 the rate only grows, and within minutes it is back."""
    budget = throttled(Budget(), NOW, NOW - 0.1, 1.0, 100.0, 0.0)
    first, second = sorted((one, two))
    assert 70.0 <= allowed(budget, 100.0, NOW + first) <= allowed(budget, 100.0, NOW + second) + 1e-9
    assert allowed(budget, 100.0, NOW + 400) == 100.0


def test_slow_answers_cut_the_rate_without_a_wait_and_never_to_nothing() -> None:
    """A tenth of the ceiling stays."""
    budget, now = Budget(), NOW
    for _ in range(40):
        budget = slowed(budget, now, now - 0.01, 100.0)
        assert waits(budget, now) is None
        now += 1
    assert 0.05 * 100 <= allowed(budget, 100.0, now) <= 20


def test_an_outage_lets_one_probe_pass_at_growing_intervals() -> None:
    """Whoever asks first at its time sends it; the others wait, and a sign of life ends it."""
    budget, probes = suspected(Budget(), NOW), []
    for step in range(12_000):
        budget, answer = reserve(budget, NOW + step / 100, ASK)
        if isinstance(answer, Probe):
            probes.append(step / 100)
        else:
            assert isinstance(answer, Wait)
            assert answer.cause == "outage"
    assert probes[:6] == pytest.approx([0, 0.5, 1.5, 3.5, 7.5, 15.5], abs=0.02)
    assert probes[-1] - probes[-2] == pytest.approx(30, abs=0.02)
    assert waits(recovered(budget, NOW + 120), NOW + 120) is None


def test_pause_rate_and_go_hold_for_the_budget_until_taken_back() -> None:
    """The word goes to a run and holds for all."""
    paused = ruled(Budget(), "abc", paused=True)
    assert [waits(paused, ask=replace(ASK, lane=lane)) for lane in LANES] == ["paused", "paused"]
    slower = ruled(paused, "abc", rate=20.0, paused=False)
    assert allowed(slower, 100.0, NOW) == 20.0
    assert waits(slower) is None
    assert unruled(slower) == Budget()


@pytest.mark.parametrize("back", [2.0, 3600.0, 1e6])
def test_a_clock_that_is_set_back_makes_nobody_wait_longer(back: float) -> None:
    """A wait stays as long as it was, a lease as near."""
    budget = throttled(a_lease(Budget())[0], NOW, NOW - 0.1, 30.0, 100.0, 0.0)
    budget = reserve(budget, NOW, ASK)[0]
    after = reserve(budget, NOW - back, ASK)[0]
    assert after.held_until - (NOW - back) == pytest.approx(30.0)
    assert waits(after, NOW - back + 31) is None


def test_settling_is_kept_to_its_share_only_while_closing_asks() -> None:
    """A second after closing asked last, settling may use all."""
    settle = Ask(100.0, 64, "settle")
    budget, _ = a_lease(Budget())
    permits = 0
    for step in range(100):
        budget = replace(budget, closing_at=NOW + step / 10)
        budget, answer = reserve(budget, NOW + step / 10, settle)
        permits += answer.permits if isinstance(answer, Grant) else 0
    assert 0.9 * 200 <= permits <= 1.1 * 200
    assert waits(budget, NOW + 11.1, settle) is None


def test_a_slow_process_keeps_its_own_rate_beside_a_fast_one() -> None:
    """One line for both, each at its own ceiling: together never above the faster one's."""
    budget, sent, now = Budget(), {10.0: 0, 50.0: 0}, NOW
    while now < NOW + 20:
        for ceiling in sent:
            budget, answer = reserve(budget, now, Ask(ceiling, 64))
            sent[ceiling] += answer.permits if isinstance(answer, Grant) else 0
        now += 0.01
    assert sent[10.0] <= 10 * 20
    assert sum(sent.values()) <= math.ceil(50 * 20.5)
