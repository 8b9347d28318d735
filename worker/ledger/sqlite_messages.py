"""The queues in a SQLite ledger, off the event loop: written over its writing connection, read over the other."""

from collections.abc import Sequence

from closeout.worker.ledger.connection import Connection
from closeout.worker.ledger.message_store import Delivery, MessageCounts
from closeout.worker.ledger.sqlite_store import SqliteStore
from closeout.worker.models import Millis


class SqliteMessages:
    """See ``message_store.MessageStore`` for what each method means."""

    def __init__(self, writer: Connection[SqliteStore], reader: Connection[SqliteStore]) -> None:
        self._writer, self._to = writer, writer.store.messages
        self._reader, self._of = reader, reader.store.messages

    async def push(self, queue: str, bodies: Sequence[bytes], now: Millis) -> None:
        await self._writer.run(self._to.push, queue, bodies, now)

    async def any_due(self, queue: str, now: Millis) -> bool:
        return await self._reader.run(self._of.any_due, queue, now)

    async def fetch(self, queue: str, limit: int, now: Millis, until: Millis) -> list[Delivery]:
        return await self._writer.run(self._to.fetch, queue, limit, now, until)

    async def acknowledge(self, deliveries: Sequence[Delivery]) -> None:
        await self._writer.run(self._to.acknowledge, deliveries)

    async def put_back(self, deliveries: Sequence[Delivery], due: Millis) -> None:
        await self._writer.run(self._to.put_back, deliveries, due)

    async def bury(self, deliveries: Sequence[Delivery], why: str, now: Millis) -> None:
        await self._writer.run(self._to.bury, deliveries, why, now)

    async def counts(self, queue: str, now: Millis) -> MessageCounts:
        return await self._reader.run(self._of.counts, queue, now)

    async def dead(self, queue: str, limit: int) -> list[tuple[bytes, str]]:
        return await self._reader.run(self._of.dead, queue, limit)
