"""What is told of a job, night by night."""

from dataclasses import replace

import pytest

from tests.report.support import COUNTS, RUN
from worker.ledger.protocol import Counts
from worker.models import Outcome, Run
from worker.report.nights import unusual_in

CLEAN = Counts({Outcome.CLOSED: 100})


def a_night(found: int, **values: object) -> Run:
    """A finished run that found so many, with a few duplicates."""
    return replace(RUN, state="finished", why=None, rows_read=found + 3, duplicates=3, **values)  # type: ignore[arg-type]


USUAL = [a_night(100), a_night(90), a_night(120)]


@pytest.mark.parametrize(
    ("run", "counts", "told"),
    [
        (a_night(100), CLEAN, ""),
        (a_night(300), CLEAN, ""),
        (a_night(320), CLEAN, "found 3.2 times the median"),
        (a_night(20), CLEAN, "found 0.2 times the median"),
        (replace(a_night(100), state="halted", why="the brake"), CLEAN, "the brake"),
        (a_night(100), replace(COUNTS, unsettled=4), "8 wrong; 4 not settled"),
    ],
)
def test_what_is_unusual_in_a_night_is_told(run: Run, counts: Counts, told: str) -> None:
    """Against the nights before it."""
    assert unusual_in(run, counts, USUAL) == told


def test_nothing_is_usual_before_three_nights() -> None:
    """Nor do nights count that were halted."""
    earlier = [*USUAL[:2], replace(USUAL[2], state="halted")]
    assert unusual_in(a_night(5_000), CLEAN, earlier) == ""
