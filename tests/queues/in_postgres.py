"""The queue that lies in a PostgreSQL ledger."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from closeout.worker.ledger.postgres.ledger import PostgresLedger
from tests.postgres.databases import done_with, url_of
from tests.queues.support import VISIBILITY, Rig


@asynccontextmanager
async def in_postgres(folder: Path) -> AsyncIterator[Rig]:
    """In a ledger of its own."""
    async with PostgresLedger.open(url_of(folder), create=True) as ledger:
        store = ledger.messages
        yield Rig(f"queue:sessions?visibility={VISIBILITY}s", lambda: store.dead("sessions", 1_000), store)
    done_with(folder)
