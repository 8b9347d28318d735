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
    Word,
    allowed,
    answered,
    given_back,
    in_force,
    recovered,
    reserve,
    ruled,
    slowed,
    suspected,
    throttled,
    unavailable,
    unruled,
)
from closeout.worker.pace.law import Law, Terms

NOW = 1_772_445_600.0
TERMS = Terms(100.0, 200.0)
ASK = Ask(TERMS, 64)
# At the ceiling, and new there.
UP = Law(100.0, NOW, NOW, first=False, capped=True, top=100.0, sent=20, open_sent=1_000)
LANES: tuple[Lane, ...] = ("close", "settle")


def at_the_ceiling() -> Budget:
    """A budget in full use."""
    return Budget(due=NOW, law=UP)


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
        budget, answer = reserve(budget, now, Ask(Terms(ceiling, 100.0), wanted))
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
    fresh = at_the_ceiling()
    one, lease = a_lease(fresh)
    assert given_back(one, lease, lease.permits).due == pytest.approx(NOW)
    two, _ = a_lease(one)
    assert given_back(two, lease, lease.permits).due == two.due


@pytest.mark.parametrize(("told", "least"), [(30.0, 30.0), (None, 0.5), (-5.0, 0.5), (1e12, 86_400.0)])
def test_a_429_cuts_the_rate_and_holds_everyone(told: float | None, least: float) -> None:
    """A wait that is over counts as not told; then our own. More than a day is a day."""
    budget = throttled(at_the_ceiling(), NOW, NOW - 0.1, told, TERMS, 0.0)
    assert budget.held_until == NOW + least
    assert allowed(budget, TERMS, NOW) == pytest.approx(100 - 3 * 10)  # three spreads of the 100/s that others may send
    assert waits(budget, NOW + least - 0.001) == "throttled"
    assert waits(budget, NOW + least) is None


def test_a_503_that_tells_a_wait_holds_everyone_and_cuts_nothing() -> None:
    """The API is away for so long, and afterwards it bears what it bore."""
    budget = unavailable(at_the_ceiling(), NOW, 20.0)
    assert (waits(budget, NOW + 19.9), waits(budget, NOW + 20)) == ("throttled", None)
    assert allowed(budget, TERMS, NOW + 20) == allowed(at_the_ceiling(), TERMS, NOW)
    assert unavailable(budget, NOW + 1, 2.0).held_until == budget.held_until


def test_the_rate_is_cut_once_per_round_trip() -> None:
    """What left before the cut tells nothing of the rate after it, however many such answers come."""
    budget = at_the_ceiling()
    for number in range(64):
        budget = throttled(budget, NOW + number / 1000, NOW - 0.1 + number / 1000, 1.0, TERMS, 0.0)
    assert budget.law.base == pytest.approx(70.0)
    budget = answered(budget, NOW + 5, NOW + 4.9, TERMS)
    assert throttled(budget, NOW + 6, NOW + 5.9, 1.0, TERMS, 0.0).law.base < 60


def test_a_refusal_right_after_a_wait_lengthens_the_wait_and_spares_the_rate() -> None:
    """The wait was too short: untold ones double up to sixteen seconds, and the rate is not cut again for it."""
    budget, now, lengths = at_the_ceiling(), NOW, []
    for _ in range(7):
        budget = throttled(budget, now, now - 0.01, None, TERMS, 1.0)
        lengths.append(budget.held_until - now)
        now = budget.held_until + 0.5
    assert lengths == pytest.approx([1, 2, 4, 8, 16, 16, 16])
    assert budget.law.base == pytest.approx(70.0)
    assert answered(budget, now, now, TERMS).holds == 0


def test_slow_answers_cut_the_rate_without_a_wait_and_never_to_nothing() -> None:
    """A tenth of the ceiling stays."""
    budget, now = at_the_ceiling(), NOW
    for _ in range(40):
        budget = slowed(budget, now, now - 0.01, TERMS)
        assert waits(budget, now) is None
        now += 1
    assert 0.05 * 100 <= allowed(budget, TERMS, now) <= 20


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
    paused = ruled(at_the_ceiling(), "abc", Word(paused=True))
    assert [waits(paused, ask=replace(ASK, lane=lane)) for lane in LANES] == ["paused", "paused"]
    slower = ruled(paused, "abc", Word(rate=20.0, paused=False))
    assert allowed(slower, TERMS, NOW) == 20.0
    assert waits(slower) is None
    assert unruled(slower) == at_the_ceiling()


def test_a_floor_and_what_is_tolerated_may_be_said_to_a_run() -> None:
    """Instead of what its settings say, and until it is taken back."""
    said = ruled(Budget(law=Law(since=NOW)), "abc", Word(tolerated=0.05, floor=7.0))
    assert in_force(said, TERMS) == Terms(100.0, 200.0, floor=7.0, tolerated=0.05)
    assert allowed(said, TERMS, NOW) == 7.0
    assert in_force(ruled(said, "abc", Word(tolerated=0.0)), TERMS).tolerated == 0
    assert in_force(unruled(said), TERMS) == TERMS


@pytest.mark.parametrize("back", [2.0, 3600.0, 1e6])
def test_a_clock_that_is_set_back_makes_nobody_wait_longer(back: float) -> None:
    """A wait stays as long as it was, a lease as near."""
    budget = throttled(a_lease(at_the_ceiling())[0], NOW, NOW - 0.1, 30.0, TERMS, 0.0)
    budget = reserve(budget, NOW, ASK)[0]
    after = reserve(budget, NOW - back, ASK)[0]
    assert after.held_until - (NOW - back) == pytest.approx(30.0)
    assert waits(after, NOW - back + 31) is None
    assert after.law.base == budget.law.base
    assert after.law.look_at - (NOW - back) == pytest.approx(budget.law.look_at - NOW)


def test_settling_is_kept_to_its_share_only_while_closing_asks() -> None:
    """A second after closing asked last, settling may use all."""
    settle = replace(ASK, lane="settle")
    budget, _ = a_lease(at_the_ceiling())
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
            budget, answer = reserve(budget, now, Ask(Terms(ceiling, 100.0), 64))
            sent[ceiling] += answer.permits if isinstance(answer, Grant) else 0
        now += 0.01
    assert sent[10.0] <= 10 * 20
    assert sum(sent.values()) <= math.ceil(50 * 20.5)
