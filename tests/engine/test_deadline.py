"""A deadline: closing ends in time for what was closed to be settled."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from closeout.worker.stages.deadline import closing_ends

HOURS_2 = 7_200.0


def ends(deadline: float, **values: object) -> float:
    """When closing ends with the default settings, except where the test says otherwise."""
    asked = {
        "settle": True, "settle_for": 900.0, "first_look": 10.0, "none_grace": 15.0, "unsettled": 0, "rate": 50.0,
    }  # fmt: skip
    return closing_ends(deadline, **(asked | values))  # type: ignore[arg-type]  # each test names the values it means


@pytest.mark.parametrize(
    ("values", "kept"),
    [
        ({}, 10 + 15 + 10),  # the waits and a margin
        ({"unsettled": 100_000}, 10 + 15 + 10 + 20),  # 1,000 look-ups at 50 a second
        ({"unsettled": 1, "rate": 0.1}, 10 + 15 + 10 + 20),  # two look-ups, however few
        ({"unsettled": 10_000_000}, 900),  # settling takes no longer than --settle-for
        ({"settle_for": 20.0}, 20), ({"settle_for": 0.0}, 0), ({"settle": False, "unsettled": 10**6}, 0),
        ({"unsettled": 1, "rate": 0.0}, 900),  # in quiet hours in which nothing is sent
        ({"rate": 0.0}, 10 + 15 + 10),
        ({"first_look": 0.0, "none_grace": 0.0}, 10),
    ],
)  # fmt: skip
def test_what_settling_needs_is_kept_free(values: dict[str, object], kept: float) -> None:
    """Before a deadline of two hours."""
    assert ends(HOURS_2, **values) == HOURS_2 - kept


@pytest.mark.parametrize(("deadline", "closing"), [(60.0, 30.0), (70.0, 35.0), (71.0, 36.0), (1.0, 0.5)])
def test_half_of_a_short_deadline_is_for_closing(deadline: float, closing: float) -> None:
    """A run that only waits would close nothing."""
    assert ends(deadline) == closing


@given(
    deadline=st.floats(0.1, 10**6),
    unsettled=st.integers(0, 10**8),
    more=st.integers(0, 10**6),
    rate=st.floats(0, 10**4),
)
def test_the_more_is_unsettled_the_sooner_closing_ends(deadline: float, unsettled: int, more: int, rate: float) -> None:
    """Never after the deadline, never before half of it."""
    first, second = (ends(deadline, unsettled=each, rate=rate) for each in (unsettled, unsettled + more))
    assert deadline / 2 <= second <= first <= deadline
