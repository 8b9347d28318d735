"""Looking up many sessions: each exactly once, for few requests, whatever the listing does."""

import random
from collections import Counter
from dataclasses import dataclass, field
from typing import cast

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.engine.simulated_api import SimulatedApi
from tests.engine.support import NOW
from tests.engine.virtual_time import run_virtually
from tests.pace.support import MemoryBudget
from worker.api.client import PAGE_SIZE, Api
from worker.gate import Gate, Patience
from worker.lookup import Lookup, Sighting, windows
from worker.models import Claim, SessionState
from worker.pacing import Pace
from worker.progress import Progress
from worker.stopping import Stop

PAGINGS = ["proper", "same", "loop", "cut", "empty", "strangers", "twice"]


@dataclass
class Told:
    """What a sink was told, by claim."""

    seen: Counter[int] = field(default_factory=Counter)
    unseen: Counter[int] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)

    async def __call__(self, sighting: Sighting) -> None:
        await anyio.lowlevel.checkpoint()
        self.kinds[sighting.answer.exchange.kind] += 1
        self.seen.update(claim.seq for claim, _ in sighting.seen)
        assert all(claim.session_id == session.session_id for claim, session in sighting.seen)
        if sighting.unseen is not None:
            self.unseen[sighting.unseen.seq] += 1


def a_claim(number: int, started_at: int | None) -> Claim:
    """A claim of session number so-and-so."""
    return Claim(number, f"session-{number:05}", started_at=started_at)


def sessions_of(claims: list[Claim]) -> dict[str, SessionState]:
    """The sessions that these claims are for."""
    return {c.session_id: SessionState(c.session_id, "closed", started_at=c.started_at or 0) for c in claims}


def look_up(api: SimulatedApi, claims: list[Claim], times: int = 1) -> tuple[Told, Lookup]:
    """Look the claims up in virtual time, as often as asked."""

    async def run() -> tuple[Told, Lookup]:
        pace = Pace(MemoryBudget(anyio.current_time), lambda: 10_000, random.Random(1), anyio.current_time)
        gate = Gate(pace, Patience(8, 10**9), Stop(), Progress(), lambda: NOW)
        lookup, told = Lookup(cast("Api", api), gate), Told()
        for _ in range(times):
            await lookup.states(claims, told)
        return told, lookup

    return run_virtually(run)


def once_each(told: Told, claims: list[Claim], times: int = 1) -> bool:
    """Whether each claim was told of exactly once per look-up, as seen or as unseen."""
    return told.seen + told.unseen == Counter({claim.seq: times for claim in claims})


@settings(max_examples=80, deadline=None)
@given(
    starts=st.lists(st.none() | st.integers(0, 50), max_size=90),
    missing=st.sets(st.integers(0, 89)),
    omitted=st.sets(st.integers(0, 89)),
    paging=st.sampled_from(PAGINGS),
    page_size=st.integers(1, 40),
    list_status=st.sampled_from([200, 200, 200, 403, 429, 500, None]),
    trouble=st.sampled_from([0.0, 0.3]),
)
def test_every_claim_is_told_of_exactly_once(
    starts: list[int | None],
    missing: set[int],
    omitted: set[int],
    paging: str,
    page_size: int,
    list_status: int | None,
    trouble: float,
) -> None:
    """Whatever the pages repeat, leave out or lead to; and the requests are bounded."""
    claims = [a_claim(number, started_at) for number, started_at in enumerate(starts)]
    sessions = sessions_of([claim for claim in claims if claim.seq not in missing])
    api = SimulatedApi(
        sessions,
        paging=paging,
        page_size=page_size,
        list_status=list_status,
        read_trouble=trouble,
        omitted=frozenset(f"session-{number:05}" for number in omitted),
    )
    told, lookup = look_up(api, claims)
    assert once_each(told, claims)
    assert api.requests["read"] <= len(claims)
    assert api.requests["list"] <= len(claims) + 1
    assert lookup.requests == api.requests.total() == told.kinds.total()
    assert lookup.seen == told.seen.total()


