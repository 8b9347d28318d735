"""When a job starts: time zones, nights on which the clock is changed, missed nights, jitter."""

import itertools
from dataclasses import replace
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from closeout.jobs.definitions.cron import PROMPT, CronFields, Schedule, due, next_start, parse_cron, starts

MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
NIGHTLY = Schedule("nightly", "0 3 * * *", ZoneInfo("Europe/Berlin"))


def at(text: str) -> int:
    """The instant of an ISO date-time; UTC where it says nothing."""
    moment = datetime.fromisoformat(text)
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)


@pytest.mark.parametrize(
    ("zone", "cron", "day", "expected"),
    [
        # the clock goes forward: what is skipped starts when it has jumped
        ("Europe/Berlin", "30 2 * * *", "2026-03-29", ["29 03:00+0200"]),
        ("Europe/Berlin", "0,15,30,45 2 * * *", "2026-03-29", ["29 03:00+0200"]),
        ("Europe/Berlin", "0 3 * * *", "2026-03-29", ["29 03:00+0200"]),
        ("Europe/Berlin", "0 2,3 * * *", "2026-03-29", ["29 03:00+0200"]),
        ("America/New_York", "30 2 * * *", "2026-03-08", ["08 03:00-0400"]),
        ("Australia/Lord_Howe", "15 2 * * *", "2026-10-04", ["04 02:30+1100"]),
        ("America/Santiago", "0 0 * * *", "2026-09-06", ["06 01:00-0300"]),
        ("Africa/Cairo", "30 0 * * *", "2026-04-24", ["24 01:00+0300"]),
        # it goes back: what is shown twice starts the first time
        ("Europe/Berlin", "30 2 * * *", "2026-10-25", ["25 02:30+0200"]),
        ("America/New_York", "30 1 * * *", "2026-11-01", ["01 01:30-0400"]),
        ("Australia/Lord_Howe", "45 1 * * *", "2026-04-05", ["05 01:45+1100"]),
        ("America/Havana", "30 0 * * *", "2026-11-01", ["01 00:30-0400"]),
        # nothing happens there
        ("Asia/Kolkata", "30 2 * * *", "2026-03-29", ["29 02:30+0530"]),
        ("UTC", "30 2 * * *", "2026-03-29", ["29 02:30+0000"]),
    ],
)
def test_a_job_starts_once_in_the_night_on_which_the_clock_is_changed(
    zone: str, cron: str, day: str, expected: list[str]
) -> None:
    """Not twice, and not never."""
    noon = at(f"{day}T12:00:00Z")
    around = starts(Schedule("one", cron, ZoneInfo(zone)), noon - 36 * HOUR)
    shown = [
        datetime.fromtimestamp(start / 1000, ZoneInfo(zone)).strftime("%d %H:%M%z")
        for start in itertools.takewhile(lambda start: start < noon + 36 * HOUR, around)
    ]
    assert [text for text in shown if text[:2] == day[-2:]] == expected


@pytest.mark.parametrize(
    ("zone", "first", "last", "count"),
    [
        ("Europe/Berlin", "2026-03-28T23:00", "2026-03-29T22:00", 23),
        ("Europe/Berlin", "2026-10-24T22:00", "2026-10-25T23:00", 25),
        ("America/New_York", "2026-03-08T05:00", "2026-03-09T04:00", 23),
        ("America/New_York", "2026-11-01T04:00", "2026-11-02T05:00", 25),
        ("UTC", "2026-03-29T00:00", "2026-03-30T00:00", 24),
    ],
)
def test_an_hourly_job_goes_by_the_time_that_passes(zone: str, first: str, last: str, count: int) -> None:
    """Each hour, also the one that is shown twice, and not the one that is skipped."""
    hourly = starts(Schedule("one", "0 * * * *", ZoneInfo(zone)), at(first))
    found = list(itertools.takewhile(lambda start: start <= at(last), hourly))
    assert len(found) == count
    assert {after - before for before, after in itertools.pairwise(found)} == {HOUR}


def test_a_scheduler_that_begins_in_the_hour_shown_twice_does_not_go_back() -> None:
    """The first 2:30 is past; the second is none."""
    schedule = Schedule("one", "30 2 * * *", ZoneInfo("Europe/Berlin"))
    assert next_start(replace(schedule, jitter=1), at("2026-10-25T02:10+01:00")) == at("2026-10-26T02:30+01:00")
    assert next_start(schedule, at("2026-10-25T02:10+01:00")) == at("2026-10-26T02:30+01:00")


crons = st.sampled_from(
    ["0 3 * * *", "30 2 * * *", "*/15 * * * *", "0 * * * *", "5,10 1-3 * * mon-fri", "0 0 1 * sun", "15 */6 * * *"]
)
zones = st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "America/Santiago", "Asia/Kolkata"]).map(ZoneInfo)
schedules = st.builds(
    Schedule,
    name=st.sampled_from(["nightly", "tests", "x"]),
    cron=crons,
    zone=zones,
    jitter=st.sampled_from([0, 1, 10 * MINUTE, 2 * HOUR]),
    catch_up=st.sampled_from([0, HOUR, 12 * HOUR]),
)
instants = st.integers(at("2026-03-01"), at("2026-11-30")) | st.sampled_from(
    [at("2026-03-29T00:59:59"), at("2026-03-29T01:00:00"), at("2026-10-25T00:30:00"), at("2026-10-25T01:30:00")]
)


@given(schedule=schedules, after=instants, offset=st.integers(0, DAY))
def test_starts_go_on_from_anywhere_in_the_same_way(schedule: Schedule, after: int, offset: int) -> None:
    """Each is later than the one before, and whoever asks later gets the rest of the same ones."""
    some = list(itertools.islice(starts(schedule, after), 12))
    assert all(before < later for before, later in itertools.pairwise([after, *some]))
    later = min(after + offset, some[-1] - 1)
    assert next_start(schedule, later) == next(start for start in some if start > later)


