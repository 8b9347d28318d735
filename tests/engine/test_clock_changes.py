"""Nights on which the clock is set: a job is started once in each local night, by whoever keeps its times then."""

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from closeout.jobs.definitions.cron import Schedule
from tests.engine.test_schedule import HOUR, at
from tests.engine.test_scheduling import World, long_naps

__all__ = ["long_naps"]  # a fixture
# The night before the clock is set, and at what time of it the job is: skipped, shown twice, or just before or after.
CHANGES = [
    ("Europe/Berlin", "2026-03-28", "30 2 * * *"),
    ("Europe/Berlin", "2026-03-28", "0 3 * * *"),
    ("Europe/Berlin", "2026-10-24", "30 2 * * *"),
    ("Europe/Berlin", "2026-10-24", "0 3 * * *"),
    ("Australia/Sydney", "2026-10-03", "30 2 * * *"),
    ("Australia/Sydney", "2026-04-04", "30 2 * * *"),
    ("America/Santiago", "2026-09-05", "0 0 * * *"),
    ("America/Santiago", "2026-04-04", "30 23 * * *"),
    ("Australia/Lord_Howe", "2026-10-03", "15 2 * * *"),
    ("Australia/Lord_Howe", "2026-04-04", "45 1 * * *"),
]


def days(starts: list[tuple[str, int]], zone: ZoneInfo) -> list[str]:
    """The local dates of these starts."""
    return [datetime.fromtimestamp(start / 1000, zone).date().isoformat() for _, start in starts]


@pytest.mark.parametrize(("zone", "day", "cron"), CHANGES)
def test_each_local_night_has_one_start(zone: str, day: str, cron: str) -> None:
    """For four nights with the change among them, where two keep the same times."""
    job, local = Schedule("night", cron, ZoneInfo(zone), catch_up=12 * HOUR), ZoneInfo(zone)
    noon = datetime.fromisoformat(f"{day}T12:00").replace(tzinfo=local) - timedelta(days=1)
    ends = (noon + timedelta(days=4)).timestamp()
    world = World(began=at(noon.isoformat()), known={"night": at(noon.isoformat()) - 1})
    starts = world.keep([job], [job], seconds=ends - noon.timestamp())
    first = int(cron.split()[1]) < 12  # else it is on the evening of the same day
    assert days(starts, local) == [(noon + timedelta(days=n + first)).date().isoformat() for n in range(4)]


@pytest.mark.parametrize("minutes", range(-15, 200, 20))
@pytest.mark.parametrize("change", ["2026-03-29T01:00Z", "2026-10-25T00:00Z"])
def test_whoever_begins_in_the_hour_of_the_change_makes_up_for_the_night_once(change: str, minutes: int) -> None:
    """The scheduler dies at any minute around the change, and another one begins a while later: one start, not two."""
    zone = ZoneInfo("Europe/Berlin")
    job = Schedule("night", "30 2 * * *", zone, catch_up=12 * HOUR)
    began = at(change.replace("Z", "+00:00")) - 2 * HOUR
    dies = began + 2 * HOUR + minutes * 60_000
    before = World(began=began, known={"night": began - 23 * HOUR}, takes=1.0)
    before.keep([job], seconds=(dies - began) / 1000)
    after = World(began=dies + 20 * 60_000, known=before.known, takes=1.0)
    after.keep([job], seconds=6 * 3_600)
    starts = before.starts + after.starts
    assert days(starts, zone) == [change[:10]]
    assert datetime.fromtimestamp(starts[0][1] / 1000, zone).hour >= 2
