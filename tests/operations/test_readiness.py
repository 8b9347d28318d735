"""Being ready, and asking what may not answer."""

import socket
import sys
from collections.abc import Sequence
from typing import Any, cast

import anyio
import anyio.lowlevel
import httpx
import pytest

from closeout.worker.ledger.membership import Membership
from closeout.worker.monitoring.cached_check import Asked
from closeout.worker.monitoring.listen import Address, bind, bound_to, parse_address
from closeout.worker.monitoring.monitor import Monitor, telling
from closeout.worker.monitoring.readiness import Readiness
from closeout.worker.monitoring.samples import Sample
from closeout.worker.monitoring.server import serve_operations
from closeout.worker.queues.protocol import Depth, Queue
from closeout.worker.runtime.stop import Stop
from closeout.worker.support.errors import ConfigurationError, QueueError
from tests.report.support import Standing

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("9464", Address("127.0.0.1", 9464)),
        ("0", Address("127.0.0.1", 0)),
        ("0.0.0.0:80", Address("0.0.0.0", 80)),  # noqa: S104  # as it may be asked for
        ("[::1]:9464", Address("::1", 9464)),
        ("localhost:9464", Address("localhost", 9464)),
    ],
)
def test_an_address_is_on_loopback_unless_it_names_a_host(text: str, address: Address) -> None:
    assert parse_address(text) == address


@pytest.mark.parametrize("text", ["", ":9464", "host", "host:", "1:2:3", "::1:9464", "9464/tcp", "65536", "-1", "²"])
def test_an_address_that_may_mean_something_else_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match="--listen"):
        parse_address(text)


def test_a_host_that_is_not_ours_cannot_be_listened_on() -> None:
    with pytest.raises(ConfigurationError, match=r"--listen 192\.0\.2\.1:0: Cannot assign requested address$"):
        bind(parse_address("192.0.2.1:0"))


async def test_each_thing_that_is_not_as_it_should_be_is_told() -> None:
    """In the words of its error; one that is unexpected only by its kind, as its text might hold anything."""
    stop = Stop()

    async def good() -> None:
        await anyio.lowlevel.checkpoint()

    async def away() -> None:
        raise QueueError("the queue is away")

    async def odd() -> None:
        raise RuntimeError("secret")

    async with anyio.create_task_group() as tasks:
        assert await Readiness({"ledger": good}, tasks, stop).reasons() == {}
        ready = Readiness({"ledger": good, "queue": away, "odd": odd}, tasks, stop)
        assert await ready.reasons() == {"odd": "unexpected RuntimeError", "queue": "the queue is away"}
        stop.halt("too many failures")
        assert await Readiness({}, tasks, stop).reasons() == {"run": "halted: too many failures"}


async def test_what_is_slow_is_asked_once_whoever_wants_to_know() -> None:
    """An answer is good for a moment; after that it is asked again."""
    asked, now = 0, 0.0
    go = anyio.Event()

    async def ask() -> int:
        nonlocal asked
        asked += 1
        await go.wait()
        return asked

    found: list[int] = []

    async with anyio.create_task_group() as tasks:
        question = Asked(ask, lambda _: -1, tasks, lambda: now)

        async def want() -> None:
            found.append(await question.now())

        async with anyio.create_task_group() as many:
            for _ in range(3):
                many.start_soon(want)
            await anyio.wait_all_tasks_blocked()
            go.set()
        assert await question.now() == 1
        now = 1.5
        assert await question.now() == 2
    assert found == [1, 1, 1]


