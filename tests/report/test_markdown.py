"""The report as markdown: readable as it stands, and nothing in it is obeyed."""

import re

import pytest

from closeout.worker.report.comparison import change
from closeout.worker.report.formatting import DASH, share
from closeout.worker.report.markdown import table


def test_tables_are_aligned_as_text_and_as_markdown() -> None:
    """Numbers to the right; all lines are equally long."""
    found = table(("outcome", ">sessions"), [("closed", "1,234"), ("not found", "7")])
    assert found.splitlines() == [
        "| outcome   | sessions |",
        "| --------- | -------: |",
        "| closed    |    1,234 |",
        "| not found |        7 |",
    ]


@pytest.mark.parametrize(
    "hostile",
    ["a|b", "<img src=x>", "[x](https://evil.invalid)", "`code`", "**bold**", "@everyone", "a\nb", "\u202e", "~~x~~"],
)
def test_what_comes_from_outside_is_shown_and_not_obeyed(hostile: str) -> None:
    """No cell, no line, no markup comes of it."""
    lines = table(("cause",), [(hostile,)]).splitlines()
    assert len(lines) == 3
    assert re.search(r"(?<!\\)[`<*\[@~]", lines[2]) is None
    assert len(re.findall(r"(?<!\\)\|", lines[2])) == 2


@pytest.mark.parametrize(
    ("part", "whole", "words"),
    [
        (1, 3, "33.3%"),
        (1, 2, "50.0%"),
        (0, 9, "0%"),
        (9, 9, "100%"),
        (1, 1_000_000, "0.01%"),
        (999_999, 1_000_000, "99.99%"),
        (0, 0, DASH),
    ],
)
def test_a_share_is_never_rounded_to_all_or_nothing(part: int, whole: int, words: str) -> None:
    """One of a million is not nothing."""
    assert share(part, whole) == words


@pytest.mark.parametrize(
    ("one", "other", "words"),
    [(100, 104, "+4 (+4%)"), (10, 5, "-5 (-50%)"), (0, 3, "+3"), (7, 7, "="), (1.5, 3.0, "+1.5 (+100%)")],
)
def test_a_change_says_by_how_much(one: float, other: float, words: str) -> None:
    """In numbers and as a share of the first."""
    assert change(one, other) == words
