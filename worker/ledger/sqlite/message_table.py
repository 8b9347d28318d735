"""The SQL of the queues in a SQLite ledger: plain blocking calls, each one transaction."""

import json
from collections.abc import Sequence

import apsw

from closeout.worker.ledger.rows import Row
from closeout.worker.ledger.sqlite.connection import transaction
from closeout.worker.ledger.statements import load_queries
from closeout.worker.ledger.stores import Delivery, MessageCounts
from closeout.worker.support.clock import Millis

_QUERIES = load_queries("messages.sql")


def _seqs(deliveries: Sequence[Delivery]) -> str:
    return json.dumps([delivery.seq for delivery in deliveries])


class MessageTable:
    """See ``stores.MessageStore``. Not for use by two threads at once."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._db = connection

    def push(self, queue: str, bodies: Sequence[bytes], now: Millis) -> None:
        values = [{"queue": queue, "body": body, "now": now} for body in bodies]
        with transaction(self._db):
            self._db.executemany(_QUERIES["messages_pushed"], values)

    def any_due(self, queue: str, now: Millis) -> bool:
        ((any_due,),) = self._rows("messages_any_due", queue=queue, now=now)
        return bool(any_due)

    def fetch(self, queue: str, limit: int, now: Millis, until: Millis) -> list[Delivery]:
        with transaction(self._db):
            rows = self._rows("messages_fetched", queue=queue, limit=limit, now=now, until=until)
        return sorted((Delivery(*row) for row in rows), key=lambda delivery: delivery.seq)

    def acknowledge(self, deliveries: Sequence[Delivery]) -> None:
        self._change("messages_acknowledged", seqs=_seqs(deliveries))

    def put_back(self, deliveries: Sequence[Delivery], due: Millis) -> None:
        held = json.dumps([(delivery.seq, delivery.number) for delivery in deliveries])
        self._change("messages_put_back", deliveries=held, due=due)

    def bury(self, deliveries: Sequence[Delivery], why: str, now: Millis) -> None:
        self._change("messages_buried", seqs=_seqs(deliveries), why=why, now=now)

    def _change(self, query: str, **values: object) -> None:
        with transaction(self._db):
            self._rows(query, **values)

    def _rows(self, query: str, **values: object) -> list[Row]:
        return self._db.execute(_QUERIES[query], values).fetchall()

    def counts(self, queue: str, now: Millis) -> MessageCounts:
        ((alive, held, dead),) = self._rows("messages_counted", queue=queue, now=now)
        return MessageCounts(alive - held, held, dead)

    def dead(self, queue: str, limit: int) -> list[tuple[bytes, str]]:
        return [(bytes(body), str(why)) for body, why in self._rows("messages_dead", queue=queue, limit=limit)]
