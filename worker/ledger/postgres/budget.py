"""One budget of a PostgreSQL ledger: a row that all processes on all machines draw from, on the server's clock."""

from dataclasses import asdict, replace
from typing import TypeVar

from closeout.worker.ledger.budget_row import budget_of, columns_of
from closeout.worker.ledger.postgres.connection import Database
from closeout.worker.ledger.postgres.statements import Statements
from closeout.worker.pace.budget import Budget, BudgetKey, Decided, Decision
from closeout.worker.pace.law import Law

_T = TypeVar("_T")
_TIME_LIMIT = 15.0  # seconds; whoever holds the row and is gone loses it after 5


class PostgresBudget:
    """See ``BudgetStore``. ``database`` need not be durable."""

    def __init__(self, database: Database, key: BudgetKey) -> None:
        self._database = database
        self._key = asdict(key)

    async def make(self) -> None:
        await self._database.write(lambda sql: sql.rows("budget_made", **self._key))

    async def decide(self, decision: Decision[_T]) -> Decided[_T]:
        """See ``BudgetStore``. Permits that were given out at the moment the connection broke are lost."""

        async def work(sql: Statements) -> Decided[_T]:
            (row,) = await sql.rows("budget", **self._key)
            before, now = budget_of(row[:-1]), float(row[-1])
            budget, value = decision(before, now)
            if budget != before:
                if _lasting(budget) != _lasting(before):
                    await sql.execute("SET LOCAL synchronous_commit TO on")
                await sql.rows("budget_changed", **columns_of(budget), **self._key)
            return Decided(budget, now, value)

        return await self._database.transact(work, limit=_TIME_LIMIT)


def _lasting(budget: Budget) -> Budget:
    """A person's word, what the API asked for, and what that tells of its limiter.

    The rest is given out over and over: that a crash of the server takes back the last of it harms nobody (see
    ``database``), and it is not worth a write to the disk each time.
    """
    known = Law(wait=budget.law.wait, margin=budget.law.margin, base=budget.law.base)
    return replace(budget, due=0.0, settle_due=0.0, closing_at=0.0, seen_at=0.0, law=known)
