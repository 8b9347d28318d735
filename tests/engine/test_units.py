"""Rates, shares and durations as people write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from closeout.worker.support.units import (
    counted,
    format_duration,
    format_rate,
    format_share,
    parse_duration,
    parse_rate,
    parse_share,
)


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("40/s", 40.0), ("6000/min", 100.0), ("6000/m", 100.0), ("3600/h", 1.0), ("0.5/s", 0.5), (" 40 / S ", 40.0),
        ("10/sec", 10.0), ("10/second", 10.0), ("60/minute", 1.0), ("7200/hour", 2.0),
    ],
)  # fmt: skip
def test_rates(text: str, rate: float) -> None:
    """Requests per second, however they are written."""
    assert parse_rate(text) == pytest.approx(rate)


@pytest.mark.parametrize(
    "text", ["", "40", "/s", "40/", "40/d", "-1/s", "0/s", "0.0/min", "1e3/s", "40 per s", "40/s/s", "nan/s", "inf/s"]
)
def test_what_is_no_rate_is_refused(text: str) -> None:
    """With the text in the message."""
    with pytest.raises(ValueError, match="rate"):
        parse_rate(text)


@given(st.integers(1, 10**6), st.sampled_from(["s", "min", "h"]))
def test_a_rate_is_proportional_to_its_number(number: int, unit: str) -> None:
    """Twice the number is twice the rate."""
    assert parse_rate(f"{2 * number}/{unit}") == pytest.approx(2 * parse_rate(f"{number}/{unit}"))


@given(st.integers(1, 10_000))
def test_a_share_is_a_fraction_up_to_one(hundredths: int) -> None:
    """Above 0% and up to 100%."""
    assert parse_share(f"{hundredths / 100}%") == pytest.approx(hundredths / 10_000)


@pytest.mark.parametrize("text", ["", "50", "0.5", "0%", "-5%", "101%", "100.01%", "half", "5%%", "nan%"])
def test_what_is_no_share_is_refused(text: str) -> None:
    """A share above the whole limit would be a mistake with consequences."""
    with pytest.raises(ValueError, match="share"):
        parse_share(text)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90s", 90),
        ("15m", 900),
        ("15min", 900),
        ("1h30m", 5400),
        ("500ms", 0.5),
        ("2d", 172_800),
        ("1.5h", 5400),
        ("0s", 0),
    ],
)
def test_durations(text: str, seconds: float) -> None:
    """One part or several."""
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "15", "m", "-1s", "1h 30m", "1x", "1s!", "1,5h", "nan", "inf", "1e3s"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    """A number without a unit too: nobody can know whether it means seconds."""
    with pytest.raises(ValueError, match="duration"):
        parse_duration(text)


@given(st.integers(0, 400), st.integers(0, 23), st.integers(0, 59), st.integers(0, 59), st.integers(0, 999))
def test_a_duration_is_the_sum_of_its_parts(days: int, hours: int, minutes: int, seconds: int, millis: int) -> None:
    """Each part counts once."""
    text = f"{days}d{hours}h{minutes}m{seconds}s{millis}ms"
    expected = ((days * 24 + hours) * 60 + minutes) * 60 + seconds + millis / 1000
    assert parse_duration(text) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0.0 s"), (4.2, "4.2 s"), (10, "10 s"), (59.4, "59 s"), (59.6, "1 min 0 s"), (200, "3 min 20 s"),
        (3599.4, "59 min 59 s"), (3600, "1 h 0 min"), (7500, "2 h 5 min"), (90_000, "25 h 0 min"),
    ],
)  # fmt: skip
def test_durations_for_people(seconds: float, text: str) -> None:
    """Short, and never 60 of anything."""
    assert format_duration(seconds) == text


@pytest.mark.parametrize(
    ("rate", "text"), [(50, "50/s"), (0.5, "0.5/s"), (1500, "1,500/s"), (99.96, "100/s"), (100, "100/s")]
)
def test_rates_for_people(rate: float, text: str) -> None:
    """Three digits are enough."""
    assert format_rate(rate) == text


@given(st.floats(0.01, 99.4))
def test_a_shown_rate_can_be_typed_again(rate: float) -> None:
    """What a person sees is what the flag takes, to three digits."""
    assert parse_rate(format_rate(rate)) == pytest.approx(rate, rel=0.006)


@pytest.mark.parametrize(
    ("share", "text"),
    [(0.5, "50%"), (0.061, "6.1%"), (0, "0%"), (1, "100%"), (0.9996, "100%"), (1.5, "150%"), (20, "2,000%")],
)
def test_shares_for_people(share: float, text: str) -> None:
    """Three digits are enough."""
    assert format_share(share) == text


def test_one_of_a_thing_is_not_said_in_the_plural() -> None:
    assert [counted(number, "row") for number in (0, 1, 2, 2_000)] == ["0 rows", "1 row", "2 rows", "2,000 rows"]
