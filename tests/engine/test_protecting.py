"""What must be left alone is listed before anything is closed and every minute after; an old list closes nothing."""

import asyncio
from dataclasses import dataclass, field
from typing import Any, cast

import anyio
import anyio.lowlevel
import pytest

from closeout.worker.config.settings import Settings
from closeout.worker.domain.exchange import Answer
from closeout.worker.domain.item import Record
from closeout.worker.domain.session import Listing, SessionState
from closeout.worker.policy.protected import OLDEST, Protected
from closeout.worker.runtime.context import Context
from closeout.worker.runtime.stop import Alarms
from closeout.worker.stages.protect import Protecting
from tests.engine.support import an_answer
from tests.engine.virtual_time import run_virtually
from tests.report.support import Clock, Standing

MINUTE = 60.0


class LoopClock(Clock):
    """The virtual time of the loop that the test runs on."""

    def __call__(self) -> float:
        return asyncio.get_running_loop().time()


@dataclass
class ListingApi:
    """Lists what ``waiting`` holds at the time; ``troubles`` come first, ``circles`` makes each page lead to itself."""

    waiting: dict[str, str] = field(default_factory=dict)
    troubles: list[Answer] = field(default_factory=list)
    circles: bool = False
    asked: list[str | None] = field(default_factory=list)

    async def list_states(self, listing: Listing, cursor: str | None) -> Answer:
        """One session a page."""
        await anyio.lowlevel.checkpoint()
        self.asked.append(listing.status)
        if self.troubles:
            return self.troubles.pop(0)
        found = [SessionState(one, status) for one, status in self.waiting.items() if status == listing.status]
        at = 0 if self.circles else int(cursor or 0)
        more = str(at + 1) if self.circles or at + 1 < len(found) else None
        return an_answer(200, *found[at : at + 1], kind="list", cursor=more)


@dataclass
class MovingApi(ListingApi):
    """Before the request of that number its session ``a`` moves to another status."""

    at: int = 1
    after: str = "active"

    async def list_states(self, listing: Listing, cursor: str | None) -> Answer:
        if len(self.asked) + 1 == self.at:
            self.waiting = {"a": self.after}
        return await super().list_states(listing, cursor)


@dataclass
class SlowApi(ListingApi):
    """Its answers to the requests of these numbers take so many seconds."""

    slow: dict[int, float] = field(default_factory=dict)

    async def list_states(self, listing: Listing, cursor: str | None) -> Answer:
        await anyio.sleep(self.slow.get(len(self.asked) + 1, 0))
        return await super().list_states(listing, cursor)


class Records:
    """Takes records and forgets them."""

    async def put(self, record: Record) -> None:
        """Nothing."""


def standing(listed: ListingApi, **settings: Any) -> Context:
    """A run whose API is this one."""
    context = Standing(Settings.model_validate(settings), clock=LoopClock()).context
    context.api, context.recorder = cast("Any", listed), cast("Any", Records())
    context.protected = Protected(frozenset(context.settings.protect))
    return context


def protect(listed: ListingApi, seconds: float, changes: dict[float, dict[str, str]], **settings: Any) -> Context:
    """Run the stage for so long in virtual time; at the given seconds the world becomes another."""

    async def run() -> Context:
        context = standing(listed, **settings)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(Protecting(context).run)
            await anyio.lowlevel.checkpoint()
            assert not listed.asked, "there is nothing to close yet"
            context.protected.wanted.set()
            elapsed = 0.0
            for at, world in sorted(changes.items()):
                await anyio.sleep(at - elapsed)
                elapsed, listed.waiting = at, world
            await anyio.sleep(seconds - elapsed)
            context.closing_done.set()
        return context

    return run_virtually(run)


def test_all_pages_of_all_protected_statuses_are_listed() -> None:
    """And nothing else."""
    world = {"a": "waiting_for_human", "b": "awaiting_approval", "c": "waiting_for_human", "d": "active"}
    api = ListingApi(world)
    context = protect(api, 1, {})
    assert {one for one in world if context.protected.find(one)} == {"a", "b", "c"}
    assert api.asked == ["awaiting_approval", "waiting_for_human", "waiting_for_human", "awaiting_approval"]


@pytest.mark.parametrize("moves", [("awaiting_approval", "ringing"), ("ringing", "awaiting_approval")])
@pytest.mark.parametrize("at", range(1, 6))
def test_a_session_that_moves_between_protected_statuses_meanwhile_is_not_missed(
    moves: tuple[str, str], at: int
) -> None:
    """Into one that was listed already, or out of one that was not, before any of the requests."""
    before, after = moves
    api = MovingApi({"a": before}, at=at, after=after)
    context = protect(api, 1, {}, protect="awaiting_approval,waiting_for_human,ringing")
    assert context.protected.find("a") is not None, api.asked


def test_the_lists_leave_the_pace_to_closing() -> None:
    """They take a fifth of a low one, but are never so old that nothing may be closed."""
    for rate, asked in ((1.0, 3 * 60), (0.1, 3 * 24), (0.05, 3 * 15)):
        api = ListingApi()
        context = protect(api, 3_599, {}, rate=rate)
        assert len(api.asked) == asked, rate
        assert context.protected.current(3_599_000), rate


def test_a_pace_at_which_no_list_is_ever_new_enough_ends_the_run() -> None:
    """It would list for ever, and close nothing."""
    context = protect(ListingApi(), 1_200, {}, rate=0.009)
    assert "0.009/s" in (context.stop.why or "")
    assert "it takes a rate of 0.01/s at least" in (context.stop.why or "")


