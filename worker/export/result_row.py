"""A row of the results as a typed record."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from closeout.worker.domain.item import Outcome
from closeout.worker.export.columns import DESCRIBED

_INSTANTS = frozenset(at for at, column in enumerate(DESCRIBED) if column.kind == "instant")


@dataclass(frozen=True, slots=True)
class ResultRow:
    """How one row of the source stands; its fields are the columns of every export. Instants are in UTC."""

    run: str
    session_id: str
    outcome: Outcome
    detail: str | None
    final_status: str | None
    eval_status: str | None
    eval_settled: bool
    reason: str | None
    attempts: int
    http_status: int | None
    error: str | None
    closed_at: datetime | None
    first_attempt_at: datetime | None
    recorded_at: datetime | None
    settled_at: datetime | None
    eval_total: int | None
    eval_succeeded: int | None
    eval_failed: int | None
    eval_pending: int | None
    critical_total: int | None
    critical_succeeded: int | None
    critical_failed: int | None
    critical_pending: int | None
    line: int | None
    job: str | None


def record_of(row: Sequence[Any]) -> ResultRow:
    """The record of a row as the ledger gives it."""
    values = list(row)
    for at in _INSTANTS:
        values[at] = datetime.fromisoformat(values[at]) if values[at] is not None else None
    values[_OUTCOME] = Outcome(values[_OUTCOME])
    values[_SETTLED] = bool(values[_SETTLED])
    return ResultRow(*values)


_NAMES = [column.name for column in DESCRIBED]
_OUTCOME, _SETTLED = _NAMES.index("outcome"), _NAMES.index("eval_settled")
