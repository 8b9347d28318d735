"""What a run will take, as it is told before it begins."""

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from closeout.worker.config.quiet_hours import parse_quiet_hours, share_at
from closeout.worker.domain.session import PAGE_SIZE
from closeout.worker.pace.allowance import Allowance
from closeout.worker.pace.forecast import estimate_sessions, forecast, in_words, lookups_for
from closeout.worker.support.clock import Millis

BERLIN = ZoneInfo("Europe/Berlin")
HALF = Allowance(50.0, 100.0, zone=BERLIN)


def at(text: str) -> Millis:
    """The instant of a local time in Berlin."""
    return round(datetime.fromisoformat(text).replace(tzinfo=BERLIN).timestamp() * 1000)


def quietly(text: str, rate: float = 50.0) -> Allowance:
    """50 of 100 requests a second, less in these hours."""
    return Allowance(rate, 100.0, parse_quiet_hours(text), BERLIN)


def words(sessions: int, allowance: Allowance, start: str, *, settles: bool = True, estimated: bool = False) -> str:
    """The line for a run that begins at that local time."""
    told = forecast(sessions, allowance, at(start), settles=settles, estimated=estimated)
    return in_words(told, allowance)


@pytest.mark.parametrize(
    ("rows", "bytes_read", "bytes_total", "sessions"),
    [
        (2_000, 80_000, 4_000_000, 100_000), (2_000, 80_000, 80_000, 2_000), (3, 100, 50, 3), (0, 0, 100, 0),
        (0, 50, 100, 0), (7, 0, 100, 7), (1, 3, 10, 3),
    ],
)  # fmt: skip
def test_the_rest_of_a_file_is_taken_to_be_like_its_beginning(
    rows: int, bytes_read: int, bytes_total: int, sessions: int
) -> None:
    """A file read to its end has the rows that were found, also when it has grown or shrunk meanwhile."""
    assert estimate_sessions(rows, bytes_read, bytes_total) == sessions


@pytest.mark.parametrize(("sessions", "lookups"), [(0, 0), (1, 2), (200, 2), (201, 4), (100_000, 1_000)])
def test_an_evaluation_is_looked_at_twice_a_page_at_a_time(sessions: int, lookups: int) -> None:
    """One page tells of up to 200 sessions."""
    assert PAGE_SIZE == 200
    assert lookups_for(sessions) == lookups


@pytest.mark.parametrize(
    ("sessions", "settles", "requests", "seconds"),
    [(100_000, True, 101_000, 2_020), (100_000, False, 100_000, 2_000), (0, True, 0, 0), (1, False, 1, 0.02)],
)
def test_requests_and_time_at_an_even_pace(sessions: int, settles: bool, requests: int, seconds: float) -> None:
    """Closes, and look-ups where the run settles."""
    told = forecast(sessions, HALF, at("2026-01-12T13:31"), settles=settles)
    assert (told.requests, told.seconds) == (requests, seconds)
    assert told.finish == at("2026-01-12T13:31") + round(seconds * 1000)


@pytest.mark.parametrize(
    ("quiet", "start", "requests", "hours"),
    [
        ("08:00-20:00@10%", "2026-01-12T20:00", 50 * 3600, 1),  # all before
        ("08:00-20:00@10%", "2026-01-12T08:00", 10 * 3600, 1),  # all within
        ("08:00-20:00@10%", "2026-01-12T07:00", (50 + 10) * 3600, 2),
        ("08:00-20:00@10%", "2026-01-12T07:00", (50 + 120 + 25) * 3600, 13.5),
        ("08:00-20:00@0%", "2026-01-12T08:00", 50 * 3600, 13),
        ("08:00-20:00@90%", "2026-01-12T08:00", 50 * 3600, 1),
        ("22:00-06:00@0%", "2026-03-28T21:00", 100 * 3600, 9),  # a night of 7 hours
        ("22:00-06:00@0%", "2026-10-24T21:00", 100 * 3600, 11),  # and one of 9
        ("00:00-24:00@1%", "2026-01-12T08:00", 3600, 1),
    ],
)
def test_quiet_hours_make_it_longer(quiet: str, start: str, requests: int, hours: float) -> None:
    """By what cannot be sent in them, from one change of the pace to the next."""
    told = forecast(requests, quietly(quiet), at(start), settles=False)
    assert told.seconds == pytest.approx(hours * 3600)


@given(
    st.sampled_from(["08:00-20:00@10%", "22:00-06:00@0%", "mon-fri 09:00-17:00@0%,12:00-13:00@20%"]),
    st.integers(0, 7 * 24 * 60),
    st.integers(1, 7 * 24 * 60),
)
def test_what_is_sent_in_the_time_told_is_what_there_is_to_send(quiet: str, begin: int, minutes: int) -> None:
    """Added up minute by minute, around a night on which the clocks are set."""
    allowance, start = quietly(quiet), at("2026-03-23T00:00") + begin * 60_000
    shares = [share_at(allowance.windows, BERLIN, start + each * 60_000, 0.5) for each in range(minutes)]
    requests = round(sum(shares) * 100 * 60)
    told = forecast(requests, allowance, start, settles=False)
    idle = next((each for each, share in enumerate(reversed(shares)) if share), minutes)  # done before the end
    assert told.seconds == pytest.approx((minutes - idle) * 60, abs=1e-3)


