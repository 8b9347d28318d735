"""What is told of a job, night by night."""

import io
from dataclasses import replace

import pytest
from rich.console import Console

from closeout.worker.domain.item import Outcome
from closeout.worker.domain.run import Run
from closeout.worker.ledger.records import Counts
from closeout.worker.report.job_history import nights_json, nights_table, unusual_in
from tests.report.support import COUNTS, RUN

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


@pytest.mark.parametrize("width", [64, 71, 72, 119, 120, 200])
def test_a_narrow_terminal_shows_all_of_it(width: int) -> None:
    """No name of a run is cut, and what was unusual is told in words that can be read."""
    runs = [
        replace(a_night(320), name="aaaaaaaa"),
        replace(a_night(90), name="bbbbbbbb", state="halted", why="the brake"),
    ]
    usual = [replace(one, name=f"c{at}cccccc") for at, one in enumerate(USUAL)]
    runs, earlier = [*runs, usual[0]], usual[1:]
    console = Console(width=width, file=io.StringIO())
    console.print(nights_table(runs, {run.name: CLEAN for run in runs}, width, earlier))
    text = console.file.getvalue()  # type: ignore[attr-defined]  # it is what was given
    assert all(run.name in text for run in runs)
    assert "…" not in text
    (told,) = [line for line in text.splitlines() if "aaaaaaaa" in line and "median" in line]
    assert "found 3.2 times the median" in told
    assert "the brake" in text
    assert {each["run"]: each["unusual"] for each in nights_json(runs, {run.name: CLEAN for run in runs}, earlier)} == {
        "aaaaaaaa": "found 3.2 times the median", "bbbbbbbb": "the brake",
        "c0cccccc": None,
    }  # fmt: skip
