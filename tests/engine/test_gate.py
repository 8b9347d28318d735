"""The gate: slots, and what answers say of the API as a whole."""

import random
from dataclasses import replace

import anyio
import anyio.lowlevel
import pytest

from closeout.worker.pace.budget import Lane
from closeout.worker.pace.limiter import Pace
from closeout.worker.runtime.gate import Gate, Patience
from closeout.worker.runtime.progress import Progress
from closeout.worker.runtime.stop import Stop
from tests.engine.support import NOW, an_answer
from tests.pace.support import MemoryBudget

pytestmark = pytest.mark.anyio
GIVE_UP_AFTER = 60_000


class Bench:
    """A gate whose clock is moved by hand; its pace hardly holds anything up."""

    def __init__(self, concurrency: int = 4) -> None:
        self.now = NOW
        self.stop = Stop()
        self.progress = Progress()
        clock = lambda: self.now / 1000  # noqa: E731
        self.pace = Pace(MemoryBudget(clock), lambda: 1e6, random.Random(1), clock)
        self.gate = Gate(self.pace, Patience(concurrency, GIVE_UP_AFTER), self.stop, self.progress, lambda: self.now)


async def test_no_more_than_the_concurrency_is_in_flight() -> None:
    """The fifth waits until one leaves."""
    bench = Bench(4)
    await bench.gate.told(an_answer(200))
    most = 0
    full = anyio.Event()

    async def one() -> None:
        nonlocal most
        await bench.gate.enter()
        most = max(most, bench.progress.in_flight)
        if bench.progress.in_flight == 4:
            full.set()
        await full.wait()
        bench.gate.leave()

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            for _ in range(30):
                tasks.start_soon(one)
    assert most == 4
    assert bench.progress.in_flight == 0


async def test_what_waits_for_the_share_of_settling_holds_no_more_than_one_slot() -> None:
    """Closing uses the others: with sixteen slots, looks that waited held all, and closes fell from 39/s to 0.8/s."""
    bench = Bench(4)
    await bench.gate.told(an_answer(200))
    closing, permit, waiting = anyio.Event(), bench.pace.permit, 0

    async def held(lane: Lane, free: int) -> None:
        nonlocal waiting
        if lane == "settle":
            waiting += 1
            await closing.wait()
        await permit(lane, free)

    bench.pace.permit = held  # type: ignore[method-assign]  # a share that has been used up

    async def look() -> None:
        await bench.gate.enter("settle")
        bench.gate.leave()

    with anyio.fail_after(60):
        async with anyio.create_task_group() as tasks:
            for _ in range(24):
                tasks.start_soon(look)
            await anyio.wait_all_tasks_blocked()
            assert waiting == 1
            for _ in range(3):
                await bench.gate.enter()
            closing.set()
            for _ in range(3):
                bench.gate.leave()
    assert waiting == 24


async def test_a_cancelled_wait_gives_its_slot_back() -> None:
    """Whether it waited for the slot or for the pace."""
    bench = Bench(1)
    await bench.pace.throttled(3_600, 0)
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
    await bench.gate.told(an_answer(status))
    bench.now += GIVE_UP_AFTER - 1
    await bench.gate.told(an_answer(status))
    assert not bench.stop.requested
    bench.now += 1
    await bench.gate.told(an_answer(status))
    assert bench.stop.state == "halted"
    assert ("connection_lost" if status is None else str(status)) in (bench.stop.why or "")


async def test_an_outage_names_what_went_wrong_last() -> None:
    """Also where the last that was heard was a probe: a refused connection and a 503 call for different things."""
    bench = Bench()
    for _ in range(3):
        await bench.gate.told(an_answer(None, error="connect_refused", sent=False))
    assert bench.pace.budget.down_since is not None
    assert not bench.gate.probed(an_answer(None, error="connect_timeout", sent=False))
    bench.now += GIVE_UP_AFTER + 1
    with anyio.move_on_after(5):
        await bench.gate.enter()
    assert "(last: connect_timeout)" in (bench.stop.why or "")


@pytest.mark.parametrize("status", [200, 400, 404, 409, 422])
async def test_one_usable_answer_starts_the_time_anew(status: int) -> None:
    """An API that answers at all is not given up."""
    bench = Bench()
    for _ in range(10):
        await bench.gate.told(an_answer(503))
        bench.now += GIVE_UP_AFTER - 1
        await bench.gate.told(an_answer(status))
    assert not bench.stop.requested


async def test_a_wait_longer_than_giving_up_halts_at_once() -> None:
    """Waiting for an hour would only end in giving up."""
    bench = Bench()
    await bench.gate.told(an_answer(429, retry_after=GIVE_UP_AFTER / 1000 + 1))
    assert bench.stop.state == "halted"
    assert "--give-up-after" in (bench.stop.why or "")