async def test_what_does_not_answer_is_waited_for_by_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not asked twice meanwhile: a ledger under load need not be loaded more."""
    monkeypatch.setattr("closeout.worker.monitoring.cached_check.PATIENCE", 0.01)
    go, asked = anyio.Event(), 0

    async def ask() -> str:
        nonlocal asked
        asked += 1
        await go.wait()
        return "here"

    async with anyio.create_task_group() as tasks:
        question = Asked(ask, lambda error: f"failed: {error}", tasks)
        assert [await question.now(), await question.now()] == ["failed: None"] * 2
        go.set()
        await anyio.wait_all_tasks_blocked()
        assert (await question.now(), asked) == ("here", 1)


async def test_between_two_runs_it_lives_and_says_why_it_is_not_ready() -> None:
    """A queue that is away must not look like a process that is dead; an error of the work comes out as it is."""
    listener = bind(parse_address("0"))
    url = f"http://{bound_to(listener)}"

    async def work() -> None:
        async with telling(listener) as told, httpx.AsyncClient(trust_env=False) as client:
            told.between = "the queue is away"
            alive, ready = await client.get(f"{url}/healthz"), await client.get(f"{url}/readyz")
            assert (alive.status_code, ready.status_code) == (200, 503)
            assert ready.json()["reasons"] == {"run": "the queue is away"}
            assert "closeout_build_info" in (await client.get(f"{url}/metrics")).text
            raise QueueError("as it is")

    with pytest.raises(QueueError, match="as it is"):
        await work()


async def test_a_queue_is_asked_for_its_depth() -> None:
    """What it does not tell is left out; where it cannot be reached, that is the reason."""

    class Away:
        name = "redis://away"
        told = Depth(5, None, 2)

        async def depth(self) -> Depth:
            if self.told.waiting is None:
                raise QueueError("redis://away is away")
            return self.told

    queue, told = Away(), Monitor()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(told.watch, {}, lambda: (), None, cast("Queue", queue))
        await anyio.wait_all_tasks_blocked()
        assert await told.reasons() == {}
        found = {(one.metric, *one.labels): one.value for one in await told.samples()}
        assert found["closeout_queue_messages", "waiting"] == 5
        assert found["closeout_queue_messages", "dead"] == 2
        assert ("closeout_queue_messages", "in_flight") not in found
        tasks.cancel_scope.cancel()
    queue.told = Depth(None, None, None)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(told.watch, {}, lambda: (), None, cast("Queue", queue))
        await anyio.wait_all_tasks_blocked()
        assert await told.reasons() == {"queue": "redis://away is away"}
        tasks.cancel_scope.cancel()
    assert await told.reasons() == {"run": "nothing is worked on now"}


async def test_a_run_is_ready_while_it_may_close() -> None:
    """Not without its lease, and not while its brake has paused closing; the metrics say the same."""

    class Ledger:
        async def expect_writable(self) -> None:
            await anyio.lowlevel.checkpoint()

    class Away(Membership):
        def may_send(self) -> bool:
            return False

    context, told = Standing().context, Monitor()
    context.ledger = cast("Any", Ledger())
    for crew, paused, blamed in (
        (Membership(), None, set()),
        (Away(), None, {"lease"}),
        (Membership(), "too many", {"brake"}),
    ):
        context.crew = crew
        if paused is not None:
            context.hold.engage(paused)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(told.watch_run, context)
            await anyio.wait_all_tasks_blocked()
            assert set(await told.reasons()) == blamed
            found = {(one.metric, *one.labels): one.value for one in await told.samples()}
            tasks.cancel_scope.cancel()
        assert found["closeout_lease_held",] == (blamed != {"lease"})
        assert found["closeout_brake_engaged",] == found["closeout_waiting", "brake"] == (blamed == {"brake"})


class _Broken:
    """Something whose state cannot be told."""

    async def reasons(self) -> dict[str, str]:
        raise RuntimeError("secret")

    async def samples(self) -> Sequence[Sample]:
        return []


async def test_without_the_extra_metrics_alone_are_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """And a mistake of ours is an answer without details; what it happened beside goes on."""
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    monkeypatch.delitem(sys.modules, "closeout.worker.monitoring.prometheus", raising=False)
    listener: socket.socket = bind(parse_address("0"))
    url = f"http://{bound_to(listener)}"
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(serve_operations, listener, _Broken())
        async with httpx.AsyncClient(trust_env=False) as client:
            metrics, ready, alive = [await client.get(url + path) for path in ("/metrics", "/readyz", "/healthz")]
            posted = await client.post(f"{url}/healthz")
        tasks.cancel_scope.cancel()
    assert (metrics.status_code, metrics.text) == (
        501, "/metrics needs the extra closeout[metrics]: pip install 'closeout[metrics]'\n",
    )  # fmt: skip
    assert (ready.status_code, "secret" in ready.text) == (500, False)
    assert (alive.status_code, posted.status_code) == (200, 405)
