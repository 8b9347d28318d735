"""Looking up many sessions: each exactly once, for few requests, whatever the listing does."""

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import cast

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from closeout.worker.api.client import Api
from closeout.worker.domain.exchange import Answer, Exchange
from closeout.worker.domain.item import Claim
from closeout.worker.domain.session import PAGE_SIZE, Listing, SessionState
from closeout.worker.lookup.session_lookup import Lookup, LookupResult
from closeout.worker.pace.limiter import Pace
from closeout.worker.runtime.gate import Gate, Patience
from closeout.worker.runtime.progress import Progress
from closeout.worker.runtime.stop import Stop
from tests.engine.simulated_api import SimulatedApi
from tests.engine.support import NOW
from tests.engine.virtual_time import run_virtually
from tests.pace.support import MemoryBudget

PAGINGS = ["proper", "same", "loop", "cut", "empty", "strangers", "twice", "broken", "unbounded"]
FEW = 12  # requests by which a small look-up may be unlucky
ORDERS = ["newest", "oldest", "shuffled"]


@dataclass
class Told:
    """What a sink was told, by claim."""

    seen: Counter[int] = field(default_factory=Counter)
    unseen: Counter[int] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)
    statuses: Counter[str] = field(default_factory=Counter)

    async def __call__(self, sighting: LookupResult) -> None:
        await anyio.lowlevel.checkpoint()
        self.kinds[sighting.answer.exchange.kind] += 1
        self.seen.update(claim.seq for claim, _ in sighting.seen)
        self.statuses.update(session.status for _, session in sighting.seen)
        assert all(claim.session_id == session.session_id for claim, session in sighting.seen)
        if sighting.unseen is not None:
            self.unseen[sighting.unseen.seq] += 1


@dataclass
class LaggingApi(SimulatedApi):
    """Its pages show sessions with the status that they had before."""

    shown: str = "active"

    def _page(self, listed: Sequence[SessionState], at: int) -> Answer:
        page = super()._page(listed, at)
        return replace(page, sessions=tuple(replace(each, status=self.shown) for each in page.sessions))


def a_claim(number: int, started_at: int | None) -> Claim:
    """A claim of session number so-and-so."""
    return Claim(number, f"session-{number:05}", started_at=started_at)


def sessions_of(claims: list[Claim]) -> dict[str, SessionState]:
    """The sessions that these claims are for."""
    return {c.session_id: SessionState(c.session_id, "closed", started_at=c.started_at or 0) for c in claims}


def look_up(
    api: SimulatedApi, claims: list[Claim], times: int = 1, statuses: tuple[str, ...] | None = None
) -> tuple[Told, Lookup]:
    """Look the claims up in virtual time, as often as asked; with ``statuses`` for those alone that are in them."""

    async def run() -> tuple[Told, Lookup]:
        pace = Pace(MemoryBudget(anyio.current_time), lambda: 10_000, random.Random(1), anyio.current_time)
        gate = Gate(pace, Patience(8, 10**9), Stop(), Progress(), lambda: NOW)
        pace.probe = partial(_lives, gate)
        lookup, told = Lookup(cast("Api", api), gate, rows=statuses is not None, statuses=statuses or ()), Told()
        for _ in range(times):
            await lookup.states(claims, told)
        return told, lookup

    return run_virtually(run)


async def _lives(gate: Gate) -> bool:
    """What the API tells a probe where only its lists fail."""
    return gate.probed(Answer(Exchange(NOW, "probe", 200, None, 1), from_api=True))


def once_each(told: Told, claims: list[Claim], times: int = 1) -> bool:
    """Whether each claim was told of exactly once per look-up, as seen or as unseen."""
    return told.seen + told.unseen == Counter({claim.seq: times for claim in claims})


