"""``amqp://``: a queue of RabbitMQ.

Each fetch is a consumer of its own, with the limit as its prefetch: the server sends no more than was asked for, and
what is not taken is there for others. What is put back is held here until its time has come and then sent anew to the
end of the queue: one that the server gives out again itself comes nearer to its delivery limit each time.
"""

import asyncio
from collections.abc import AsyncIterator, Hashable, Sequence
from contextlib import asynccontextmanager, suppress
from itertools import count

import aio_pika
import anyio
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage, AbstractQueue
from aio_pika.exceptions import ChannelNotFoundEntity
from anyio.abc import TaskGroup
from pamqp.commands import Basic

from closeout.worker.queues.address import Address
from closeout.worker.queues.amqp_connection import Link, called, connect, in_words, is_trouble
from closeout.worker.queues.protocol import Depth, Message
from closeout.worker.support.errors import ConfigurationError, QueueError

_PERSISTENT = aio_pika.DeliveryMode.PERSISTENT
_PREFETCH = 65_535  # the largest that the protocol has
_GRACE = 0.05  # seconds that even a fetch that does not want to wait gives the server to deliver
_PAUSE = 0.005  # seconds without another message after which a fetch has all that was ready
_LONGEST_HOLD = 600.0  # seconds; the server takes a consumer for dead that holds a message for half an hour
_AT_ONCE = 500  # messages sent before the first confirmation is awaited
_QUORUM = {"x-queue-type": "quorum"}
REASON = "x-closeout-reason"


@asynccontextmanager
async def open_amqp(address: Address) -> AsyncIterator["AmqpQueue"]:
    """Open a queue of RabbitMQ; it and its dead-letter queue are made if they are missing."""
    queue = AmqpQueue(address)
    try:
        await queue.open()
        yield queue
    finally:
        await queue.close()


