"""What holds for every queue on a server when that server, or the way to it, is gone for a while."""

import re
from collections.abc import AsyncIterator

import anyio
import pytest

from tests.queues.conftest import RIGS
from tests.queues.proxy import Proxy, proxy_to
from tests.queues.support import LONGEST, Rig, bodies, fetch_all
from worker.errors import QueueUnreachableError
from worker.queues.opening import open_queue
from worker.queues.protocol import Message, Queue

pytestmark = pytest.mark.anyio
SERVERS = sorted(set(RIGS) - {"embedded"})


@pytest.fixture
async def way(rig: Rig) -> AsyncIterator[tuple[Proxy, Queue]]:
    """A queue behind a proxy."""
    (port,) = re.findall(r"127\.0\.0\.1:(\d+)", rig.url)
    async with proxy_to(int(port)) as proxy, open_queue(rig.url.replace(f":{port}", f":{proxy.port}")) as queue:
        yield proxy, queue


async def found_again(queue: Queue, count: int) -> list[Message]:
    """What the queue gives once it can be reached again."""
    found: list[Message] = []
    with anyio.fail_after(LONGEST):
        while len(found) < count:
            try:
                found += await queue.fetch(100, 0.2)
            except QueueUnreachableError:
                await anyio.sleep(0.05)
    return found


@pytest.mark.parametrize("rig", SERVERS, indirect=True)
async def test_a_server_that_goes_away_is_told_of_and_found_again(way: tuple[Proxy, Queue], rig: Rig) -> None:
    """Whoever waits is told at once; what was held comes again, and an acknowledgement of before is passed over."""
    proxy, queue = way
    await queue.push(bodies(5))
    held = await fetch_all(queue, 2, limit=2)
    await queue.acknowledge(held[:1])
    await queue.acknowledge(await fetch_all(queue, 3))

    async def cut() -> None:
        await anyio.sleep(0.2)
        await proxy.cut()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(cut)
        with anyio.fail_after(LONGEST), pytest.raises(QueueUnreachableError, match=r"127\.0\.0\.1"):
            await queue.fetch(10, 10 * LONGEST)
    with pytest.raises(QueueUnreachableError):
        await queue.push([b"not now"])
    with pytest.raises(QueueUnreachableError):
        await queue.depth()
    await proxy.heal()
    again = await found_again(queue, 1)
    assert [message.body for message in again] == [held[1].body]
    await queue.acknowledge(held)
    await queue.acknowledge(again)
    await queue.push([b"now"])
    assert [message.body for message in await fetch_all(queue, 1)] == [b"now"]
    async with rig.opened() as other:
        assert await other.fetch(10, 0.3) == []
