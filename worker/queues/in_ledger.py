"""``queue:NAME``: a queue in the ledger, for one place without any server."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import anyio

from closeout.worker.ledger.stores import Delivery, MessageStore
from closeout.worker.queues.address import Address
from closeout.worker.queues.protocol import Depth, Message
from closeout.worker.support.clock import Millis, now_ms
from closeout.worker.support.errors import ConfigurationError

_VISIBILITY = 60.0  # seconds after which a message that somebody took and did not acknowledge is given out again
_LOOK = 0.05  # seconds between looks for messages while there are none


@asynccontextmanager
async def open_embedded(
    address: Address, store: MessageStore | None, now: Callable[[], Millis] = now_ms
) -> AsyncIterator["EmbeddedQueue"]:
    """Open the queue of that name in a ledger; it need not be made."""
    if store is None:
        raise ConfigurationError(f"{address.name} lies in a ledger: name it with --ledger")
    address.only("visibility")
    yield EmbeddedQueue(address, store, now)


def _deliveries(messages: Sequence[Message]) -> list[Delivery]:
    return [message.receipt for message in messages if isinstance(message.receipt, Delivery)]


class EmbeddedQueue:
    """See ``protocol.Queue``. Any number of processes on the ledger may push to it and take from it."""

    def __init__(self, address: Address, store: MessageStore, now: Callable[[], Millis]) -> None:
        self.name = address.name
        self._queue = address.path
        self._visibility = round(1000 * address.seconds("visibility", _VISIBILITY))
        self._store = store
        self._now = now

    async def fetch(self, limit: int, wait: float) -> list[Message]:
        if not await self._any_due(wait):
            return []
        now = self._now()
        found = await self._store.fetch(self._queue, limit, now, now + self._visibility)
        return [Message(delivery, delivery.body) for delivery in found]

    async def _any_due(self, wait: float) -> bool:
        """Looking is a read of one index entry, so that an idle queue costs next to nothing."""
        with anyio.move_on_after(wait):
            while True:
                if await self._store.any_due(self._queue, self._now()):
                    return True
                await anyio.sleep(_LOOK)
        return False

    async def acknowledge(self, messages: Sequence[Message]) -> None:
        await self._store.acknowledge(_deliveries(messages))

    async def put_back(self, messages: Sequence[Message], delay: float) -> None:
        await self._store.put_back(_deliveries(messages), self._now() + round(1000 * delay))

    async def bury(self, messages: Sequence[Message], why: str) -> None:
        await self._store.bury(_deliveries(messages), why, self._now())

    async def depth(self) -> Depth:
        counts = await self._store.counts(self._queue, self._now())
        return Depth(counts.waiting, counts.in_flight, counts.dead)

    async def push(self, bodies: Sequence[bytes]) -> None:
        await self._store.push(self._queue, bodies, self._now())
