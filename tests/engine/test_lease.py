"""A lease is measured so that it surely ends here before it ends on the server."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from closeout.worker.ledger.lease import MARGIN, Lease, Terms, terms_of
from closeout.worker.support.errors import ConfigurationError

seconds = st.floats(0.01, 1_000)


@given(lease=seconds, timeout=seconds, sent=seconds, delays=st.tuples(seconds, seconds), asked=seconds)
def test_what_may_leave_is_over_before_others_may_look(
    lease: float, timeout: float, sent: float, delays: tuple[float, float], asked: float
) -> None:
    """However long a heartbeat and its answer take: the server begins to count when it arrives."""
    arrives, now = sent + delays[0], 0.0
    held = Lease(Terms(lease, timeout, 0), lambda: now)
    assert not held.covers
    held.renewed(sent)
    now = sent + sum(delays) + asked
    assert not held.covers or now + timeout < arrives + lease


def test_a_lease_ends_by_the_last_heartbeat_that_came_through() -> None:
    """One that was sent earlier and answered later takes nothing back; one that is lost covers nothing."""
    now = 100.0
    held = Lease(Terms(60, 30, 0), lambda: now)
    held.renewed(100.0)
    held.renewed(90.0)
    now = 130.0 - MARGIN
    assert held.covers
    now += 0.01
    assert not held.covers
    held.renewed(now)
    held.lost()
    assert not held.covers


@given(timeout=st.floats(0.1, 3_600))
def test_without_one_a_lease_fits_the_time_limit(timeout: float) -> None:
    """And heartbeats come often enough to keep it."""
    terms = terms_of(None, timeout, 600)
    assert terms.lease >= 60
    assert 0 < terms.beat <= min(1, terms.slack / 3)


def test_a_lease_that_is_too_short_is_refused() -> None:
    """In one line that says what to do."""
    with pytest.raises(ConfigurationError, match=r"--lease 30 s: with --timeout 30 s it must be 31 s at least"):
        terms_of(30, 30, 600)
    assert terms_of(31, 30, 600).slack == 0.5