async def test_a_wait_within_giving_up_is_kept() -> None:
    """All requests wait, and the run goes on."""
    bench = Bench()
    await bench.gate.told(an_answer(429, retry_after=30))
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
    await bench.gate.told(an_answer(status, from_api=from_api))
    assert bench.gate.standing.proven is proven


@pytest.mark.parametrize("status", [200, 204, 301, 400, 401, 403, 404, 405, 409, 418, 422])
async def test_a_host_that_has_never_spoken_as_the_api_is_left_at_its_first_answer(status: int) -> None:
    """Nothing that is to come can be better; a gateway in trouble is given its time."""
    for kind in ("close", "read", "list"):
        bench = Bench()
        await bench.gate.told(an_answer(status, kind=kind, from_api=False))
        assert bench.stop.state == "halted"
        assert "--base-url" in (bench.stop.why or "")
    probed = Bench()
    assert not probed.gate.probed(an_answer(status, kind="probe", from_api=False))
    assert probed.stop.state == "halted"


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504, 520, 524, 599])
async def test_a_gateway_in_trouble_may_stand_before_the_api(status: int) -> None:
    """It passes, or --give-up-after does."""
    bench = Bench()
    await bench.gate.told(an_answer(status, from_api=False, retry_after=1))
    assert not bench.stop.requested
    bench.now += GIVE_UP_AFTER
    await bench.gate.told(an_answer(status, from_api=False, retry_after=1))
    assert "not as the API answers" in (bench.stop.why or "")


@pytest.mark.parametrize("status", [200, 302, 400, 401, 403, 404, 409, 422])
async def test_once_the_api_has_spoken_something_else_is_an_outage(status: int) -> None:
    """It holds everyone after a few, a probe that it answers is no sign of life, and it is given up in time."""
    bench = Bench()
    await bench.gate.told(an_answer(200))
    for _ in range(10):
        await bench.gate.told(an_answer(status, from_api=False))
    assert bench.pace.budget.down_since is not None
    assert not bench.gate.probed(an_answer(status, kind="probe", from_api=False))
    assert not bench.stop.requested
    bench.now += GIVE_UP_AFTER
    await bench.gate.told(an_answer(status, from_api=False))
    assert bench.stop.state == "halted"


async def test_a_probe_that_is_answered_does_not_make_closes_answered() -> None:
    """Where something stands before the closes alone, only an answer of the API to a session's request ends that."""
    bench = Bench()
    await bench.gate.told(an_answer(200))
    await bench.gate.told(an_answer(403, from_api=False))
    bench.now += GIVE_UP_AFTER - 1
    assert bench.gate.probed(an_answer(200, kind="probe"))
    bench.now += 1
    await bench.gate.told(an_answer(403, from_api=False))
    assert bench.stop.state == "halted"


async def test_closes_that_something_else_answers_from_the_first_on_halt() -> None:
    """A wall before the closes alone."""
    bench = Bench()
    await bench.gate.told(an_answer(200, kind="list"))
    await bench.gate.told(an_answer(403, kind="read", from_api=False))
    for _ in range(10):
        assert not bench.stop.requested
        await bench.gate.told(an_answer(403, from_api=False))
    assert bench.stop.state == "halted"


async def test_one_garbled_answer_of_the_api_is_not_another_host() -> None:
    """Before the run halts whoami is asked, once however many wait for it."""
    for speaks in (True, False):
        bench, asked = Bench(), list[int]()

        async def probe() -> bool:
            asked.append(1)  # noqa: B023  # called within the turn
            await anyio.lowlevel.checkpoint()
            return bench.gate.probed(an_answer(200, kind="probe", from_api=speaks))  # noqa: B023  # as above

        bench.pace.probe = probe
        async with anyio.create_task_group() as tasks:
            for _ in range(3):
                tasks.start_soon(bench.gate.told, an_answer(200, kind="list", from_api=False))
        assert (len(asked), bench.stop.requested, bench.gate.standing.spoken) == (1, not speaks, speaks)


async def test_few_requests_are_in_flight_until_the_api_has_spoken() -> None:
    """Whatever the concurrency: another host is noticed by its first answer."""
    bench = Bench(64)
    with anyio.move_on_after(0.2):
        while True:
            await bench.gate.enter()
    assert bench.progress.in_flight == 3
    await bench.gate.told(an_answer(404, kind="read"))
    with anyio.fail_after(5):
        for _ in range(61):
            await bench.gate.enter()
    assert bench.progress.in_flight == 64


async def test_only_a_close_proves_that_the_key_may_close() -> None:
    """A key may be allowed to read and list alone."""
    bench = Bench()
    for kind in ("read", "list"):
        await bench.gate.told(an_answer(200, kind=kind))
    assert not bench.gate.standing.proven


