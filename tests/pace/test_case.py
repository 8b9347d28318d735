"""What people read of the pace: which case it is, and what else they could choose."""

from dataclasses import replace

import pytest

from closeout.worker.pace.budget import Budget
from closeout.worker.pace.case import case_of
from closeout.worker.pace.law import Law, Terms

NOW = 1_000.0
TERMS = Terms(50.0, 100.0)
CUT = Law(0.0, NOW - 1, NOW + 9, first=False)


@pytest.mark.parametrize(
    ("law", "words", "choice"),
    [
        (replace(CUT, base=40.0, met=45.0), "gives way to production: refused at 45/s; 40/s, next look in 29 s", ""),
        (replace(CUT, met=2.0), "production fills the limit: 0.5/s, next look in 9 s", "--min-rate"),
        (replace(CUT, base=30.0, met=60.0, wait=40.0),
         "waits of 40 s: this API counts by longer windows; 30/s, next look in 9 s", "--share"),
        (replace(CUT, base=50.0, met=45.0, alien=0.03), "refused at any pace (3%): taken for none of ours", "fair"),
        (replace(CUT, look_at=NOW, looking=True, met=9.0), "production fills the limit: 10/s, looking for room", ""),
    ],
)  # fmt: skip
def test_the_case_is_said_in_words(law: Law, words: str, choice: str) -> None:
    """And the choice in flags."""
    case = case_of(Budget(law=law), TERMS, NOW)
    assert case is not None
    assert case.words == words
    assert choice in case.choice


@pytest.mark.parametrize(
    "law", [Law(), Law(since=NOW, looking=True), Law(50.0, NOW, first=False, capped=True, top=50.0, met=40.0)]
)
def test_nothing_is_said_where_nothing_holds_the_pace(law: Law) -> None:
    """At the start, and at the ceiling, whatever was before."""
    assert case_of(Budget(law=law), TERMS, NOW) is None
