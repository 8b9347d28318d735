"""Quiet hours: how they are written, and what they allow when, by the clock on the wall."""

import time
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from closeout.worker.config.quiet_hours import (
    QuietWindow,
    local_time,
    next_change,
    parse_quiet_hours,
    parse_zone,
    share_at,
)
from closeout.worker.support.clock import NEVER, Millis

BERLIN, NEW_YORK, KOLKATA = ZoneInfo("Europe/Berlin"), ZoneInfo("America/New_York"), ZoneInfo("Asia/Kolkata")
LORD_HOWE = ZoneInfo("Australia/Lord_Howe")  # its summer time is half an hour
ZONES = [BERLIN, NEW_YORK, KOLKATA, LORD_HOWE, ZoneInfo("UTC")]
HOUR: Millis = 3_600_000
DAY: Millis = 24 * HOUR


def instant(text: str) -> Millis:
    """The instant of an ISO date-time with an offset."""
    moment = datetime.fromisoformat(text)
    assert moment.tzinfo is not None
    return round(moment.timestamp() * 1000)


def days(*numbers: int) -> frozenset[int]:
    """Monday is 0."""
    return frozenset(numbers)


@pytest.mark.parametrize(
    ("text", "windows"),
    [
        ("08:00-20:00@30%", [QuietWindow(8 * HOUR, 20 * HOUR, 0.3)]),
        ("22:30-6:00@0%", [QuietWindow(22 * HOUR + HOUR // 2, 6 * HOUR, 0.0)]),
        (" 08:00 - 20:00 @ 2.5 % ", [QuietWindow(8 * HOUR, 20 * HOUR, 0.025)]),
        ("00:00-24:00@100%", [QuietWindow(0, DAY, 1.0)]),
        ("08:00-12:00@30%, 13:00-20:00@10%",
         [QuietWindow(8 * HOUR, 12 * HOUR, 0.3), QuietWindow(13 * HOUR, 20 * HOUR, 0.1)]),
        ("mon-fri 08:00-20:00@30%", [QuietWindow(8 * HOUR, 20 * HOUR, 0.3, days(0, 1, 2, 3, 4))]),
        ("Sat 08:00-20:00@30%", [QuietWindow(8 * HOUR, 20 * HOUR, 0.3, days(5))]),
        ("fri-mon 22:00-02:00@0%", [QuietWindow(22 * HOUR, 2 * HOUR, 0.0, days(4, 5, 6, 0))]),
    ],
)  # fmt: skip
def test_quiet_hours_as_people_write_them(text: str, windows: list[QuietWindow]) -> None:
    """One window or several; a window may go over midnight, and days over the end of the week."""
    assert list(parse_quiet_hours(text)) == windows


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("", "invalid quiet hours"), ("08:00-20:00", "invalid quiet hours"), ("08:00-20:00@30", "invalid quiet hours"),
        ("8-20@30%", "invalid quiet hours"), ("08:00-20:00@30%,", "invalid quiet hours"),
        ("08:00@30%", "invalid quiet hours"),
        ("08:00-20:00@-1%", "invalid quiet hours"), ("monday 08:00-20:00@30%", "invalid quiet hours"),
        ("08:00-20:00@101%", "100% at most"), ("08:00-08:00@0%", "00:00-24:00"), ("24:00-08:00@0%", "00:00-24:00"),
        ("08:60-20:00@0%", "08:60"), ("08:00-24:01@0%", "24:01"), ("25:00-08:00@0%", "25:00"),
        ("xyz 08:00-20:00@30%", "'xyz'"), ("mon-xyz 08:00-20:00@30%", "'xyz'"),
    ],
)  # fmt: skip
def test_what_are_no_quiet_hours_is_refused(text: str, part: str) -> None:
    """Saying which part is wrong."""
    with pytest.raises(ValueError, match=part):
        parse_quiet_hours(text)


def test_a_zone_is_known_by_its_name() -> None:
    """That of the IANA database."""
    assert parse_zone("Europe/Berlin") is BERLIN


@pytest.mark.parametrize(
    "name", ["Europe/Berln", "Europe", "../UTC", "/etc/passwd", "Mars/Olympus", "", "a\0b", "\ud800"]
)
def test_what_is_no_zone_is_refused(name: str) -> None:
    """Whatever the files of the machine make of the name."""
    with pytest.raises(ValueError, match="unknown time zone"):
        parse_zone(name)


def test_a_misspelt_zone_is_answered_with_the_right_one() -> None:
    """As a misspelt setting is."""
    with pytest.raises(ValueError, match="did you mean Europe/Berlin"):
        parse_zone("Europe/Berln")


@pytest.mark.parametrize(
    ("text", "at", "share"),
    [
        ("08:00-20:00@30%", "2026-06-01T07:59:59.999+02:00", 0.5), ("08:00-20:00@30%", "2026-06-01T08:00+02:00", 0.3),
        ("08:00-20:00@30%", "2026-06-01T19:59:59.999+02:00", 0.3), ("08:00-20:00@30%", "2026-06-01T20:00+02:00", 0.5),
        ("08:00-20:00@30%", "2026-06-01T06:00+00:00", 0.3), ("08:00-20:00@30%", "2026-12-01T06:59+00:00", 0.5),
        ("22:00-06:00@0%", "2026-06-01T23:00+02:00", 0.0), ("22:00-06:00@0%", "2026-06-01T05:59+02:00", 0.0),
        ("22:00-06:00@0%", "2026-06-01T06:00+02:00", 0.5), ("22:00-00:00@0%", "2026-06-01T00:00+02:00", 0.5),
        ("00:00-24:00@10%", "2026-06-01T23:59+02:00", 0.1), ("08:00-20:00@90%", "2026-06-01T12:00+02:00", 0.5),
        ("08:00-20:00@30%,12:00-13:00@10%", "2026-06-01T12:30+02:00", 0.1),
        ("12:00-13:00@10%,08:00-20:00@30%", "2026-06-01T13:30+02:00", 0.3),
        # 2026-06-05 is a Friday.
        ("mon-fri 22:00-06:00@0%", "2026-06-05T23:00+02:00", 0.0),
        ("mon-fri 22:00-06:00@0%", "2026-06-06T05:00+02:00", 0.0),
        ("mon-fri 22:00-06:00@0%", "2026-06-06T23:00+02:00", 0.5),
        ("mon-fri 22:00-06:00@0%", "2026-06-08T05:00+02:00", 0.5),
        ("sun 22:00-06:00@0%", "2026-06-08T05:00+02:00", 0.0),
    ],
)  # fmt: skip
def test_the_lowest_share_that_applies(text: str, at: str, share: float) -> None:
    """A window over midnight belongs to the day on which it begins; none raises the share."""
    assert share_at(parse_quiet_hours(text), BERLIN, instant(at), 0.5) == share


@pytest.mark.parametrize(
    ("zone", "text", "at", "change"),
    [
        (BERLIN, "08:00-20:00@30%", "2026-06-01T07:00+02:00", "2026-06-01T08:00+02:00"),
        (BERLIN, "08:00-20:00@30%", "2026-06-01T08:00+02:00", "2026-06-01T20:00+02:00"),
        (BERLIN, "08:00-20:00@30%", "2026-06-01T20:00+02:00", "2026-06-02T08:00+02:00"),
        (BERLIN, "mon 08:00-20:00@30%", "2026-06-01T20:00+02:00", "2026-06-08T08:00+02:00"),
        (BERLIN, "08:00-20:00@30%,12:00-13:00@10%", "2026-06-01T08:00+02:00", "2026-06-01T12:00+02:00"),
        (KOLKATA, "08:00-20:00@30%", "2026-06-01T02:29Z", "2026-06-01T02:30Z"),
        # The night between has 11 hours, or 13.
        (BERLIN, "08:00-20:00@30%", "2026-03-28T20:00+01:00", "2026-03-29T08:00+02:00"),
        (BERLIN, "08:00-20:00@30%", "2026-10-24T20:00+02:00", "2026-10-25T08:00+01:00"),
        (NEW_YORK, "08:00-20:00@30%", "2026-03-07T20:00-05:00", "2026-03-08T08:00-04:00"),
        (NEW_YORK, "08:00-20:00@30%", "2026-10-31T20:00-04:00", "2026-11-01T08:00-05:00"),
        # From 02:00 the clock is set to 03:00: what begins between begins then, or not at all.
        (BERLIN, "02:30-04:00@0%", "2026-03-29T00:00+01:00", "2026-03-29T03:00+02:00"),
        (BERLIN, "01:00-02:30@0%", "2026-03-29T01:00+01:00", "2026-03-29T03:00+02:00"),
        (BERLIN, "02:15-02:45@0%", "2026-03-29T00:00+01:00", "2026-03-30T02:15+02:00"),
        (BERLIN, "sun 02:15-02:45@0%", "2026-03-22T02:45+01:00", "2026-04-05T02:15+02:00"),
        # From 03:00 the clock is set to 02:00: what lies between happens twice.
        (BERLIN, "02:15-02:45@0%", "2026-10-25T02:15+02:00", "2026-10-25T02:45+02:00"),
        (BERLIN, "02:15-02:45@0%", "2026-10-25T02:45+02:00", "2026-10-25T02:15+01:00"),
        (BERLIN, "02:30-04:00@0%", "2026-10-25T02:30+02:00", "2026-10-25T02:00+01:00"),
        (BERLIN, "02:30-04:00@0%", "2026-10-25T02:00+01:00", "2026-10-25T02:30+01:00"),
        (LORD_HOWE, "02:10-12:00@0%", "2026-10-04T01:00+10:30", "2026-10-04T02:30+11:00"),
    ],
)  # fmt: skip
def test_the_next_change_by_the_clock_on_the_wall(zone: ZoneInfo, text: str, at: str, change: str) -> None:
    """Also where that clock is set, in the nights between winter and summer time."""
    found = next_change(parse_quiet_hours(text), zone, instant(at))
    assert local_time(zone, found).isoformat() == local_time(zone, instant(change)).isoformat()


@pytest.mark.parametrize("text", ["00:00-24:00@0%", "00:00-12:00@0%,12:00-24:00@0%,00:00-24:00@0%"])
def test_a_change_is_of_windows_and_may_not_come(text: str) -> None:
    """A window around the clock never ends; beside it others do."""
    found = next_change(parse_quiet_hours(text), BERLIN, instant("2026-06-01T08:00+02:00"))
    assert found == (NEVER if "," not in text else instant("2026-06-01T12:00+02:00"))


def test_without_quiet_hours_nothing_changes() -> None:
    """Neither the share nor anything else."""
    assert next_change((), BERLIN, 0) == NEVER
    assert share_at((), BERLIN, 0, 0.5) == 0.5


TRANSITIONS = [instant(f"2026-{day}T00:00Z") for day in ("03-08", "03-29", "04-05", "10-04", "10-25", "11-01")]
TIMES = st.integers(0, 24 * 12 - 1).map(lambda each: each * DAY // (24 * 12))
WINDOWS = st.builds(
    QuietWindow, TIMES, TIMES, st.just(0.0), st.frozensets(st.integers(0, 6), min_size=1)
).filter(lambda window: window.start != window.end)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(
    window=WINDOWS,
    zone=st.sampled_from(ZONES),
    day=st.sampled_from(TRANSITIONS),
    offset=st.integers(-2 * DAY, 2 * DAY),
)
@example(window=QuietWindow(0, HOUR, 0.0, days(6)), zone=BERLIN, day=TRANSITIONS[1], offset=0)
def test_the_share_changes_then_and_not_before(
    window: QuietWindow, zone: ZoneInfo, day: Millis, offset: Millis
) -> None:
    """Looked at every five minutes around the nights on which clocks are set."""
    at = day + offset
    change = next_change([window], zone, at)
    now = share_at([window], zone, at, 0.5)
    assert at < change
    for look in range(at, min(change, at + 2 * DAY), DAY // (24 * 12)):
        assert share_at([window], zone, look, 0.5) == now
    assert change < NEVER
    assert share_at([window], zone, change - 1, 0.5) == now
    assert share_at([window], zone, change, 0.5) != now


@given(st.sampled_from(ZONES), st.integers(0, 4_000_000_000_000), WINDOWS)
def test_an_open_window_is_one_that_the_clock_has_reached(zone: ZoneInfo, at: Millis, window: QuietWindow) -> None:
    """By text: begun today and not ended, or begun yesterday and ending today."""
    local = datetime.fromtimestamp(at // 1000, zone)
    start, end = (f"{edge // HOUR:02}:{edge % HOUR // 60_000:02}" for edge in (window.start, window.end))
    shown, today, yesterday = f"{local:%H:%M}", local.weekday(), (local.weekday() + 6) % 7
    begun_today = today in window.days and shown >= start and (shown < end or end < start)
    begun_yesterday = yesterday in window.days and end < start and shown < end
    assert (share_at([window], zone, at, 0.5) == 0) == (begun_today or begun_yesterday)


def test_without_a_zone_it_is_this_machines(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whichever that is, summer and winter."""
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    try:
        windows = parse_quiet_hours("08:00-20:00@0%")
        for at, share in [("2026-06-01T11:59Z", 0.5), ("2026-06-01T12:00Z", 0), ("2026-12-01T12:59Z", 0.5)]:
            assert share_at(windows, None, instant(at), 0.5) == share
        assert next_change(windows, None, instant("2026-03-08T01:00Z")) == instant("2026-03-08T12:00Z")
    finally:
        monkeypatch.undo()
        time.tzset()