async def test_what_was_proven_stays_proven() -> None:
    """A later 403 speaks of one session."""
    bench = Bench()
    await bench.gate.told(an_answer(200))
    await bench.gate.told(an_answer(403))
    assert bench.gate.standing.proven


async def test_every_exchange_is_counted() -> None:
    """By kind and status, with the time it took; the throttled ones apart."""
    bench = Bench()
    for status in (200, 429, None):
        await bench.gate.told(an_answer(status))
    await bench.gate.told(an_answer(200, kind="read"))
    assert bench.progress.exchanges == {
        ("close", 200): 1, ("close", 429): 1, ("close", None): 1, ("read", 200): 1,
    }  # fmt: skip
    assert bench.progress.throttled == 1
    assert {kind: times.count for kind, times in bench.progress.request_seconds.items() if times.count} == {
        "close": 3, "read": 1,
    }  # fmt: skip


async def test_hosts_that_cannot_be_reached_are_left_alone() -> None:
    """Three connections in a row that were never made are enough; one that broke says little of the next one."""
    bench = Bench()
    for _ in range(9):
        await bench.gate.told(an_answer(None, sent=True))
    assert not bench.pace.is_down
    bench = Bench()
    for _ in range(3):
        assert not bench.pace.is_down
        await bench.gate.told(an_answer(None, sent=False))
    assert bench.pace.is_down


@pytest.mark.parametrize("status", [None, 500, 502, 503, 504])
async def test_ten_failures_in_a_row_hold_fire(status: int | None) -> None:
    """A sign of life in between starts the count anew: a few sessions that always fail are no outage."""
    bench = Bench()
    for _ in range(5):
        for _ in range(9):
            await bench.gate.told(an_answer(status))
        await bench.gate.told(an_answer(200))
    assert not bench.pace.is_down
    for _ in range(10):
        await bench.gate.told(an_answer(status))
    assert bench.pace.is_down


async def test_what_failed_in_an_outage_is_known_afterwards() -> None:
    """From the first failure of the streak to the sign of life that ended it."""
    bench = Bench()
    for _ in range(12):
        await bench.gate.told(an_answer(503))
    assert bench.gate.probed(an_answer(200, kind="probe"))
    assert bench.gate.standing.outage is None, "with the API answering, sessions failed by themselves"
    for _ in range(12):
        await bench.gate.told(an_answer(503))
    bench.now += 5_000
    assert not bench.gate.probed(an_answer(503, kind="probe"))
    assert bench.gate.standing.outage is None
    bench.now += 5_000
    assert bench.gate.probed(an_answer(404, kind="probe"))
    assert bench.gate.standing.outage == (NOW - 40, NOW + 10_000)
    assert bench.gate.standing.swallowed(NOW + 3)
    assert not bench.gate.standing.swallowed(NOW + 10_001)


async def test_an_outage_is_given_up_on_time() -> None:
    """While everyone waits for the next probe, not after it; and the reason names the limit."""
    bench = Bench()
    for _ in range(3):
        await bench.gate.told(an_answer(None, sent=False, error="connection_failed"))
    bench.now += GIVE_UP_AFTER - 1
    bench.pace.on_wait()
    assert not bench.stop.requested
    bench.now += 2
    bench.pace.on_wait()
    assert "no usable answer from the API" in (bench.stop.why or "")


UNTRUSTED = replace(
    an_answer(None, sent=False, error="unsent_tls_untrusted"), cause="the certificate is a stranger's", lasting=True
)


async def test_what_only_a_person_can_mend_halts_at_once() -> None:
    """No attempt to come can be better, and nothing has been closed yet."""
    bench = Bench()
    await bench.gate.told(UNTRUSTED)
    assert bench.stop.state == "halted"
    assert (bench.stop.why or "").startswith("the certificate is a stranger's; remaining")


@pytest.mark.parametrize("way", ["requests", "probes"])
async def test_what_only_a_person_can_mend_halts_within_seconds_once_the_api_has_spoken(way: str) -> None:
    """A server that is just being set up anew gets ten; any other trouble, or an answer, starts them anew."""
    bench = Bench()
    await bench.gate.told(an_answer(200))

    async def tell() -> None:
        if way == "requests":
            await bench.gate.told(UNTRUSTED)
        else:
            bench.gate.probed(UNTRUSTED)

    for other in (an_answer(None), an_answer(200)):
        await tell()
        bench.now += 9_999
        await tell()
        assert not bench.stop.requested
        await bench.gate.told(other)
        bench.now += 1
    await tell()
    bench.now += 10_000
    await tell()
    assert bench.stop.state == "halted"
