"""The rate that a run's settings allow, by the clock."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from closeout.worker.config.quiet_hours import share_at
from closeout.worker.config.settings import Settings
from closeout.worker.pace.allowance import Ceiling
from closeout.worker.support.clock import Millis

MIDNIGHT: Millis = 1_772_409_600_000  # of a Monday, in UTC
MINUTE: Millis = 60_000
HOUR: Millis = 60 * MINUTE
DAY: Millis = 24 * HOUR


class Clock:
    """Milliseconds, moved by hand."""

    def __init__(self, now: Millis = MIDNIGHT) -> None:
        self.now = now

    def __call__(self) -> Millis:
        return self.now


def settings(**values: object) -> Settings:
    """At 100/s for the organisation, in UTC."""
    return Settings.model_validate({"org_limit": 100, "timezone": "UTC", **values})


@pytest.mark.parametrize(
    ("values", "rate"),
    [
        ({}, 50.0), ({"share": "20%"}, 20.0), ({"rate": "70/s"}, 70.0), ({"rate": "600/min"}, 10.0),
        ({"quiet_hours": "00:00-24:00@30%"}, 30.0), ({"quiet_hours": "00:00-24:00@0%"}, 0.0),
        ({"quiet_hours": "00:00-24:00@80%"}, 50.0),  # never above what holds at other hours
        ({"quiet_hours": "00:00-24:00@30%", "rate": "20/s"}, 20.0),
        ({"quiet_hours": "00:00-24:00@30%, 00:00-06:00@10%"}, 10.0), ({"quiet_hours": "tue 00:00-24:00@0%"}, 50.0),
    ],
)  # fmt: skip
def test_the_lowest_of_what_the_settings_say_holds(values: dict[str, object], rate: float) -> None:
    """A quiet share is one of the organisation's limit, whether a rate or a share was set."""
    assert Ceiling(settings(**values), Clock())() == pytest.approx(rate)


def test_it_changes_with_the_clock_to_the_millisecond() -> None:
    """Over midnight, too."""
    clock = Clock(MIDNIGHT + 12 * HOUR)
    ceiling = Ceiling(settings(quiet_hours="22:00-06:00@0%"), clock)
    seen = []
    for at in (12 * HOUR, 22 * HOUR - 1, 22 * HOUR, DAY, DAY + 6 * HOUR - 1, DAY + 6 * HOUR):
        clock.now = MIDNIGHT + at
        seen.append(ceiling())
    assert seen == [50, 50, 0, 0, 0, 50]


def test_it_follows_a_clock_that_is_set_back() -> None:
    """What was reckoned after the quiet hours does not hold in them."""
    clock = Clock(MIDNIGHT + 6 * HOUR)
    ceiling = Ceiling(settings(quiet_hours="22:00-06:00@0%"), clock)
    assert ceiling() == 50
    clock.now -= HOUR
    assert ceiling() == 0


windows = st.builds(
    lambda start, length, share: f"{start // 60:02}:{start % 60:02}-{_end(start, length)}@{share}%",
    st.integers(0, 24 * 60 - 1), st.integers(1, 24 * 60 - 1), st.integers(0, 100),
)  # fmt: skip


def _end(start: int, length: int) -> str:
    end = (start + length) % (24 * 60)
    return f"{end // 60:02}:{end % 60:02}"


@given(st.lists(windows, min_size=1, max_size=3), st.lists(st.integers(-DAY, DAY), min_size=1, max_size=30))
def test_what_is_kept_between_looks_is_what_a_look_would_find(hours: list[str], steps: list[int]) -> None:
    """It looks at the windows only when they change: at any instant the rate is the same as if it always looked."""
    chosen, clock = settings(quiet_hours=", ".join(hours)), Clock()
    ceiling = Ceiling(chosen, clock)
    for step in steps:
        clock.now += step
        share = share_at(chosen.quiet_windows, chosen.zone, clock.now, 1.0)
        assert ceiling() == min(50.0, 100.0 * share)