def test_the_list_is_renewed_every_minute() -> None:
    """What has come into such a status since is spared, what has left it is not."""
    api = ListingApi({"a": "waiting_for_human"})
    context = protect(api, MINUTE + 1, {30: {"b": "waiting_for_human"}})
    assert context.protected.find("a") is None
    assert context.protected.find("b") is not None
    assert api.asked == ["awaiting_approval", "waiting_for_human", "awaiting_approval"] * 2


def test_a_status_that_the_older_dialect_does_not_know_is_not_asked_for() -> None:
    """It would be refused, and no session can have it."""
    for dialect, asked in (("1.21", ["ringing"]), ("1.90", ["pending_dispatch", "ringing", "pending_dispatch"])):
        api = ListingApi()
        protect(api, 1, {}, protect="ringing,pending_dispatch", api=dialect)
        assert api.asked == asked


def test_no_protection_sends_nothing() -> None:
    """And never waits."""
    api = ListingApi()
    context = protect(api, 1, {}, protect="none")
    assert not api.asked
    assert context.protected.current(10**15)


@pytest.mark.parametrize("status", [None, 500, 503, 429, 408])
def test_what_may_be_otherwise_the_next_time_is_asked_for_again(status: int | None) -> None:
    """Until the list is whole."""
    api = ListingApi({"a": "waiting_for_human"}, troubles=[an_answer(status, kind="list", retry_after=0.1)])
    context = protect(api, 20, {})
    assert not context.stop.requested
    assert context.protected.find("a") is not None


@pytest.mark.parametrize("status", [401, 403, 404, 422])
def test_a_refusal_ends_the_run_in_one_line(status: int) -> None:
    """It names the cause, and no way around the guard."""
    context = protect(ListingApi(troubles=[an_answer(status, kind="list")]), 1, {})
    assert f"the API answered {status}" in (context.stop.why or "")
    assert "--protect" not in (context.stop.why or "")
    assert not context.protected.current(0)


def test_a_list_that_leads_in_a_circle_ends_the_run() -> None:
    """After a few tries; it must not go on for ever, nor be believed."""
    context = protect(ListingApi({"a": "waiting_for_human"}, circles=True), 60, {})
    assert "leads in a circle" in (context.stop.why or "")
    assert context.protected.find("a") is None


def test_an_old_list_closes_nothing() -> None:
    """Not before one has come, and not when the last one is older than five minutes."""
    protected = Protected(frozenset({"waiting_for_human"}))
    assert not protected.current(0)
    protected.listed({}, asked=1_000)
    assert protected.current(1_000 + OLDEST)
    assert not protected.current(1_001 + OLDEST)


@pytest.mark.parametrize(
    "nonsense", [an_answer(302, kind="list", from_api=False), an_answer(404, kind="list", from_api=False)]
)
def test_a_host_that_is_not_this_api_ends_the_run(nonsense: Answer) -> None:
    """At once, as a close would."""
    context = protect(ListingApi(troubles=[nonsense]), 1, {})
    assert "check --base-url" in (context.stop.why or "")


def test_something_else_in_the_apis_place_is_waited_for_and_ends_the_run_in_the_end() -> None:
    """Once the API has spoken, a page of something else may pass; after --give-up-after it does not."""
    good, unreadable = an_answer(429, kind="list", retry_after=0.1), an_answer(200, kind="list", from_api=False)
    passing = protect(ListingApi({"a": "waiting_for_human"}, [good, *[unreadable] * 9]), 60, {})
    assert not passing.stop.requested
    assert passing.protected.find("a") is not None
    staying = protect(ListingApi(troubles=[good, *[unreadable] * 1_999]), 700, {})
    assert "not as the API answers" in (staying.stop.why or "")


def test_a_page_that_never_comes_ends_the_run_in_the_end() -> None:
    """After --give-up-after."""
    context = protect(ListingApi(troubles=[an_answer(425, kind="list")] * 1_999), 700, {})
    assert "for 10 min" in (context.stop.why or "")


def test_work_without_an_end_lists_only_while_something_is_closed() -> None:
    """What nobody goes by is forgotten after a minute, and asked for anew when there is something to close."""
    api = ListingApi({"a": "waiting_for_human"})

    async def run() -> None:
        context = standing(api)
        context.alarms = Alarms(lambda _: None)
        protected, each = context.protected, 3  # requests for a list, there and back
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(Protecting(context).run)
            await protected.wait()
            for minute in range(1, 4):
                assert protected.find("a") is not None
                await anyio.sleep(MINUTE + 1)
                assert len(api.asked) == (minute + 1) * each
            await anyio.sleep(60 * MINUTE)
            assert len(api.asked) == 4 * each
            assert not protected.current(context.now())
            api.waiting = {"b": "awaiting_approval"}
            await protected.wait()
            assert protected.current(context.now())
            assert (protected.find("a"), len(api.asked)) == (None, 5 * each)
            assert protected.find("b") is not None
            context.closing_done.set()

    run_virtually(run)


def test_work_without_an_end_lists_anew_when_a_list_was_too_old_once_it_was_whole() -> None:
    """An outage or a pause in the middle of a list may last longer than the list is good for."""
    api = SlowApi(slow={2: 400.0, 7: 301.0})

    async def run() -> None:
        context = standing(api)
        context.alarms = Alarms(lambda _: None)
        protected = context.protected
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(Protecting(context).run)
            for _ in range(2):  # before any list, and once one has become old all at once, as on a host that slept
                with anyio.fail_after(15 * MINUTE):
                    while not protected.current(context.now()):
                        await protected.wait()
                protected.listed({}, asked=context.now() - OLDEST - 1)
            context.closing_done.set()

    run_virtually(run)