@settings(max_examples=150, deadline=None)
@given(
    starts=st.lists(st.none() | st.integers(0, 50), max_size=150),
    missing=st.sets(st.integers(0, 149)),
    omitted=st.sets(st.integers(0, 149)),
    paging=st.sampled_from(PAGINGS),
    order=st.sampled_from(ORDERS),
    page_size=st.integers(1, 40),
    list_status=st.sampled_from([200, 200, 200, 403, 429, 500, None]),
    trouble=st.sampled_from([0.0, 0.3]),
)
def test_every_claim_is_told_of_exactly_once(
    starts: list[int | None],
    missing: set[int],
    omitted: set[int],
    paging: str,
    order: str,
    page_size: int,
    list_status: int | None,
    trouble: float,
) -> None:
    """Whatever the pages repeat, leave out or lead to; and hardly more requests than sessions."""
    claims = [a_claim(number, started_at) for number, started_at in enumerate(starts)]
    api = SimulatedApi(
        sessions_of([claim for claim in claims if claim.seq not in missing]),
        paging=paging,
        order=order,
        page_size=page_size,
        list_status=list_status,
        read_trouble=trouble,
        omitted=frozenset(f"session-{number:05}" for number in omitted),
    )
    told, lookup = look_up(api, claims)
    assert once_each(told, claims)
    assert api.requests["read"] <= len(claims)
    refused = 8 if list_status == 429 else 0  # a page that the pace alone refused is asked for again, a few times
    assert api.requests.total() <= 1.1 * len(claims) + 8 + refused
    assert lookup.requests == api.requests.total() == told.kinds.total()


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("paging", PAGINGS)
def test_a_thousand_sessions_with_awkward_paging(paging: str, order: str) -> None:
    """All of them exist and can be read, so all of them are seen."""
    claims = [a_claim(number, NOW + number // 7) for number in range(1_000)]
    told, _ = look_up(SimulatedApi(sessions_of(claims), paging=paging, order=order), claims)
    assert once_each(told, claims)
    assert not told.unseen


@pytest.mark.parametrize("order", ["newest", "oldest"])
def test_a_listing_of_ours_alone_costs_a_page_for_200(order: str) -> None:
    """Some pages and no read; for a listing in the other order than expected, one page more."""
    claims = [a_claim(number, NOW + 1_000 * number) for number in range(2_000)]
    api = SimulatedApi(sessions_of(claims), order=order)
    look_up(api, claims)
    assert api.requests["list"] <= 2_000 / PAGE_SIZE + (order == "oldest")
    assert api.requests["read"] <= 1


def test_sessions_of_one_instant_are_found_by_paging_on() -> None:
    """More of them than a page holds, in any order."""
    claims = [a_claim(number, NOW) for number in range(700)]
    random.Random(3).shuffle(claims)
    api = SimulatedApi(sessions_of(claims))
    told, _ = look_up(api, claims)
    assert once_each(told, claims)
    assert api.requests == {"list": 4}


def test_gaps_between_sessions_are_jumped() -> None:
    """Ten bursts of a hundred, with ten thousand others between each two of them: a page a burst."""
    claims = [
        a_claim(100 * burst + number, NOW + 10_000_000 * burst + number) for burst in range(10) for number in range(100)
    ]
    others = [
        a_claim(2_000 + 10_000 * burst + n, NOW + 10_000_000 * burst + 200 + 900 * n)
        for burst in range(10)
        for n in range(10_000)
    ]
    api = SimulatedApi(sessions_of(claims + others))
    told, _ = look_up(api, claims)
    assert once_each(told, claims)
    assert api.requests == {"list": 10}


def test_scattered_sessions_are_mostly_read() -> None:
    """A page would tell of one each, at the same price, but would weigh two hundred times as much."""
    claims = [a_claim(number, NOW + 500_000 * number) for number in range(100)]
    others = [a_claim(1_000 + number, NOW + 1_000 * number) for number in range(50_000)]
    api = SimulatedApi(sessions_of(claims + others))
    told, _ = look_up(api, claims)
    assert once_each(told, claims)
    assert api.requests.total() == 100
    assert api.requests["list"] < 20


def a_world(stretches: list[tuple[int, int, int]], seed: int) -> tuple[list[int], list[int]]:
    """Start times of ours and of others, in stretches of so long with so many of each."""
    rng, at = random.Random(seed), 0
    ours: list[int] = []
    others: list[int] = []
    for length, our_count, other_count in stretches:
        ours += [at + rng.randrange(length) for _ in range(our_count)]
        others += [at + rng.randrange(length) for _ in range(other_count)]
        at += length
    return ours, others


_STRETCHES = st.lists(
    st.tuples(st.sampled_from([1_000, 100_000]), st.integers(0, 60), st.integers(0, 300)), min_size=1, max_size=6
)


@settings(max_examples=150, deadline=None)
@given(
    stretches=_STRETCHES,
    seed=st.integers(0, 99),
    order=st.sampled_from(["newest", "oldest"]),
    page_size=st.sampled_from([5, 20, 200]),
)
def test_it_costs_hardly_more_than_the_cheaper_pure_way(
    stretches: list[tuple[int, int, int]], seed: int, order: str, page_size: int
) -> None:
    """Neither than reading each, nor than listing all from the first to the last of ours."""
    ours, others = a_world(stretches, seed)
    claims = [a_claim(number, start) for number, start in enumerate(ours)]
    strangers = [a_claim(len(ours) + number, start) for number, start in enumerate(others)]
    api = SimulatedApi(sessions_of(claims + strangers), order=order, page_size=page_size)
    told, _ = look_up(api, claims)
    assert once_each(told, claims)
    listed = api.pages_of_all(min(ours, default=0), max(ours, default=0))
    assert api.requests.total() <= 1.1 * min(len(ours), listed) + FEW


def test_many_of_unknown_start_are_found_by_paging_through_everything() -> None:
    """While that tells of enough of them; else they are read, at hardly more than a request each."""
    claims = [a_claim(number, None) for number in range(1_000)]
    sessions = {each.session_id: SessionState(each.session_id, "closed", started_at=NOW + each.seq) for each in claims}
    api = SimulatedApi(sessions)
    told, _ = look_up(api, claims)
    assert once_each(told, claims)
    assert api.requests == {"list": 5}


def test_paging_through_everything_is_given_up_when_it_tells_too_little() -> None:
    """A thousand of ours behind a hundred thousand newer ones."""
    claims = [a_claim(number, None) for number in range(1_000)]
    sessions = {each.session_id: SessionState(each.session_id, "closed", started_at=NOW) for each in claims}
    newer = sessions_of([a_claim(2_000 + number, NOW + 1 + number) for number in range(100_000)])
    api = SimulatedApi(sessions | newer)
    told, _ = look_up(api, claims)
    assert once_each(told, claims)
    assert api.requests["list"] <= 0.06 * 1_000
    assert api.requests["read"] == 1_000


def test_a_listing_that_leaves_everything_out_is_soon_given_up() -> None:
    """Deleted sessions, those of another organisation, or a listing that lags."""
    claims = [a_claim(number, NOW + number) for number in range(1_000)]
    others = [a_claim(2_000 + number, NOW + number) for number in range(1_000)]
    omitted = frozenset(claim.session_id for claim in claims)
    api = SimulatedApi(sessions_of(claims + others), omitted=omitted)
    told, _ = look_up(api, claims)
    assert once_each(told, claims)
    assert not told.unseen
    assert api.requests.total() <= 1.06 * 1_000


def test_a_page_refused_for_the_pace_is_asked_for_again() -> None:
    """A 429 says nothing of what is listed."""
    claims = [a_claim(number, NOW + number) for number in range(100)]
    api = SimulatedApi(sessions_of(claims), throttle_first=2)
    told, _ = look_up(api, claims)
    assert once_each(told, claims)
    assert api.requests == {"list": 3}


@pytest.mark.parametrize("started", [True, False])
@pytest.mark.parametrize("status", ["active", "some_new_status"])
def test_a_page_is_not_believed_that_a_session_is_open(status: str, *, started: bool) -> None:
    """A listing may be behind. What is closed again on its word would be closed twice; so the session is read."""
    claims = [a_claim(number, NOW + number if started else None) for number in range(150)]
    api = LaggingApi(sessions_of(claims), shown=status)
    told, _ = look_up(api, claims)
    assert once_each(told, claims)
    assert told.statuses == Counter({"closed": 150})
    assert api.requests["read"] == 150


def test_a_key_that_may_not_list_is_not_asked_to_again() -> None:
    """One 403 is enough for the life of the look-up; everything is read instead."""
    claims = [a_claim(number, NOW + number) for number in range(450)]
    api = SimulatedApi(sessions_of(claims), list_status=403)
    told, lookup = look_up(api, claims, times=2)
    assert once_each(told, claims, times=2)
    assert not told.unseen
    assert (api.requests["list"], lookup.paging.allowed) == (1, False)


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


def test_many_are_looked_up_in_a_few_stretches_at_once() -> None:
    """Pages arrive one after the other in each; where two stretches meet, a page may be asked for twice."""
    claims = [a_claim(number, NOW + number) for number in range(20_000)]
    api = SimulatedApi(sessions_of(claims))
    told, _ = look_up(api, claims)
    assert once_each(told, claims)
    assert 100 <= api.requests.total() <= 105


class FailingApi(SimulatedApi):
    """Its listing fails now and then."""

    async def list_states(self, listing: Listing, cursor: str | None) -> Answer:
        answer = await super().list_states(listing, cursor)
        return self._answer("list", 503) if self.requests["list"] % 3 == 0 else answer


class MixedApi(SimulatedApi):
    """One page comes in no order."""

    async def list_states(self, listing: Listing, cursor: str | None) -> Answer:
        answer = await super().list_states(listing, cursor)
        if self.requests["list"] != 4:
            return answer
        return replace(answer, sessions=tuple(random.Random(1).sample(answer.sessions, len(answer.sessions))))


@pytest.mark.parametrize("kind", [FailingApi, MixedApi])
def test_a_page_that_goes_wrong_does_not_end_the_listing(kind: type[SimulatedApi]) -> None:
    """4,000 sessions are on 20 pages; a third of these fail at first, or one is in no order."""
    claims = [a_claim(number, NOW + number * 1_000) for number in range(4_000)]
    api = kind(sessions_of(claims))
    told, _ = look_up(api, claims)
    assert told.seen == Counter(claim.seq for claim in claims)
    assert api.requests["list"] <= 36
    assert api.requests["read"] <= 205


def test_a_page_that_fails_does_not_end_a_scan() -> None:
    """Where no start is known, too."""
    claims = [replace(a_claim(number, NOW + number * 1_000), started_at=None) for number in range(2_000)]
    api = FailingApi({one: replace(each, started_at=NOW) for one, each in sessions_of(claims).items()})
    told, _ = look_up(api, claims)
    assert told.seen == Counter(claim.seq for claim in claims)
    assert api.requests["list"] <= 18
    assert api.requests["read"] <= 110
