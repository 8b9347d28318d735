"""Workers of one run in any order of steps: whoever leads, however late, cap and canary hold."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, cast

import anyio
import pytest
from anyio.from_thread import BlockingPortal, start_blocking_portal
from hypothesis import example, given, settings
from hypothesis import strategies as st

from closeout.worker.config.settings import Settings
from closeout.worker.domain.run import Run
from closeout.worker.engine.leadership import take_over
from closeout.worker.ledger.lease import Terms
from closeout.worker.ledger.membership import LeaseLostError
from closeout.worker.ledger.postgres.ledger import PostgresLedger
from closeout.worker.ledger.postgres.membership import PostgresMembership
from closeout.worker.ledger.records import NewRun
from closeout.worker.policy.quota import Quota
from tests.ledger.support import NOW, rows
from tests.postgres.databases import done_with, url_of
from tests.postgres.test_crew import taken_for_dead
from tests.postgres.test_opening import asked

WORKERS, CANARY, CAP, SESSIONS, BATCH = 3, 4, 7, 12, 3
TERMS = Terms(lease=600, timeout=1, patience=600)
TAKEN = """
SELECT canary_passed, (SELECT count(*) FROM items WHERE run = runs.id AND first_attempt_at IS NOT NULL)
FROM runs WHERE id = {}
"""
Step = tuple[str, int]
STEPS = st.tuples(
    st.sampled_from(["lead", "lead", "close", "close", "beat", "expire", "pass"]), st.integers(0, WORKERS - 1)
)


def taken_over(at: int) -> list[Step]:
    """It leads, and takes up what it may."""
    return [*[("lead", at)] * 9, *[("close", at)] * 9]


def succeeded(old: int, new: int) -> list[Step]:
    """What leads is taken for dead, and another is the first to know."""
    return [("expire", old), ("beat", new)]


class Halts:
    """A worker stands before and after each call to the ledger until it is told to go on: a slow link, or a pause."""

    def __init__(self) -> None:
        self._standing, self._going = anyio.Event(), anyio.Event()

    async def stand(self) -> None:
        self._standing.set()
        await self._going.wait()
        self._going = anyio.Event()

    async def go_on(self) -> None:
        await self._standing.wait()
        self._standing = anyio.Event()
        self._going.set()
        with anyio.fail_after(10):
            await self._standing.wait()


class SlowLedger:
    """The ledger of one worker, over such a link."""

    def __init__(self, ledger: PostgresLedger, halts: Halts) -> None:
        self._ledger, self._halts = ledger, halts

    def __getattr__(self, name: str) -> Callable[..., Awaitable[Any]]:
        async def called(*args: object, **more: object) -> Any:
            await self._halts.stand()
            found = await getattr(self._ledger, name)(*args, **more)
            await self._halts.stand()
            return found

        return called


@dataclass
class Worker:
    """One process at work on a run, as far as lead and quota are concerned. It leads and closes side by side."""

    crew: PostgresMembership
    context: Any
    duties: Halts
    closing: Halts

    async def lead(self) -> None:
        """Take over what it leads, and begin anew once its lease is lost."""
        while True:
            await self.duties.stand()
            try:
                if self.crew.lost:
                    self.context.begun = False
                    await self.crew.rejoin()
                elif self.crew.leading and not self.context.begun:
                    await take_over(self.context)
            except LeaseLostError:
                self.context.begun = False

    async def close(self) -> None:
        """Claim for as long as the quota has room, as the closing stage does."""
        ledger = SlowLedger(self.context.real, self.closing)
        while True:
            await self.closing.stand()
            term, quota = self.crew.term, self.context.quota
            claims = await ledger.claim(self.context.run, BATCH, NOW, quota.room)
            if term == self.crew.term and not self.crew.lost:
                quota.taken([claim for claim in claims if claim.fresh])

    async def pass_canary(self) -> None:
        """As the watcher of the canary does, once all that it lets through has been taken up."""
        if self.crew.has_taken_over and self.context.quota.canary == 0:
            await self.context.real.pass_canary(self.context.run)
            self.context.quota.canary = None


@dataclass
class World:
    """Three ledgers of one database, each with its own connections, as three processes have them."""

    url: str
    ledgers: list[PostgresLedger]

    async def undergo(self, steps: list[Step]) -> None:
        given = Settings(limit=CAP, canary=CANARY)
        run = await self.ledgers[0].create_run(NewRun("x.csv", given.model_dump_json()), NOW)
        async with AsyncExitStack() as stack, anyio.create_task_group() as tasks:
            workers = [await stack.enter_async_context(self._worker(ledger, run, given)) for ledger in self.ledgers]
            await self.ledgers[0].admit(run, rows(range(SESSIONS)), "d", NOW)
            for worker in workers:
                tasks.start_soon(worker.lead)
                tasks.start_soon(worker.close)
            for what, at in steps:
                await self._step(what, workers[at])
                self._check(run)
            tasks.cancel_scope.cancel()

    @asynccontextmanager
    async def _worker(self, ledger: PostgresLedger, run: Run, given: Settings) -> AsyncIterator[Worker]:
        async with ledger.joined(run, TERMS) as crew:
            duties = Halts()
            context = SimpleNamespace(
                ledger=SlowLedger(ledger, duties), real=ledger, run=run, settings=given, quota=Quota(), begun=False,
                crew=crew, progress=SimpleNamespace(seconds=0.0), last_call=SimpleNamespace(requested=False),
            )  # fmt: skip
            yield Worker(cast("PostgresMembership", crew), context, duties, Halts())

    async def _step(self, what: str, worker: Worker) -> None:
        if what == "lead":
            await worker.duties.go_on()
        elif what == "close":
            await worker.closing.go_on()
        elif what == "beat":
            await worker.crew._beat()
        elif what == "expire":
            await taken_for_dead(self.url, worker.crew)
        else:
            try:
                await worker.pass_canary()
            except LeaseLostError:
                worker.context.begun = False

    def _check(self, run: Run) -> None:
        ((passed, taken),) = asked(self.url, TAKEN.format(run.id))
        assert int(str(taken)) <= (CAP if passed else CANARY), (taken, passed)


@pytest.fixture(scope="module")
def portal() -> Iterator[BlockingPortal]:
    with start_blocking_portal() as opened:
        yield opened


@pytest.fixture(scope="module")
def world(portal: BlockingPortal, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    home = tmp_path_factory.mktemp("leads")
    url = url_of(home)
    with (
        portal.wrap_async_context_manager(PostgresLedger.open(url, create=True)) as first,
        portal.wrap_async_context_manager(PostgresLedger.open(url, create=True)) as second,
        portal.wrap_async_context_manager(PostgresLedger.open(url, create=True)) as third,
    ):
        yield World(url, [first, second, third])
    done_with(home)


@settings(max_examples=25, deadline=None)
@given(st.lists(STEPS, min_size=10, max_size=50))
@example([*taken_over(0), *succeeded(0, 1), *[("close", 1)] * 3, *taken_over(1)])
@example([*taken_over(0), ("pass", 0), *taken_over(0), *succeeded(0, 1), ("close", 0), *taken_over(1), ("beat", 0)])
@example([*[("lead", 0)] * 5, *succeeded(0, 1), *taken_over(1), *taken_over(0)])
@example(
    [*taken_over(0), ("pass", 0), *succeeded(0, 1), *taken_over(1), ("expire", 1), ("beat", 0), *[("lead", 0)] * 2]
    + [("close", 0)] * 4
)
def test_in_any_order_no_more_is_taken_up_than_cap_and_canary_allow(
    portal: BlockingPortal, world: World, steps: list[Step]
) -> None:
    """With leads that die, that are taken for dead and come back, and whose answers come late."""
    portal.call(world.undergo, steps)