class AmqpQueue:
    """See ``protocol.Queue``."""

    def __init__(self, address: Address) -> None:
        options = address.only("queue", "dead", "cafile")
        if not options.get("queue"):
            raise ConfigurationError(f"{address.name}: name the queue, as in amqp://HOST/VHOST?queue=NAME")
        self.name = address.name
        self._address = address
        self._queue = options["queue"]
        self._dead = options.get("dead") or f"{self._queue}.dead"
        self._delayed: set[asyncio.Task[None]] = set()
        self._connecting = anyio.Lock()
        self._fetching = anyio.Lock()
        self._numbers = count()
        self._link: Link | None = None
        self._held: dict[Hashable, AbstractIncomingMessage] = {}

    async def open(self) -> None:
        """Connect now, so that what is wrong is known before anything is taken or sent."""
        async with self._linked():
            pass

    async def close(self) -> None:
        """What is held, also for a delay, is delivered to others."""
        for task in self._delayed:
            task.cancel()
        await self._drop()

    async def _drop(self) -> None:
        link, self._link = self._link, None
        if link is not None:
            await link.close()

    # the connection

    @asynccontextmanager
    async def _linked(self) -> AsyncIterator[Link]:
        """The connection, made anew if it broke; errors within break it, and leave in our words."""
        link: Link | None = None
        try:
            async with self._connecting:
                if self._link is None or not self._link.whole:
                    await self._connect()
                link = self._link
            if link is not None:
                yield link
        except Exception as error:
            if not is_trouble(error):
                raise
            if link is None or link is self._link:
                await self._drop()
            raise in_words(error, self._address, self._queue) from error

    async def _connect(self) -> None:
        await self._drop()
        self._held.clear()  # the server delivers all that anew
        self._link = await connect(self._address, next(self._numbers))
        await self._declare(self._link, self._dead, {})
        # Rather refused than lost: on its way to the dead-letter queue a message is confirmed, too.
        strict = {"x-dead-letter-strategy": "at-least-once", "x-overflow": "reject-publish"}
        await self._declare(
            self._link, self._queue, {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": self._dead, **strict}
        )

    async def _declare(self, link: Link, name: str, arguments: dict[str, str]) -> None:
        """Make a queue if it is missing; one that is there is taken as it is."""
        try:
            await self._count(link, name)
        except ChannelNotFoundEntity:
            channel = await link.aside()
            await called(channel.declare_queue(name, durable=True, arguments={**_QUORUM, **arguments}))
            await called(channel.close())

    async def _count(self, link: Link, name: str) -> int | None:
        """How many messages are ready in a queue. The server closes the channel where there is none."""
        channel = await link.aside()
        queue = await called(channel.declare_queue(name, passive=True))
        await called(channel.close())
        return queue.declaration_result.message_count

    # what the protocol offers

    async def fetch(self, limit: int, wait: float) -> list[Message]:
        """See the protocol; one fetch at a time, as there is one prefetch."""
        async with self._fetching, self._linked() as link:
            delivery = _Delivery(limit)
            await called(link.channel.set_qos(prefetch_count=min(limit, _PREFETCH)))
            queue = await link.channel.get_queue(self._queue, ensure=False)
            tag = await called(queue.consume(delivery.take))
            taken = False
            try:
                await delivery.wait(max(wait, _GRACE), link)
                taken = True
            finally:
                await self._end(link, queue, tag, () if taken else delivery.messages)
            return [self._hold(link, message) for message in delivery.messages]

    async def _end(
        self, link: Link, queue: AbstractQueue, tag: str, unwanted: Sequence[AbstractIncomingMessage]
    ) -> None:
        """No more of them; where whoever wanted them was cancelled, what came goes back at once."""
        if link.whole:
            await called(queue.cancel(tag))
            for message in unwanted:
                await called(message.nack(requeue=True))

    def _hold(self, link: Link, message: AbstractIncomingMessage) -> Message:
        receipt = link.number, message.delivery_tag  # tags are of one connection
        self._held[receipt] = message
        return Message(receipt, message.body)

    async def acknowledge(self, messages: Sequence[Message]) -> None:
        if self._still_held(messages):
            async with self._linked():
                await self._settle(messages)

    def _still_held(self, messages: Sequence[Message]) -> list[Message]:
        """Those of the connection that there is; others come again."""
        if self._link is None or not self._link.whole:
            return []
        return [message for message in messages if message.receipt in self._held]

    async def put_back(self, messages: Sequence[Message], delay: float) -> None:
        if delay > 0:
            task = asyncio.get_running_loop().create_task(self._put_back_later(messages, min(delay, _LONGEST_HOLD)))
            self._delayed.add(task)
            task.add_done_callback(self._delayed.discard)
        else:
            await self._move(messages, self._queue, {})

    async def _put_back_later(self, messages: Sequence[Message], delay: float) -> None:
        await anyio.sleep(delay)
        with suppress(QueueError):  # then the connection broke, and the server delivers them anew
            await self._move(messages, self._queue, {})

    async def bury(self, messages: Sequence[Message], why: str) -> None:
        await self._move(messages, self._dead, {REASON: why})

    async def depth(self) -> Depth:
        async with self._linked() as link:
            return Depth(await self._count(link, self._queue), None, await self._count(link, self._dead))

    async def push(self, bodies: Sequence[bytes]) -> None:
        for first in range(0, len(bodies), _AT_ONCE):
            async with self._linked() as link:
                await _send(link.channel, self._queue, bodies[first : first + _AT_ONCE], {})

    async def _move(self, messages: Sequence[Message], target: str, headers: dict[str, str]) -> None:
        """Send what is still held elsewhere, and only once that is confirmed let it go here: it may be there twice."""
        while held := self._still_held(messages)[:_AT_ONCE]:
            async with self._linked() as link:
                await _send(link.channel, target, [one.body for one in held], headers)
                await self._settle(held)

    async def _settle(self, messages: Sequence[Message]) -> None:
        """Acknowledge what is held; it is not answered, and what the server does not get it delivers anew."""
        found = [self._held.pop(one.receipt) for one in self._still_held(messages)]

        async def acknowledge() -> None:
            for message in found:
                await message.ack()

        await called(acknowledge())


async def _send(channel: AbstractChannel, target: str, bodies: Sequence[bytes], headers: dict[str, str]) -> None:
    """Persistent, confirmed, and an error where no queue takes them."""
    exchange = channel.default_exchange
    messages = [aio_pika.Message(body, delivery_mode=_PERSISTENT, headers=dict(headers)) for body in bodies]

    async def send() -> list[object]:
        sending = (exchange.publish(message, target, mandatory=True) for message in messages)
        return await asyncio.gather(*sending, return_exceptions=True)

    for outcome in await called(send()):
        if isinstance(outcome, Exception):
            raise outcome
        if not isinstance(outcome, Basic.Ack):  # the driver cancels what waits when its connection breaks
            raise ConnectionError("a message was not confirmed")


class _Delivery:
    """The messages that come to one fetch."""

    def __init__(self, limit: int) -> None:
        self.messages: list[AbstractIncomingMessage] = []
        self._limit = limit
        self._came = anyio.Event()

    async def take(self, message: AbstractIncomingMessage) -> None:
        self.messages.append(message)
        came, self._came = self._came, anyio.Event()
        came.set()

    async def wait(self, seconds: float, link: Link) -> None:
        """For the first one, and then for those that come along with it."""
        await self._next(seconds, link)
        while self.messages and len(self.messages) < self._limit:
            before = len(self.messages)
            await self._next(_PAUSE, link)
            if len(self.messages) == before:
                return

    async def _next(self, seconds: float, link: Link) -> None:
        came = self._came
        with anyio.move_on_after(seconds):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(_cancel_after, link.lost, tasks)
                await came.wait()
                tasks.cancel_scope.cancel()
        if not link.whole:
            raise ConnectionError("the connection was lost")


async def _cancel_after(event: anyio.Event, tasks: TaskGroup) -> None:
    await event.wait()
    tasks.cancel_scope.cancel()
