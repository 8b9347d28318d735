"""What queues have given to a SQLite ledger, off the event loop."""

from collections.abc import Sequence

from closeout.worker.ledger.connection import Connection
from closeout.worker.ledger.intake_store import TakenIn
from closeout.worker.ledger.sqlite_store import SqliteStore
from closeout.worker.models import Millis, QueuedRow, Run


class SqliteIntake:
    """See ``intake_store.IntakeStore`` for what each method means."""

    def __init__(self, writer: Connection[SqliteStore]) -> None:
        self._writer, self._to = writer, writer.store.intake

    async def take_in(
        self, run: Run, rows: Sequence[QueuedRow], since: Millis, now: Millis, *, parked: bool = False
    ) -> TakenIn:
        return await self._writer.run(self._to.take_in, run, rows, since, now, parked)

    async def forget_keys(self, before: Millis, limit: int) -> int:
        return await self._writer.run(self._to.forget_keys, before, limit)
