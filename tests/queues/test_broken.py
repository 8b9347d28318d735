"""What holds for every queue on a server when that server, or the way to it, is gone for a while."""

import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import pytest

from closeout.worker.queues.open import open_queue
from closeout.worker.queues.protocol import Queue
from closeout.worker.support.errors import ConfigurationError, QueueUnreachableError
from tests.queues.conftest import RIGS
from tests.queues.proxy import Proxy, proxy_to
from tests.queues.support import LONGEST, Rig, bodies, fetch_all

pytestmark = pytest.mark.anyio
SERVERS = sorted(name for name in RIGS if "embedded" not in name)


@asynccontextmanager
async def behind_a_proxy(rig: Rig) -> AsyncIterator[tuple[Proxy, Queue]]:
    """One more user of the queue, whose way to it can be cut."""
    (port,) = re.findall(r"127\.0\.0\.1:(\d+)", rig.url)
    async with proxy_to(int(port)) as proxy, open_queue(rig.url.replace(f":{port}", f":{proxy.port}")) as queue:
        yield proxy, queue


@pytest.mark.parametrize("rig", SERVERS, indirect=True)
async def test_a_server_that_goes_away_is_told_of_and_found_again(rig: Rig) -> None:
    """Whoever waits is told at once; the same queue works again afterwards, and what was held is not lost."""

    async def cut(proxy: Proxy) -> None:
        await anyio.sleep(0.2)
        await proxy.cut()

    async with behind_a_proxy(rig) as (proxy, queue):
        await queue.push(bodies(5))
        held = await fetch_all(queue, 2, limit=2)
        await queue.acknowledge([held[0], *await fetch_all(queue, 3)])
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(cut, proxy)
            with anyio.fail_after(LONGEST), pytest.raises(QueueUnreachableError, match=r"127\.0\.0\.1"):
                await queue.fetch(10, 10 * LONGEST)
        with pytest.raises(QueueUnreachableError):
            await queue.push([b"not now"])
        with pytest.raises(QueueUnreachableError):
            await queue.depth()
        await proxy.heal()
        await queue.acknowledge(held[:1])  # was done before: nothing is to be said of it
        await queue.push([b"now"])
    async with rig.opened() as other:
        found: list[bytes] = []
        with anyio.fail_after(LONGEST):
            while len(found) < 2:  # what is not acknowledged at once might come twice meanwhile
                messages = await other.fetch(10, 0.2)
                await other.acknowledge(messages)
                found += [message.body for message in messages]
        assert set(found) == {b"now", held[1].body}
        assert await other.fetch(10, 0.3) == []


@pytest.mark.parametrize(
    ("url", "package", "extra"),
    [
        ("amqp://127.0.0.1?queue=x", "aio_pika", "amqp"),
        ("sqs://eu-central-1/x", "aiobotocore", "sqs"),
        ("redis://127.0.0.1?stream=x&group=x", "redis", "redis"),
    ],
)
async def test_without_its_extra_a_kind_of_queue_is_one_clear_line(
    monkeypatch: pytest.MonkeyPatch, url: str, package: str, extra: str
) -> None:
    """It names what to install."""
    reloaded = (f"{package}.", "closeout.worker.queues.")
    for name in [name for name in sys.modules if name == package or name.startswith(reloaded)]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ConfigurationError, match=re.escape(f"pip install 'closeout[{extra}]'")):
        async with open_queue(url):
            pass
