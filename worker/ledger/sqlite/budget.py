"""One budget of a SQLite ledger, in a file of its own beside it: blocking calls.

In the ledger's file permits would wait for its long transactions (admission, thousands of rows skipped at once), and
for the disk, which they need not: docs/decisions/pace.md.
"""

import time
from collections.abc import Callable
from dataclasses import asdict
from importlib.resources import files
from pathlib import Path
from typing import TypeVar

import apsw

from closeout.worker.ledger.budget_row import budget_of, columns_of
from closeout.worker.ledger.sqlite.connection import transaction
from closeout.worker.ledger.sqlite.file import BUSY_MS, close_to_others, make_private_file, patiently
from closeout.worker.ledger.sqlite.own_files import is_database
from closeout.worker.ledger.statements import load_queries
from closeout.worker.pace.budget import BudgetKey, Decided, Decision
from closeout.worker.support.errors import LedgerError

_T = TypeVar("_T")
_ADDED = {"set_tolerated": "REAL", "set_floor": "REAL", "law": "TEXT NOT NULL DEFAULT '{}'"}  # after the first version


class SqliteBudget:
    """One row of ``LEDGER.budget``. Not for use by two threads at once; processes take turns by the file's lock."""

    def __init__(self, ledger: Path, key: BudgetKey, clock: Callable[[], float] = time.time) -> None:
        self.path = budget_path(ledger)
        self._db = connect_budget(self.path)
        self._queries = load_queries()
        self._key = asdict(key)
        self._clock = clock
        with transaction(self._db):
            self._db.execute(self._queries["budget_made"], self._key)

    def close(self) -> None:
        self._db.close()

    def decide(self, decision: Decision[_T]) -> Decided[_T]:
        """See ``BudgetStore``. The clock is read once the row is ours: waiting for it takes time."""
        with transaction(self._db):
            (row,) = self._db.execute(self._queries["budget"], self._key).fetchall()
            before = budget_of(row)
            now = self._clock()
            budget, value = decision(before, now)
            if budget != before:
                self._db.execute(self._queries["budget_changed"], columns_of(budget) | self._key)
        return Decided(budget, now, value)


def budget_path(ledger: Path) -> Path:
    """Where the budgets of a ledger lie."""
    path = ledger.resolve()
    return path.with_name(path.name + ".budget")


def connect_budget(path: Path) -> apsw.Connection:
    """Open the file of the budgets, made or brought up to date as needed. Raises LedgerError."""
    try:
        return patiently(lambda: _connect(path))
    except apsw.Error as error:
        raise LedgerError(f"cannot open the budget {path}: {error}; it may be removed while nothing runs") from error


def _connect(path: Path) -> apsw.Connection:
    if path.is_symlink():
        raise LedgerError(f"{path} is a link: remove it, as the budget lies beside its ledger")
    if not path.exists():
        make_private_file(path)
    close_to_others(path)
    foreign = LedgerError(f"{path} is not a budget of closeout: move it away, or name another ledger with --ledger")
    if path.stat().st_size and not is_database(path):
        raise foreign
    connection = apsw.Connection(str(path))
    connection.set_busy_timeout(BUSY_MS)
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
    if tables and "budgets" not in tables:
        raise foreign
    connection.pragma("journal_mode", "wal")
    # Permits that a power cut takes back harm nobody: they are not worth a write to the disk each.
    connection.pragma("synchronous", "normal")
    connection.execute(files("closeout.worker.ledger.sqlite").joinpath("budget.sql").read_text(encoding="utf-8"))
    _bring_up_to_date(connection)
    return connection


def _bring_up_to_date(connection: apsw.Connection) -> None:
    """A file that an older version has made gets the columns that it lacks; those it has beyond stay."""
    if not _lacking(connection):
        return
    with transaction(connection):
        for name in _lacking(connection):  # another process may just have made them
            connection.execute(f"ALTER TABLE budgets ADD COLUMN {name} {_ADDED[name]}")


def _lacking(connection: apsw.Connection) -> list[str]:
    there = {row[1] for row in connection.execute("PRAGMA table_info(budgets)")}
    return [name for name in _ADDED if name not in there]