@pytest.mark.parametrize("paging", PAGINGS)
def test_a_thousand_sessions_with_awkward_paging(paging: str) -> None:
    """All of them exist and can be read, so all of them are seen."""
    claims = [a_claim(number, NOW + number // 7) for number in range(1_000)]
    told, _ = look_up(SimulatedApi(sessions_of(claims), paging=paging), claims)
    assert once_each(told, claims)
    assert not told.unseen


def test_a_listing_of_ours_alone_costs_a_page_for_200() -> None:
    """Some pages and hardly a read: equal times at the edges may take a second page."""
    claims = [a_claim(number, NOW + 1_000 * number) for number in range(2_000)]
    api = SimulatedApi(sessions_of(claims))
    look_up(api, claims)
    assert api.requests["list"] == 2_000 / PAGE_SIZE
    assert not api.requests["read"]


def test_sessions_of_one_instant_are_found_by_paging_on() -> None:
    """More of them than a page holds, in any order."""
    claims = [a_claim(number, NOW) for number in range(700)]
    random.Random(3).shuffle(claims)
    told, _ = look_up(SimulatedApi(sessions_of(claims)), claims)
    assert once_each(told, claims)


def test_a_listing_that_tells_too_little_is_left() -> None:
    """Ten of ours among ten thousand others: reading ten is cheaper than paging through all."""
    claims = [a_claim(number, NOW + 1_000 * number) for number in range(10)]
    others = sessions_of([a_claim(number, NOW + number) for number in range(20, 9_000)])
    api = SimulatedApi(others | sessions_of(claims))
    told, _ = look_up(api, claims)
    assert once_each(told, claims)
    assert api.requests["list"] <= 2
    assert api.requests["read"] <= 10


def test_a_key_that_may_not_list_is_not_asked_to_again() -> None:
    """One 403 is enough for the life of the look-up; everything is read instead."""
    claims = [a_claim(number, NOW + number) for number in range(450)]
    api = SimulatedApi(sessions_of(claims), list_status=403)
    told, lookup = look_up(api, claims, times=2)
    assert once_each(told, claims, times=2)
    assert not told.unseen
    assert (api.requests["list"], lookup.list_allowed) == (1, False)


def test_one_session_is_read_and_not_listed() -> None:
    """A page costs what a read costs, and may not even hold it."""
    api = SimulatedApi(sessions_of([a_claim(1, NOW)]))
    look_up(api, [a_claim(1, NOW)])
    assert api.requests == {"read": 1}


def test_an_answer_about_another_session_is_no_sighting() -> None:
    """A read that brings back somebody else leaves the claim unseen."""
    claims = [a_claim(1, None)]
    api = SimulatedApi({"session-00001": SessionState("session-00002", "closed")})
    told, _ = look_up(api, claims)
    assert told.unseen == {1: 1}


@given(st.lists(st.integers(0, 300), max_size=900))
def test_windows_hold_all_claims_in_order_a_page_each(starts: list[int]) -> None:
    """Each claim in exactly one window, windows one after the other."""
    claims = [a_claim(number, start) for number, start in enumerate(starts)]
    found = list(windows(claims))
    assert sorted(claim.seq for window in found for claim in window) == list(range(len(claims)))
    assert all(0 < len(window) <= PAGE_SIZE for window in found)
    times = [claim.started_at or 0 for window in found for claim in window]
    assert times == sorted(times)


def test_the_window_covers_the_last_fraction_of_a_millisecond() -> None:
    """The API's times may be finer than ours, and both bounds are inclusive."""
    claims = [a_claim(number, NOW + number) for number in range(5)]
    api = SimulatedApi(sessions_of(claims))
    look_up(api, claims)
    assert api.windows == {(NOW, NOW + 5)}
