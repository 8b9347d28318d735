"""A sweep's rule is kept as it is, and what it finds is held against what it usually finds."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from closeout.worker.domain.run import Tally
from closeout.worker.policy.anomaly import night_counts, unusual
from closeout.worker.policy.selection import Age, Selection, read_rule, rule_text
from tests.report.support import RUN

BOUNDS = st.none() | st.integers(0, 10**13) | st.builds(Age, st.integers(0, 10**10))
TEXTS = st.none() | st.text(max_size=5)


@given(
    st.builds(
        Selection,
        statuses=st.lists(st.sampled_from(["active", "paused", "ringing"]), max_size=3).map(tuple),
        protected=st.frozensets(st.sampled_from(["ringing", "queued"])),
        channel=TEXTS,
        text=TEXTS,
        started_after=BOUNDS,
        started_before=BOUNDS,
        idle_for=st.none() | st.integers(1, 10**9),
        expired=st.booleans(),
    )
)
def test_a_rule_is_read_as_it_was_written(selection: Selection) -> None:
    """A resumed sweep goes by the rule that it was begun with."""
    assert read_rule(rule_text(selection)) == selection


@pytest.mark.parametrize(
    ("found", "nights", "told"),
    [
        (100, [], None),
        (100, [90, 110, 100], None),
        (0, [], None),
        (0, [5, 5], None),
        (0, [0, 0, 0], None),
        (0, [5, 5, 5], "no session matches"),
        (50, [5, 5, 5], None),
        (51, [5, 5, 5], "over 10 times the median"),
        (51, [5, 5], None),
        (25, [0, 0, 0], None),
        (26, [0, 0, 0], "over 10 times the median"),
        (25, [0, 0, 1, 1, 1], None),
        (31, [0, 0, 3, 3, 3], "over 10 times the median"),
        (0, [0, 0, 0, 5, 5], None),
        (0, [0, 0, 5, 5, 5], "no session matches"),
        (1_001, [900, 900, 900], "more sessions match than max_close = 1,000"),
        (1_000, [900, 900, 900], None),
    ],
)
def test_what_is_not_as_usual_is_told(found: int, nights: list[int], told: str | None) -> None:
    """Nothing is usual before three nights."""
    strange = unusual(found, 1_000, nights)
    assert (strange is None) == (told is None)
    assert told is None or told in (strange or "")


def test_a_night_without_any_is_a_night() -> None:
    """Though it halted to ask; one that halted with too many is none, nor is one that never came to count."""
    finished = replace(RUN, state="finished", rows_read=12, duplicates=2)
    halted = replace(RUN, state="halted", rows_read=0, duplicates=0)
    none, many = replace(halted, tally=Tally(0, {"not expired": 3})), replace(halted, tally=Tally(500))
    assert night_counts([none, finished, many, halted, finished]) == [0, 10, 10]
