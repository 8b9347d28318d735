"""The law of the rate: by property over any history of permits, answers and refusals."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from closeout.worker.pace.budget import Ask, Budget, Grant, allowed, answered, reserve, slowed, throttled
from closeout.worker.pace.law import Law, Terms, started_anew

NOW = 1_772_445_600.0
TERMS = Terms(50.0, 100.0)
happenings = st.lists(
    st.tuples(
        st.floats(0.001, 40.0),
        st.sampled_from(["ask", "ask", "ask", "ask", "429", "429 told", "answer", "slow"]),
        st.floats(0, 0.5),
        st.floats(0.5, 70),
    ),
    max_size=80,
)
terms = st.builds(
    Terms,
    ceiling=st.floats(0.1, 4_000),
    limit=st.floats(1, 4_000),
    floor=st.none() | st.floats(0.1, 100),
    tolerated=st.sampled_from([0.0, 0.05]),
)


def lived(history: list[tuple[float, str, float, float]], by: Terms) -> list[tuple[Budget, float]]:
    """The budget after each thing that happened, and when that was."""
    budget, now, states = Budget(), NOW, []
    for after, what, trip, told in history:
        now += after
        if what == "ask":
            budget, _ = reserve(budget, now, Ask(by, 64))
        elif what == "answer":
            budget = answered(budget, now, now - trip, by)
        elif what == "slow":
            budget = slowed(budget, now, now - trip, by)
        else:
            budget = throttled(budget, now, now - trip, told if what.endswith("told") else None, by, 0.5)
        states.append((budget, now))
    return states


@settings(deadline=None)
@given(happenings, terms, st.floats(0, 1e6))
def test_the_rate_stays_between_floor_and_ceiling(
    history: list[tuple[float, str, float, float]], by: Terms, later: float
) -> None:
    """Whatever happens, and however long ago it was; and what is known stays within its bounds."""
    for budget, now in lived(history, by):
        assert by.least <= allowed(budget, by, now + later) <= by.ceiling
        law = budget.law
        assert 1 <= law.wait <= 60
        assert 0.3 <= law.margin <= 3
        assert 0 <= law.base <= by.whole
        assert min(law.debt, law.low, law.low_met, law.high, law.high_met, law.alien) >= 0


def asked(budget: Budget, seconds: float, by: Terms = TERMS, since: float = NOW) -> tuple[Budget, int]:
    """Ask without a break for so long; how many permits that gave."""
    permits = 0
    for step in range(int(seconds * 100)):
        budget, answer = reserve(budget, since + step / 100, Ask(by, 64))
        permits += answer.permits if isinstance(answer, Grant) else 0
    return budget, permits


def test_a_run_begins_slowly_and_is_up_within_five_seconds() -> None:
    """A tenth of the limit, doubling; where nothing is refused it stays at the ceiling."""
    budget, permits = asked(Budget(), 1.0)
    assert 8 <= permits <= 15
    budget, _ = asked(budget, 4.0, since=NOW + 1)
    assert allowed(budget, TERMS, NOW + 5) == 50.0
    assert (budget.law.base, budget.law.looking) == (50.0, False)


def test_a_look_stands_still_while_nothing_is_sent() -> None:
    """What was not tried says nothing: after half a minute with nothing to send it goes on where it was."""
    budget, _ = asked(Budget(), 1.5)
    before = allowed(budget, TERMS, NOW + 1.5)
    budget, _ = reserve(budget, NOW + 31.5, Ask(TERMS, 1))
    assert allowed(budget, TERMS, NOW + 31.5) == pytest.approx(before, rel=0.2)


def test_after_a_minute_of_silence_it_begins_anew_and_knows_the_limiter() -> None:
    """Production may have changed; the kind of limiter has not."""
    budget, _ = asked(Budget(), 5.0)
    budget = replace(budget, law=replace(budget.law, wait=40.0, margin=0.5))
    later, _ = reserve(budget, NOW + 60 * 60, Ask(TERMS, 1))
    assert later.law.first
    assert (later.law.wait, later.law.margin, later.law.base) == (20.0, 0.5, 0.0)


def test_a_ceiling_that_is_raised_is_gone_up_to_at_once_and_by_a_look() -> None:
    """As by ``closeout go``, or when quiet hours end: nobody waits half a minute, and nothing leaps."""
    budget, _ = asked(Budget(), 5.0, Terms(20.0, 100.0))
    budget, _ = asked(budget, 0.2, since=NOW + 5)
    assert 20.0 < allowed(budget, TERMS, NOW + 5.2) < 35
    budget, _ = asked(budget, 4.0, since=NOW + 5.2)
    assert allowed(budget, TERMS, NOW + 9.2) == 50.0


def test_a_slow_process_does_not_end_the_look_of_a_fast_one() -> None:
    """Each has its own ceiling; the look goes on to the higher one."""
    budget = Budget()
    for step in range(1_000):
        for ceiling in (5.0, 50.0)[:: -1 if step % 2 else 1]:
            budget, _ = reserve(budget, NOW + step / 100, Ask(Terms(ceiling, 100.0), 64))
    assert budget.law.base == 50.0


def test_one_429_in_a_thousand_costs_a_quarter_of_a_spread_and_one_in_ten_all_of_the_margin() -> None:
    """Where production has taken a step up, that gives way at once; a stray 429 does hardly."""
    for sent, spreads in ((1_000, 0.25), (10, 3.0)):
        law = Law(40.0, NOW, NOW + 99, first=False, sent=sent, open_sent=sent, open_at=NOW)
        budget = throttled(Budget(due=NOW, law=law), NOW + 1, NOW + 1, 1.0, TERMS, 0.0)
        at = min(40.0, sent + 1)
        assert budget.law.base == pytest.approx(max(0.0, at - spreads * (100 - at) ** 0.5), abs=2.5)


def test_windows_of_a_minute_are_known_by_their_waits() -> None:
    """An hour of waits later the law counts in them, and a run that follows begins by what is known."""
    budget, now = Budget(due=NOW, law=replace(started_anew(Law(), NOW), base=40.0, first=False)), NOW + 20
    budget = throttled(budget, now, now - 0.05, 40.0, TERMS, 0.0)
    budget, answer = reserve(budget, now + 40.1, Ask(TERMS, 1))
    assert isinstance(answer, Grant)
    budget = answered(budget, now + 40.2, now + 40.1, TERMS)
    assert budget.law.wait == pytest.approx(40.0)
    assert budget.law.base < 20


@pytest.mark.parametrize("told", [1.0, None])
def test_what_is_tolerated_changes_nothing(told: float | None) -> None:
    """Up to a share of 5% everyone goes on; what is above it cuts the rate and holds everyone."""
    fair = Terms(50.0, 100.0, tolerated=0.05)
    budget = Budget(due=NOW, law=Law(50.0, NOW, NOW, first=False, capped=True, top=50.0, open_sent=99, sent=99))
    for number in range(6):
        budget = throttled(budget, NOW + number, NOW + number - 0.05, told, fair, 0.0)
        assert (allowed(budget, fair, NOW + number), budget.held_until) == (50.0, 0.0)
    budget = throttled(budget, NOW + 7, NOW + 7 - 0.05, told, fair, 0.0)
    assert allowed(budget, fair, NOW + 7) < 50
    assert budget.held_until > NOW + 7
