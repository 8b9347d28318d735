"""What is RabbitMQ's own: how the queue is made, what it confirms, and what it says when it refuses."""

from collections.abc import AsyncIterator

import aio_pika
import anyio
import pytest
from pamqp.common import FieldTable

from closeout.worker.queues.open import open_queue
from closeout.worker.support.errors import ConfigurationError, QueueError, QueueUnreachableError
from tests.queues.proxy import proxy_to
from tests.queues.rabbitmq import SERVER, channel, dead_letters, fresh_name
from tests.queues.support import LONGEST, bodies, fetch_all

pytestmark = pytest.mark.anyio
QUORUM: FieldTable = {
    "x-queue-type": "quorum", "x-dead-letter-exchange": "", "x-dead-letter-strategy": "at-least-once",
    "x-overflow": "reject-publish",
}  # fmt: skip


@pytest.fixture
async def name() -> AsyncIterator[str]:
    """A queue that is not there yet, and is deleted afterwards."""
    made = fresh_name()
    async with channel():
        pass
    yield made
    async with channel() as mine:
        for one in (made, f"{made}.dead"):
            await mine.queue_delete(one)


def url(name: str) -> str:
    return f"{SERVER}?queue={name}"


async def test_a_missing_queue_is_made_to_lose_nothing(name: str) -> None:
    """Replicated, durable, with a dead-letter queue; whoever declares it otherwise is refused by the server."""
    async with open_queue(url(name)), channel() as mine:
        arguments: FieldTable = {**QUORUM, "x-dead-letter-routing-key": f"{name}.dead"}
        await mine.declare_queue(name, durable=True, arguments=arguments)
        await mine.declare_queue(f"{name}.dead", durable=True, arguments={"x-queue-type": "quorum"})


async def test_a_queue_that_is_there_is_taken_as_it_is(name: str) -> None:
    """Whoever made it had reasons. What is sent outlives the server, whatever the queue."""
    async with channel() as mine:
        await mine.declare_queue(name, durable=True)
        async with open_queue(url(name)) as queue:
            await queue.push([b"one"])
            seen = await (await mine.get_queue(name)).get()
            assert seen.delivery_mode == aio_pika.DeliveryMode.PERSISTENT
            await seen.nack()
            await queue.acknowledge(await fetch_all(queue, 1))


async def test_what_is_put_back_comes_no_nearer_to_the_delivery_limit(name: str) -> None:
    """What its consumers die of does: then the server moves it to the dead-letter queue."""
    limited: FieldTable = {**QUORUM, "x-dead-letter-routing-key": f"{name}.dead", "x-delivery-limit": 1}
    async with channel() as mine:
        await mine.declare_queue(name, durable=True, arguments=limited)
    async with open_queue(url(name)) as queue:
        await queue.push([b"poison"])
        for delay in (0, 0.1, 0, 0):
            await queue.put_back(await fetch_all(queue, 1), delay)
    for _ in range(2):
        async with open_queue(url(name)) as victim:
            await fetch_all(victim, 1)
    found: list[tuple[bytes, str]] = []
    with anyio.fail_after(LONGEST):
        while not found:
            found = await dead_letters(name)
    assert [body for body, _ in found] == [b"poison"]


async def test_what_nobody_gets_is_not_taken_for_sent(name: str) -> None:
    """A queue that was deleted meanwhile is an error of the push, and made anew by the next one."""
    async with open_queue(url(name)) as queue, channel() as mine:
        await mine.queue_delete(name)
        with pytest.raises(QueueError, match=f"{name}' is gone: nobody gets what is pushed"):
            await queue.push(bodies(3))
        await queue.push(bodies(3))
        found = await fetch_all(queue, 3)
        await mine.queue_delete(f"{name}.dead")
        with pytest.raises(QueueError, match=f"{name}.dead' is gone"):
            await queue.bury(found, "no UUID")
        await queue.bury(await fetch_all(queue, 3), "no UUID")
        assert len(await dead_letters(name)) == 3


async def test_a_full_queue_is_told_of(name: str) -> None:
    """It refuses what it has no room for: trying again later makes sense."""
    async with channel() as mine:
        await mine.declare_queue(name, durable=True, arguments={"x-max-length": 1, "x-overflow": "reject-publish"})
    async with open_queue(url(name)) as queue:
        with pytest.raises(QueueUnreachableError, match="may be full"):
            await queue.push(bodies(3))


async def test_a_network_that_swallows_is_noticed(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """No call waits for ever; what was held is delivered to others once the server has noticed, too."""
    monkeypatch.setattr("closeout.worker.queues.amqp_connection._PATIENCE", 0.3)
    async with proxy_to(5672) as proxy, open_queue(url(name).replace(":5672", f":{proxy.port}")) as queue:
        await queue.push(bodies(1))
        proxy.freeze()
        for call in (queue.fetch(1, 0), queue.push([b"x"]), queue.depth()):
            with anyio.fail_after(LONGEST), pytest.raises(QueueUnreachableError, match="no answer for"):
                await call


@pytest.mark.parametrize(
    ("address", "said"),
    [
        (SERVER.replace("guest@", "s3cret@") + "?queue=x", "user or password were refused"),
        (f"{SERVER}nowhere?queue=x", "no virtual host 'nowhere' is there, or not for this user"),
        (f"{SERVER}?queue=amq.reserved", "the user may not configure, write and read what begins with 'amq.reserved'"),
        ("amqp://guest:s3cret@127.0.0.1:1?queue=x", "the server cannot be reached: Connection refused"),
        (SERVER.replace("amqp:", "amqps:") + "?queue=x", "no TLS with the server: "),
    ],
)
async def test_a_server_that_refuses_us_is_quoted_in_one_line(address: str, said: str) -> None:
    """Without the password, wherever it stands."""
    async with channel():
        pass
    with pytest.raises(QueueError) as caught:
        async with open_queue(address):
            pass
    assert said in str(caught.value)
    assert "guest@127.0.0.1" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "s3cret" not in str(caught.value)


async def test_a_queue_of_one_connection_is_not_ours(name: str) -> None:
    """One line, not a wait."""
    async with channel() as mine:
        await mine.declare_queue(name, exclusive=True)
        with pytest.raises(QueueError, match="belongs to one connection of somebody else"):
            async with open_queue(url(name)):
                pass


@pytest.mark.parametrize(
    ("address", "said"),
    [
        (SERVER, "name the queue"),
        (f"{SERVER}?queue=", "name the queue"),
        (f"{SERVER}?queue=x&prefetch=3", "no option 'prefetch' here"),
        ("amqps://127.0.0.1?queue=x&cafile=/nowhere.pem", "cafile: No such file or directory"),
    ],
)
async def test_an_address_must_name_a_queue_and_nothing_unknown(address: str, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        async with open_queue(address):
            pass
