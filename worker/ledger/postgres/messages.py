"""The queues in a PostgreSQL ledger."""

from collections.abc import Sequence

from closeout.worker.ledger.postgres.connection import Database
from closeout.worker.ledger.stores import Delivery, MessageCounts
from closeout.worker.support.clock import Millis


class PostgresMessages:
    """See ``stores.MessageStore`` for what each method means."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def _write(self, query: str, **values: object) -> None:
        await self._database.write(lambda sql: sql.rows(query, **values))

    async def push(self, queue: str, bodies: Sequence[bytes], now: Millis) -> None:
        await self._write("messages_pushed", queue=queue, bodies=list(bodies), now=now)

    async def any_due(self, queue: str, now: Millis) -> bool:
        return bool(await self._database.read(lambda sql: sql.value("messages_any_due", queue=queue, now=now)))

    async def fetch(self, queue: str, limit: int, now: Millis, until: Millis) -> list[Delivery]:
        values = {"queue": queue, "limit": limit, "now": now, "until": until}
        rows = await self._database.write(lambda sql: sql.rows("messages_fetched", **values))
        return [Delivery(seq, number, bytes(body)) for _, seq, number, body in sorted(rows, key=lambda row: row[:2])]

    async def acknowledge(self, deliveries: Sequence[Delivery]) -> None:
        await self._write("messages_acknowledged", seqs=[each.seq for each in deliveries])

    async def put_back(self, deliveries: Sequence[Delivery], due: Millis) -> None:
        seqs, numbers = [each.seq for each in deliveries], [each.number for each in deliveries]
        await self._write("messages_put_back", seqs=seqs, numbers=numbers, due=due)

    async def bury(self, deliveries: Sequence[Delivery], why: str, now: Millis) -> None:
        await self._write("messages_buried", seqs=[each.seq for each in deliveries], why=why, now=now)

    async def counts(self, queue: str, now: Millis) -> MessageCounts:
        ((alive, held, dead),) = await self._database.read(
            lambda sql: sql.rows("messages_counted", queue=queue, now=now)
        )
        return MessageCounts(alive - held, held, dead)

    async def dead(self, queue: str, limit: int) -> list[tuple[bytes, str]]:
        rows = await self._database.read(lambda sql: sql.rows("messages_dead", queue=queue, limit=limit))
        return [(bytes(body), str(why)) for body, why in rows]
