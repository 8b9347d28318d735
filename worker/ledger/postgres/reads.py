"""What a PostgreSQL ledger tells of its runs: counts, samples, results."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any

import psycopg

from closeout.worker.domain.exchange import Exchange
from closeout.worker.domain.item import Claim, ClosedItem, Outcome
from closeout.worker.domain.run import Run
from closeout.worker.domain.session import LIVE_STATUSES
from closeout.worker.ledger.postgres.connection import LONG, TIME_LIMIT, Connection, Database, cut_after
from closeout.worker.ledger.postgres.statements import Statements
from closeout.worker.ledger.records import (
    ALL_ROWS,
    AttemptedEnd,
    Counts,
    EvalRuns,
    Found,
    InvalidKind,
    PlanGroup,
    RowFilter,
)
from closeout.worker.ledger.rows import RUN_SHIFT, Row, outcome_counts, place_of, run_of, span_of

_RESULT_BATCH = 1_000


class Reading:
    """See ``protocol.Ledger`` for what each method means."""

    _database: Database
    _snapshots: set[Connection]

    async def _rows(self, query: str, **values: object) -> list[Row]:
        return await self._database.read(lambda sql: sql.rows(query, **values), limit=LONG)

    async def attempted_ends(self, run: Run) -> list[AttemptedEnd]:
        rows = await self._rows("attempted_ends", **span_of(run))
        return [AttemptedEnd(Outcome(outcome), *rest) for outcome, *rest in rows]

    async def plan_groups(self, run: Run) -> list[PlanGroup]:
        rows = await self._rows("plan_groups", **span_of(run))
        return [PlanGroup(Outcome(outcome), *rest) for outcome, *rest in rows]

    async def invalid_kinds(self, run: Run, limit: int) -> list[InvalidKind]:
        return [InvalidKind(*row) for row in await self._rows("invalid_kinds", run=run.id, limit=limit)]

    async def counts(self, run: Run) -> Counts:
        return await self._database.read(lambda sql: _counts(sql, run), limit=LONG)

    async def counts_as_of_now(self, run: Run) -> Callable[[], Awaitable[Counts]]:
        """Over a connection of its own, whose transaction keeps the state of this moment."""
        connection = await self._database.connect()
        self._snapshots.add(connection)
        with suppress(psycopg.OperationalError), cut_after(connection, TIME_LIMIT):
            await connection.execute("SET idle_in_transaction_session_timeout TO 0")
            await connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            await Statements(connection).rows("run_by_id", run=run.id)

        async def count() -> Counts:
            try:
                with cut_after(connection, LONG):
                    return await _counts(Statements(connection), run)
            except psycopg.OperationalError:  # that moment is lost with the connection
                return await self.counts(run)
            finally:
                self._snapshots.discard(connection)
                await connection.close()

        return count

    async def closed_sample(self, run: Run, limit: int) -> list[ClosedItem]:
        return [_closed_item(row) for row in await self._rows("closed_sample", limit=limit, **span_of(run))]

    async def closed_by_start(self, run: Run, limit: int, after: Claim | None) -> list[ClosedItem]:
        rows = await self._rows("closed_by_start", limit=limit, **place_of(after), **span_of(run))
        return [_closed_item(row) for row in rows]

    async def results(self, run: Run, chosen: RowFilter = ALL_ROWS) -> AsyncIterator[list[Row]]:
        wanted = {"outcomes": sorted(chosen.outcomes), "eval_statuses": sorted(chosen.eval_statuses)}
        after = span_of(run)["first"] - 1
        while batch := await self._rows("results", run=run.id, after=after, limit=_RESULT_BATCH, **wanted):
            after = batch[-1][0]
            yield [row[1:] for row in batch]

    async def results_of(self, seqs: Sequence[int]) -> list[Row]:
        found = {row[0]: row[1:] for row in await self._rows("results_of", seqs=list(seqs))}
        return [found[seq] for seq in seqs]

    async def result_of(self, run: Run, session_id: str) -> Row | None:
        items = await self._rows("item_by_session", run=run.id, session_id=session_id)
        return (await self.results_of([seq for (seq,) in items]))[0] if items else None

    async def attempts_of(self, run: Run, session_id: str) -> list[Exchange]:
        items = await self._rows("item_by_session", run=run.id, session_id=session_id)
        return await self._exchanges(items[0][0]) if items else []

    async def find_session(self, session_id: str, limit: int) -> list[Found]:
        return await self._found(await self._rows("session_anywhere", session=session_id, limit=limit))

    async def find_invalid(self, text: str, limit: int) -> list[Found]:
        return await self._found(await self._rows("invalid_anywhere", text=text, limit=limit))

    async def _found(self, items: list[Row]) -> list[Found]:
        seqs = [seq for (seq,) in items]
        rows = await self.results_of(seqs)
        runs = [run_of((await self._rows("run_by_id", run=seq >> RUN_SHIFT))[0]) for seq in seqs]
        exchanges = [tuple(await self._exchanges(seq)) for seq in seqs]
        return [Found(*one) for one in zip(runs, rows, exchanges, strict=True)]

    async def _exchanges(self, seq: int) -> list[Exchange]:
        return [Exchange(*row) for row in await self._rows("attempts_of", item=seq)]


def _closed_item(row: Row) -> ClosedItem:
    return ClosedItem(Claim(*row[3:]), *row[:3])


async def _counts(sql: Statements, run: Run) -> Counts:
    requests = await sql.rows("request_counts", run=run.id)
    outcomes, again = outcome_counts(await sql.rows("outcome_counts", **span_of(run)))
    return Counts(
        outcomes=outcomes,
        again=again,
        **await _eval_counts(sql, run),
        requests={str(kind): count for kind, count, _ in requests},
        throttled=sum(throttled for _, _, throttled in requests),
        retried=int(await sql.value("retried_count", run=run.id)),
    )


async def _eval_counts(sql: Statements, run: Run) -> dict[str, Any]:
    rows = await sql.rows("eval_counts", live=sorted(LIVE_STATUSES), **span_of(run))
    return {
        "eval_status": {str(status or ""): count for status, count, *_ in rows},
        "unsettled": sum(row[2] for row in rows),
        "reopened": sum(row[3] for row in rows),
        "eval_runs": EvalRuns(*(sum(row[at] for row in rows) for at in range(4, 12))),
    }
