"""Instants, and what is known of the server's clock."""

import time
from datetime import UTC, datetime
from email.utils import format_datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from closeout.worker.support.clock import (
    ServerClock,
    format_instant,
    now_ms,
    parse_http_date,
    parse_instant,
    steady_clock,
)
from tests.engine.support import NOW

YEAR_2001, YEAR_2096 = 10**12, 4 * 10**12


def date_at(server: float) -> int:
    """What the Date header says at this moment of the server's clock: whole seconds."""
    return int(server // 1_000) * 1_000


@given(st.integers(YEAR_2001, YEAR_2096))
def test_an_instant_survives_writing_and_reading(at: int) -> None:
    """To the millisecond."""
    assert parse_instant(format_instant(at)) == at


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1970-01-01T00:00:01Z", 1_000),
        ("1970-01-01T00:00:01.500+00:00", 1_500),
        ("1970-01-01T00:00:01", 1_000),
        ("1970-01-01T02:00:00+02:00", 0),
        ("1970-01-01T00:00:00.123456Z", 123),
        ("", None),
        ("yesterday", None),
        ("2026-13-01T00:00:00Z", None),
        (None, None),
        (1_772_445_600, None),
    ],
)
def test_instants_of_the_api(text: object, expected: int | None) -> None:
    """ISO 8601; without an offset it is UTC; anything else is none."""
    assert parse_instant(text) == expected


@given(st.text() | st.none() | st.integers() | st.floats())
def test_no_text_breaks_the_reading_of_instants(text: object) -> None:
    """What is none becomes None."""
    found = parse_instant(text)
    assert found is None or isinstance(found, int)


@given(st.integers(0, 253_402_300_799))
def test_an_http_date_is_read_to_the_second(seconds: int) -> None:
    """As RFC 9110 writes it."""
    text = format_datetime(datetime.fromtimestamp(seconds, UTC), usegmt=True)
    assert parse_http_date(text) == seconds * 1_000


@given(st.text())
def test_no_text_breaks_the_reading_of_http_dates(text: str) -> None:
    """A header may hold anything."""
    found = parse_http_date(text)
    assert found is None or isinstance(found, int)


@pytest.mark.parametrize("text", ["Mon, 99 Foo 2026 99:99:99 GMT", "Mon, 01 Jan 99999999 00:00:00 GMT", "0", " ", ","])
def test_a_malformed_http_date_is_none(text: str) -> None:
    """It is as good as no header."""
    assert parse_http_date(text) is None


def test_now_is_milliseconds_since_the_epoch() -> None:
    """Between two readings of the system's clock."""
    before = int(time.time() * 1_000)
    assert before - 1 <= now_ms() <= int(time.time() * 1_000) + 1


def test_an_unobserved_clock_is_taken_for_ours() -> None:
    """There is nothing better to assume."""
    clock = ServerClock()
    assert (clock.earliest(NOW), clock.latest(NOW)) == (NOW, NOW)


exchanges = st.lists(
    st.tuples(st.integers(0, 5_000), st.integers(0, 3_000), st.integers(0, 3_000)), min_size=1, max_size=60
)


@given(offset=st.integers(-(10**9), 10**9), gaps=exchanges)
def test_the_true_instant_always_lies_within_the_bounds(offset: int, gaps: list[tuple[int, int, int]]) -> None:
    """Whatever the offset and the latencies, and after every single answer."""
    clock, ours = ServerClock(), NOW
    for pause, there, back in gaps:
        sent = ours + pause
        answered = sent + there
        ours = answered + back
        clock.observe(date_at(answered + offset), sent, ours)
        assert clock.earliest(ours) <= ours + offset <= clock.latest(ours)


@given(offset=st.integers(-(10**9), 10**9), phase=st.integers(0, 999))
def test_many_quick_answers_make_the_bounds_narrow(offset: int, phase: int) -> None:
    """A hundred answers of 20 ms spread over the second: the clock is known to some tens of milliseconds."""
    clock = ServerClock()
    for number in range(100):
        sent = NOW + phase + number * 1_010
        clock.observe(date_at(sent + 10 + offset), sent, sent + 20)
    assert clock.latest(NOW) - clock.earliest(NOW) <= 60


@example(offset=0, waits=[(999.75, 0.5, 0.0), (0.75, 0.0, 0.0)])
@given(
    offset=st.integers(-(10**6), 10**6),
    waits=st.lists(st.tuples(st.floats(0, 3_000), st.floats(0, 3), st.floats(0, 3)), min_size=1, max_size=40),
)
def test_whole_milliseconds_never_make_our_close_look_older(
    offset: int, waits: list[tuple[float, float, float]]
) -> None:
    """Clocks run between milliseconds, readings are cut and durations rounded, as the client does it: a close that
    our request caused must not appear to lie before it."""
    clock, moment = ServerClock(), float(NOW)
    for pause, there, back in waits:
        sent = moment + pause
        moment = sent + there + back
        at, took = int(sent), round(there + back)
        clock.observe(date_at(sent + there + offset), at, at + took)
        closed_at = int(sent + there + offset)
        assert closed_at >= clock.earliest(at)


@given(step=st.sampled_from([-3_600_000, -10_000, 10_000, 3_600_000]), offset=st.integers(-(10**6), 10**6))
def test_a_clock_that_was_set_replaces_what_was_known(step: int, offset: int) -> None:
    """An interval that contradicts the earlier ones is the new truth."""
    clock = ServerClock()
    clock.observe(date_at(NOW + offset), NOW - 5, NOW + 5)
    clock.observe(date_at(NOW + 1_000 + offset + step), NOW + 995, NOW + 1_005)
    assert clock.earliest(NOW) <= NOW + offset + step <= clock.latest(NOW)


@given(
    apart=st.integers(-4_000, 4_000),
    ours=st.integers(-9 * 3_600_000, 9 * 3_600_000),
    took=st.integers(0, 900),
    since=st.integers(0, 3_000),
    answers=st.lists(st.integers(0, 60_000), max_size=5),
)
@example(apart=-4_000, ours=3_600_000, took=0, since=0, answers=[0])
@example(apart=-4_000, ours=9 * 3_600_000, took=0, since=0, answers=[])
def test_what_happened_after_is_never_before_whatever_the_clocks(
    apart: int, ours: int, took: int, since: int, answers: list[int]
) -> None:
    """The Date header's clock, the database's and ours: seconds apart, or hours, with a Date header or without."""
    clock = ServerClock()
    for later in answers:
        sent = NOW + later
        clock.observe((sent + took) // 1000 * 1000, sent + ours, sent + took + ours)
    assert not clock.surely_before(NOW + since + apart, NOW + ours)


@pytest.mark.parametrize("ours", [-3_600_000, 0, 3_600_000])
@pytest.mark.parametrize("apart", [-3_000, 0, 3_000])
def test_what_happened_twenty_seconds_before_was_before(apart: int, ours: int) -> None:
    """By the Date header; without one only what is more than a day ago."""
    clock = ServerClock()
    assert clock.surely_before(NOW - 2 * 86_400_000 + apart, NOW + ours)
    clock.observe(NOW // 1000 * 1000, NOW + ours, NOW + ours + 200)
    assert clock.surely_before(NOW - 20_000 + apart, NOW + ours)


def test_a_steady_clock_goes_on_however_the_machines_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """From where it was begun."""
    now = steady_clock(1_000_000)
    monkeypatch.setattr(time, "time_ns", lambda: 0)
    first = now()
    assert 1_000_000 <= first <= now() < 1_000_000 + 60_000
    assert steady_clock()() < 60_000
