"""The gate: slots, and what answers say of the API as a whole."""

import random

import anyio
import pytest

from tests.engine.support import NOW, an_answer
from worker.gate import Gate
from worker.pacing import Pace
from worker.progress import Progress
from worker.stopping import Stop

pytestmark = pytest.mark.anyio
GIVE_UP_AFTER = 60_000


class Bench:
    """A gate whose clock is moved by hand; its pace hardly holds anything up."""

    def __init__(self, concurrency: int = 4) -> None:
        self.now = NOW
        self.stop = Stop()
        self.progress = Progress()
        self.pace = Pace(1e6, random.Random(1), lambda: self.now / 1000)
        self.gate = Gate(self.pace, concurrency, GIVE_UP_AFTER, self.stop, self.progress, lambda: self.now)


async def test_no_more_than_the_concurrency_is_in_flight() -> None:
    """The fifth waits until one leaves."""
    bench = Bench(4)
    most = 0

    async def one() -> None:
        nonlocal most
        await bench.gate.enter()
        most = max(most, bench.progress.in_flight)
        await anyio.lowlevel.checkpoint()
        bench.gate.leave()

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            for _ in range(30):
                tasks.start_soon(one)
    assert most == 4
    assert bench.progress.in_flight == 0


async def test_a_cancelled_wait_gives_its_slot_back() -> None:
    """Whether it waited for the slot or for the pace."""
    bench = Bench(1)
    bench.pace.throttled(3_600)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(bench.gate.enter)
        tasks.start_soon(bench.gate.enter)
        await anyio.wait_all_tasks_blocked()
        tasks.cancel_scope.cancel()
    assert bench.progress.in_flight == 0
    bench.now += 3_601_000
    with anyio.fail_after(5):
        await bench.gate.enter()
    assert bench.progress.in_flight == 1


@pytest.mark.parametrize("status", [None, 429, 500, 502, 503, 504])
async def test_nothing_but_trouble_for_too_long_halts(status: int | None) -> None:
    """After ``give_up_after``, not before; the reason names the last trouble."""
    bench = Bench()
    bench.gate.told(an_answer(status))
    bench.now += GIVE_UP_AFTER - 1
    bench.gate.told(an_answer(status))
    assert not bench.stop.requested
    bench.now += 1
    bench.gate.told(an_answer(status))
    assert bench.stop.state == "halted"
    assert ("connection_lost" if status is None else str(status)) in (bench.stop.why or "")


@pytest.mark.parametrize("status", [200, 400, 404, 409, 422])
async def test_one_usable_answer_starts_the_time_anew(status: int) -> None:
    """An API that answers at all is not given up."""
    bench = Bench()
    for _ in range(10):
        bench.gate.told(an_answer(503))
        bench.now += GIVE_UP_AFTER - 1
        bench.gate.told(an_answer(status))
    assert not bench.stop.requested


async def test_a_wait_longer_than_giving_up_halts_at_once() -> None:
    """Waiting for an hour would only end in giving up."""
    bench = Bench()
    bench.gate.told(an_answer(429, retry_after=GIVE_UP_AFTER / 1000 + 1))
    assert bench.stop.state == "halted"
    assert "--give-up-after" in (bench.stop.why or "")


async def test_a_wait_within_giving_up_is_kept() -> None:
    """All requests wait, and the run goes on."""
    bench = Bench()
    bench.gate.told(an_answer(429, retry_after=30))
    assert (bench.stop.requested, bench.pace.held_for) == (False, 30)


@pytest.mark.parametrize(
    ("status", "from_api", "proven"),
    [
        (200, True, True), (404, True, True), (400, True, True), (409, True, True), (200, False, False),
        (404, False, False), (401, True, False), (403, True, False), (503, True, False), (None, False, False),
    ],
)  # fmt: skip
async def test_only_a_proper_answer_proves_key_and_host(status: int | None, from_api: bool, proven: bool) -> None:
    """A refusal of the key, a proxy's page or trouble proves nothing."""
    bench = Bench()
    bench.gate.told(an_answer(status, from_api=from_api))
    assert bench.gate.proven is proven


async def test_what_was_proven_stays_proven() -> None:
    """A later 403 speaks of one session."""
    bench = Bench()
    bench.gate.told(an_answer(200))
    bench.gate.told(an_answer(403))
    assert bench.gate.proven


async def test_every_exchange_is_counted() -> None:
    """By kind, and the throttled ones apart."""
    bench = Bench()
    for status in (200, 429, None):
        bench.gate.told(an_answer(status))
    bench.gate.told(an_answer(200, kind="read"))
    assert bench.progress.requests == {"close": 3, "read": 1}
    assert bench.progress.throttled == 1


async def test_a_connection_that_was_never_made_holds_everyone() -> None:
    """A host that is not there is not hammered; a connection that broke says nothing of the next one."""
    bench = Bench()
    bench.gate.told(an_answer(None, sent=True))
    assert bench.pace.held_for == 0
    bench.gate.told(an_answer(None, sent=False))
    assert bench.pace.held_for > 0


async def test_a_long_wait_for_a_host_is_not_told_as_the_apis_wish() -> None:
    """Only the time without an answer ends the run then, and the reason names it."""
    bench = Bench()
    bench.gate = Gate(bench.pace, 4, 5_000, bench.stop, bench.progress, lambda: bench.now)
    for _ in range(12):
        bench.gate.told(an_answer(None, sent=False, error="connection_failed"))
        if bench.stop.requested:
            break
        bench.now += int(bench.pace.held_for * 1000) + 1
    assert bench.stop.why is not None
    assert "gave no usable answer" in bench.stop.why
    assert "connection_failed" in bench.stop.why
