"""The settling stage against an awkward API, in virtual time: in the end the ledger says what is true."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from closeout.worker.domain.session import EvalSummary
from closeout.worker.support.clock import NEVER
from tests.engine.settling_world import START, VERDICTS, Fate, settle, verdict_of
from tests.ledger.support import session_id

_FATES = st.lists(
    st.tuples(
        st.floats(0, 60), st.integers(0, 3_000), st.floats(0.5, 1), st.floats(0, 1), st.sampled_from(VERDICTS),
        st.sampled_from(["ends", "ends", "ends", "ends", "never", "deleted", "reopened"]), st.floats(1, 60),
    ),
    min_size=1, max_size=80,
)  # fmt: skip


def fates_of(
    drawn: list[tuple[float, int, float, float, EvalSummary, str, float]], queued: float, lag: tuple[float, float]
) -> list[Fate]:
    """Runs are queued within ``queued`` seconds, all at least half of that late; verdicts within ``lag`` after that."""
    return [
        Fate(
            closed=1_000.0 + at,
            started=START + started * 1_000,
            queued=queued * late,
            final=float("inf") if how == "never" else queued * late + lag[0] + (lag[1] - lag[0]) * long,
            verdict=verdict,
            deleted=when if how == "deleted" else float("inf"),
            reopened=when if how == "reopened" else float("inf"),
        )
        for at, started, late, long, verdict, how, when in drawn
    ]


@settings(max_examples=12, deadline=None)
@given(
    drawn=_FATES,
    queued=st.sampled_from([0.0, 0.2, 4.0, 14.0]),
    lag=st.sampled_from([(0.1, 1.0), (5.0, 20.0), (30.0, 90.0)]),
    paging=st.sampled_from(
        ["proper", "proper", "same", "loop", "cut", "empty", "strangers", "twice", "broken", "unbounded"]
    ),
    order=st.sampled_from(["newest", "oldest", "shuffled"]),
    page_size=st.sampled_from([3, 20, 200]),
    omitted=st.sets(st.integers(0, 79), max_size=20),
    throttle=st.integers(0, 3),
)
def test_the_ledgers_verdicts_are_the_true_ones(
    drawn: list[tuple[float, int, float, float, EvalSummary, str, float]],
    queued: float,
    lag: tuple[float, float],
    paging: str,
    order: str,
    page_size: int,
    omitted: set[int],
    throttle: int,
) -> None:
    """Where runs are queued within the grace. What never ends is open, what is gone as last seen, what is live told."""
    fates = fates_of(drawn, queued, lag)
    done = settle(
        fates, paging=paging, order=order, page_size=page_size, throttle_first=throttle,
        omitted=frozenset(session_id(number) for number in omitted),
    )  # fmt: skip
    assert done.seconds <= 900 + 60
    assert done.requests <= 30 * len(fates) + 60
    for number, fate in enumerate(fates):
        row = done.rows[session_id(number)]
        detail, settled, verdict = str(row[3] or ""), row[6], verdict_of(row)
        if settled and "deleted" not in detail:
            assert verdict == fate.verdict
            assert row[4] == "closed"
        if "deleted" in detail:
            assert settled
            assert fate.deleted < NEVER
        if fate.deleted == fate.reopened == float("inf"):
            assert settled == (fate.final < float("inf") or not fate.verdict.total)
        if row[4] == "active":
            assert not settled
            assert "reopened: seen active" in detail


def test_runs_that_are_queued_far_too_late_are_noticed_while_closing_goes_on() -> None:
    """After 40 s, where 15 s are believed: a few that were believed are looked at again, and all is taken back."""
    rng = random.Random(1)
    fates = [
        Fate(1_000.0 + at / 4, START + rng.randrange(10**6), 40.0, 40.0 + rng.uniform(5, 20), VERDICTS[0])
        for at in range(1_200)
    ]
    done = settle(fates)
    assert all(row[6] for row in done.rows.values())
    assert {verdict_of(row) for row in done.rows.values()} == {VERDICTS[0]}


def test_few_requests_settle_many() -> None:
    """Two thousand that are all of the account, in no order, with lags of 5 to 20 s: pages of 200, and the pilots."""
    rng = random.Random(2)
    fates = [
        Fate(1_000.0 + at / 50, START + rng.randrange(10**6), 0.1, rng.uniform(5, 20), VERDICTS[0])
        for at in range(2_000)
    ]
    done = settle(fates)
    assert all(row[6] for row in done.rows.values())
    assert done.requests <= 0.05 * 2_000


@pytest.mark.parametrize("count", [1, 5])
def test_a_few_sessions_do_not_wait_long(count: int) -> None:
    """They are the pilots."""
    fates = [Fate(1_000.0, START + at, 0.1, 3.0, VERDICTS[0]) for at in range(count)]
    done = settle(fates)
    assert all(row[6] for row in done.rows.values())
    assert done.seconds <= 8