def test_beyond_four_weeks_it_goes_on_as_in_these() -> None:
    """Half of each day at 50 a second: 100 days make 50."""
    told = forecast(50 * 86_400 * 50, quietly("08:00-20:00@0%"), at("2026-04-01T08:00"), settles=False)
    assert told.seconds == pytest.approx(100 * 86_400, rel=0.01)


@pytest.mark.parametrize(
    ("line", "text"),
    [
        (
            words(100_000, HALF, "2026-01-12T13:31", estimated=True),
            "about 100,000 sessions: some 101,000 requests at 50/s (50% of the organisation's 6,000/min), "
            "about 33 min 40 s, done at about 14:04 CET",
        ),
        (
            words(1, Allowance(0.1, 0.5, zone=BERLIN), "2026-07-01T23:59", settles=False),
            "1 session: some 1 request at 0.1/s (20% of the organisation's 30/min), "
            "about 10 s, done at about 23:59 CEST",
        ),
        (
            words(3_600_000, HALF, "2026-03-28T12:00", settles=False),
            "3,600,000 sessions: some 3,600,000 requests at 50/s (50% of the organisation's 6,000/min), "
            "about 20 h 0 min, done at about 09:00 CEST",
        ),
        (
            words(4_500_000, HALF, "2026-03-28T12:00", settles=False),
            "4,500,000 sessions: some 4,500,000 requests at 50/s (50% of the organisation's 6,000/min), "
            "about 25 h 0 min, done at about 2026-03-29 14:00 CEST",
        ),
        (
            words(180_000, quietly("08:00-20:00@0%"), "2026-01-12T12:00", settles=False),
            "180,000 sessions: some 180,000 requests at 50/s (50% of the organisation's 6,000/min), less in the quiet "
            "hours, about 9 h 0 min, done at about 21:00 CET",
        ),
        (
            words(10, quietly("00:00-24:00@0%"), "2026-01-12T12:00"),
            "10 sessions: some 12 requests at 50/s (50% of the organisation's 6,000/min), less in the quiet hours, "
            "never done: the quiet hours leave nothing",
        ),
        (
            words(300 * 86_400, Allowance(1.0, 2.0, zone=BERLIN), "2026-01-12T12:00", settles=False),
            "25,920,000 sessions: some 25,920,000 requests at 1/s (50% of the organisation's 120/min), "
            "about 7200 h 0 min, done at about 2026-11-08 12:00 CET",
        ),
        (
            words(366 * 86_400, Allowance(1.0, 2.0, zone=BERLIN), "2026-01-12T12:00", settles=False),
            "31,622,400 sessions: some 31,622,400 requests at 1/s (50% of the organisation's 120/min), "
            "more than a year",
        ),
        (
            words(10**9, Allowance(0.001, 100.0, zone=BERLIN), "2026-01-12T12:00", settles=False),
            "1,000,000,000 sessions: some 1,000,000,000 requests at 0.001/s (0.001% of the organisation's 6,000/min), "
            "more than a year",
        ),
    ],
)  # fmt: skip
def test_in_words(line: str, text: str) -> None:
    """One line: how much, how fast, how long, and when it is done by the person's clock."""
    assert line == text


@pytest.mark.parametrize(("known", "requests"), [(0, 1_010), (1, 1_010), (400, 608), (1_000, 5)])
def test_what_earlier_runs_closed_is_looked_up_a_page_at_a_time(known: int, requests: int) -> None:
    """It is neither closed nor settled again."""
    told = forecast(1_000, HALF, at("2026-01-12T12:00"), settles=True, known=known)
    assert told.requests == requests
    line = in_words(told, HALF)
    assert line.startswith(
        f"1,000 sessions{f', {known:,} of them closed by earlier runs and only looked up' * (known > 0)}: "
    )


def test_by_the_clock_of_whoever_asks() -> None:
    """The same instant in another zone."""
    told = forecast(100, HALF, at("2026-01-12T12:00"), settles=False)
    assert in_words(told, Allowance(50.0, 100.0, zone=ZoneInfo("Asia/Kolkata"))).endswith("done at about 16:30 IST")


@pytest.mark.parametrize("quiet", ["00:00-24:00@0%", "00:00-12:00@0%,12:00-00:00@0%", "23:00-01:00@0%,00:30-23:30@0%"])
def test_a_pace_of_zero_in_all_hours_never_ends(quiet: str) -> None:
    """However the hours are written."""
    told = forecast(1, quietly(quiet), at("2026-01-12T12:00"), settles=False)
    assert (told.seconds, told.finish) == (None, None)
