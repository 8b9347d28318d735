"""Looking up sessions whose status matters: lists of that status tell of those that lie scattered among many others."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from closeout.worker.config.settings import Settings
from closeout.worker.domain.item import Claim
from closeout.worker.domain.session import SessionState
from closeout.worker.policy.guards import listed_statuses
from tests.engine.simulated_api import SimulatedApi
from tests.engine.support import NOW
from tests.engine.test_lookup import ORDERS, PAGINGS, a_claim, look_up, once_each

LIVE = listed_statuses(Settings())
STEP = 100_000


def world(ours: list[Claim], status: str = "active", others: int = 6_000) -> SimulatedApi:
    """Ours, in this status, among 80 other live sessions and very many that have ended; 20 are on a page."""
    sessions = {one.session_id: SessionState(one.session_id, status, started_at=NOW + one.seq * STEP) for one in ours}
    span = len(ours) * STEP
    for number in range(others):
        one = f"other-{number:05}"
        kind = ("active", "paused")[number % 2] if number % 75 == 0 else "closed"
        sessions[one] = SessionState(one, kind, started_at=NOW + number * span // others)
    return SimulatedApi(sessions, page_size=20)


@pytest.mark.parametrize("status", LIVE)
@pytest.mark.parametrize("timed", [False, True])
def test_those_of_which_nothing_is_known_are_found_on_the_lists_of_live_sessions(status: str, *, timed: bool) -> None:
    """Where reading each of the 200 would cost 200 requests, whether or not their starts are known."""
    claims = [a_claim(number, NOW + number * STEP if timed else None) for number in range(200)]
    api = world(claims, status)
    told, _ = look_up(api, claims, statuses=LIVE)
    assert once_each(told, claims)
    assert told.statuses == {status: 200}
    assert api.requests.total() <= 24
    assert not api.requests["read"]


def test_those_that_were_seen_before_are_found_on_the_list_of_their_status() -> None:
    """Page by page from their starts; what has changed since is read."""
    claims = [replace(a_claim(number, NOW + number * STEP), status="active") for number in range(300)]
    api = world(claims)
    for claim in claims[::50]:
        api.sessions[claim.session_id] = replace(api.sessions[claim.session_id], status="closed")
    api = replace(api, requests=type(api.requests)())
    told, _ = look_up(api, claims, statuses=LIVE)
    assert once_each(told, claims)
    assert told.statuses == {"active": 294, "closed": 6}
    assert api.requests.total() <= 30


def test_lists_that_tell_too_little_are_given_up() -> None:
    """200 that have ended, behind 4,000 live ones and 4,000 others: hardly more than a read each."""
    claims = [a_claim(number, None) for number in range(200)]
    old = {one.session_id: SessionState(one.session_id, "closed", started_at=NOW) for one in claims}
    new = {f"x-{n}": SessionState(f"x-{n}", ("active", "closed")[n % 2], started_at=NOW + 1 + n) for n in range(8_000)}
    api = SimulatedApi(old | new, page_size=20)
    told, _ = look_up(api, claims, statuses=LIVE)
    assert once_each(told, claims)
    assert api.requests.total() <= 1.05 * 200 + 8


@settings(max_examples=60, deadline=None)
@given(
    starts=st.lists(st.none() | st.integers(NOW, NOW + 30), max_size=260),
    now_in=st.lists(st.sampled_from(["active", "paused", "ringing", "closed", None]), min_size=1, max_size=5),
    was_in=st.lists(st.sampled_from(["active", "paused", "closed", None]), min_size=1, max_size=5),
    paging=st.sampled_from(PAGINGS),
    order=st.sampled_from(ORDERS),
    page_size=st.integers(1, 60),
    list_status=st.sampled_from([200, 200, 200, 403, 422, 500]),
    statuses=st.sampled_from([LIVE, ("active",), ()]),
)
def test_every_claim_is_told_of_exactly_once(
    starts: list[int | None],
    now_in: list[str | None],
    was_in: list[str | None],
    paging: str,
    order: str,
    page_size: int,
    list_status: int,
    statuses: tuple[str, ...],
) -> None:
    """Whatever status it is or was in, and whatever the lists do; for hardly more requests than sessions."""
    claims = [
        replace(a_claim(number, at), status=was_in[number % len(was_in)] if at is not None else None)
        for number, at in enumerate(starts)
    ]
    sessions = {
        claim.session_id: SessionState(claim.session_id, status, started_at=claim.started_at or NOW)
        for claim in claims
        if (status := now_in[claim.seq % len(now_in)]) is not None
    }
    api = SimulatedApi(sessions, paging=paging, order=order, page_size=page_size, list_status=list_status)
    told, _ = look_up(api, claims, statuses=statuses)
    assert once_each(told, claims)
    assert api.requests.total() <= 1.1 * len(claims) + 24