@given(schedule=schedules, after=instants)
def test_jitter_puts_a_start_off_and_never_to_the_next_one(schedule: Schedule, after: int) -> None:
    """By less than it says, by the same whoever asks; without it a start is on time."""
    plain = replace(schedule, jitter=0)
    for time, following in itertools.pairwise(itertools.islice(starts(plain, after), 6)):
        start = next_start(schedule, time - 1)
        assert time <= start < following
        assert start <= time + schedule.jitter


def test_jitter_depends_on_the_job_and_the_day() -> None:
    """So that jobs of one time do not start at once, nor always in the same order."""
    jittered = replace(NIGHTLY, jitter=HOUR)
    days = {start % HOUR for start in itertools.islice(starts(jittered, at("2026-05-01")), 30)}
    names = {next_start(replace(jittered, name=str(n)), at("2026-05-01")) for n in range(30)}
    assert min(len(days), len(names)) > 25
    assert len({start % (5 * MINUTE) // MINUTE for start in days}) == 5


@given(schedule=schedules, begin=instants, gaps=st.lists(st.integers(1, PROMPT), min_size=1, max_size=200))
def test_one_who_asks_often_makes_each_start_once(schedule: Schedule, begin: int, gaps: list[int]) -> None:
    """None twice, none left out."""
    made, last, now = [], begin, begin
    for gap in gaps:
        now += gap
        start = due(schedule, last, now)
        if start is not None:
            made.append(start)
            last = now
    crowded = set(itertools.takewhile(lambda start: start <= now, starts(schedule, begin))) - set(made)
    assert len(set(made)) == len(made)
    # Two starts between two questions are one: the newer.
    assert all(any(missed < start <= missed + PROMPT for start in made) for missed in crowded)


@given(schedule=schedules, last=instants, now=instants)
def test_what_is_due_is_new_and_not_too_old(schedule: Schedule, last: int, now: int) -> None:
    """It comes after the last start, is the newest there is, and no older than is to be made up for."""
    start = due(schedule, last, now)
    if start is not None:
        assert start <= now < next_start(schedule, start)
        assert last < start
        assert now - start <= max(PROMPT, schedule.catch_up)


@pytest.mark.parametrize(
    ("last", "now", "catch_up", "expected"),
    [
        ("2026-05-01T03:00", "2026-05-02T03:00:00", 0, "2026-05-02T03:00"),  # on time
        ("2026-05-01T03:00", "2026-05-02T02:59:59", 12, None),  # not yet
        ("2026-05-01T03:00", "2026-05-02T03:05:00", 0, "2026-05-02T03:00"),  # a busy machine
        ("2026-05-01T03:00", "2026-05-02T03:05:01", 0, None),  # missed, and left
        ("2026-05-01T03:00", "2026-05-02T15:00:00", 12, "2026-05-02T03:00"),  # missed, and made up for
        ("2026-05-01T03:00", "2026-05-02T15:00:01", 12, None),  # too late
        ("2026-04-20T03:00", "2026-05-02T04:00:00", 12, "2026-05-02T03:00"),  # many missed: the newest, once
        ("2026-05-02T04:00", "2026-05-02T04:00:01", 12, None),  # made up for already
    ],
)
def test_a_missed_night_is_made_up_for_once_or_left(last: str, now: str, catch_up: int, expected: str | None) -> None:
    """All in UTC."""
    schedule = replace(NIGHTLY, zone=UTC, catch_up=catch_up * HOUR)
    found = due(schedule, at(last), at(now))
    assert found == (at(expected) if expected else None)


def test_a_cron_expression_is_taken_apart() -> None:
    """Names in any case, steps, lists; both numbers of Sunday."""
    assert parse_cron("*/20 22-23 1,15 JAN-mar/2 sun,7,1") == CronFields(
        (0, 20, 40), (22, 23), (1, 15), (1, 3), (0, 1), both_days=False
    )
    assert parse_cron("0 3 * * mon").both_days
    assert parse_cron("0 3 29 2 *").days == (29,)


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("0 3 * *", "five fields"), ("", "five fields"), ("@daily", "five fields"), ("0 0 3 * * *", "five fields"),
        ("60 3 * * *", "invalid minute '60'"), ("0 24 * * *", "invalid hour '24'"),
        ("0 3 0 * *", "invalid day of the month '0'"), ("0 3 * 13 *", "invalid month '13'"),
        ("0 3 * * 8", "invalid day of the week '8'"), ("x 3 * * *", "invalid minute 'x'"),
        ("*/0 3 * * *", "invalid minute '*/0'"), ("5-1 3 * * *", "invalid minute '5-1'"),
        ("5/9 3 * * *", "invalid minute '5/9'"), ("1,,2 3 * * *", "invalid minute"),
        ("0 3 L * *", "invalid day of the month 'L'"), ("0 3 LW * *", "invalid day of the month 'LW'"),
        ("0 3 * * 5L", "invalid day of the week '5L'"), ("0 3 * * 5#2", "invalid day of the week"),
        ("0 3 31 2 *", "no such day"), ("0 3 30 feb *", "no such day"), ("-1 3 * * *", "invalid minute '-1'"),
        ("٣ 3 * * *", "invalid minute"), ("1.5 3 * * *", "invalid minute"),
    ],
)  # fmt: skip
def test_a_mistake_in_a_schedule_is_told(text: str, part: str) -> None:
    """Which field it is in; what other crons would read in another way is one, too."""
    with pytest.raises(ValueError, match=r"^(invalid schedule )?'") as caught:
        parse_cron(text)
    assert part in str(caught.value)
