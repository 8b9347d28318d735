"""What queues have given to a PostgreSQL ledger."""

from collections import Counter
from collections.abc import Sequence

from closeout.worker.domain.item import Outcome, QueuedRow
from closeout.worker.domain.run import Run
from closeout.worker.ledger.postgres.connection import Database
from closeout.worker.ledger.postgres.statements import Statements, as_json
from closeout.worker.ledger.rows import RUN_SHIFT, due_of, first_of_each, item_values, names_of, run_of
from closeout.worker.ledger.sqlite.intake_table import wishes_of
from closeout.worker.ledger.stores import TakenIn
from closeout.worker.support.clock import Millis


class PostgresIntake:
    """See ``stores.IntakeStore`` for what each method means."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def take_in(
        self, run: Run, rows: Sequence[QueuedRow], since: Millis, now: Millis, *, parked: bool = False
    ) -> TakenIn:
        """One transaction: of two processes that take in the same message, one sees what the other did."""

        async def work(sql: Statements) -> TakenIn:
            await sql.rows("intake_queue_made", name=run.location)
            queue = int(await sql.value("intake_queue", name=run.location))
            new = await _unknown(sql, queue, first_of_each(rows), since)
            await _remember(sql, queue, new, now)
            added = await _admit(sql, run, new, now, parked=parked)
            again = await _reopen(sql, run, new)
            duplicates = len(rows) - added
            await sql.rows("admitted", run=run.id, read=len(rows), duplicates=duplicates, digest="")
            return TakenIn(duplicates, sum(row.row.session_id is None for row in new), again)

        return await self._database.write(work)

    async def forget_keys(self, before: Millis, limit: int) -> int:
        return await self._database.write(lambda sql: sql.changed("intake_forgotten", before=before, limit=limit))


async def _unknown(sql: Statements, queue: int, rows: list[QueuedRow], since: Millis) -> list[QueuedRow]:
    """Those whose key was not given lately."""
    asked = as_json([names_of(row) for row in rows])
    recent = {int(at) for (at,) in await sql.rows("intake_recent", queue=queue, rows=asked, since=since)}
    return [row for at, row in enumerate(rows) if at not in recent]


async def _remember(sql: Statements, queue: int, rows: list[QueuedRow], now: Millis) -> None:
    asked = as_json([names_of(row) for row in rows])
    await sql.rows("intake_session", queue=queue, rows=asked, now=now)
    await sql.rows("intake_key", queue=queue, rows=asked, now=now)


async def _admit(sql: Statements, run: Run, rows: list[QueuedRow], now: Millis, *, parked: bool) -> int:
    """Add rows for sessions that the run does not hold; returns how many these are."""
    held = run_of((await sql.rows("run_locked", run=run.id))[0])
    base = (run.id << RUN_SHIFT) + held.rows_read
    values = [item_values(row.row, base + at, run, now, due_of(row, parked)) for at, row in enumerate(rows)]
    return await sql.changed("admit", rows=as_json(values))


async def _reopen(sql: Statements, run: Run, rows: list[QueuedRow]) -> Counter[Outcome]:
    """What the run has done with sessions that are given again is to be done again, after a look."""
    asked = as_json(wishes_of(rows))
    outcomes = [Outcome(outcome) for (outcome,) in await sql.rows("intake_done", run=run.id, rows=asked)]
    await sql.rows("intake_reopened", run=run.id, rows=asked)
    return Counter(outcomes)
