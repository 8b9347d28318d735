"""A budget as a row of a ledger, and back: its fields are columns, those of the law one JSON column."""

import json
from dataclasses import fields
from typing import Any

from closeout.worker.pace.budget import Budget
from closeout.worker.pace.law import Law

_COLUMNS = tuple(field.name for field in fields(Budget))
_LAW = tuple(field.name for field in fields(Law))


def columns_of(budget: Budget) -> dict[str, Any]:  # what a column holds is stated by the schema
    """The values of the columns by name."""
    law = {name: value for name in _LAW if (value := getattr(budget.law, name)) != getattr(_NEW, name)}
    return {name: getattr(budget, name) for name in _COLUMNS} | {"law": json.dumps(law)}


def budget_of(row: tuple[Any, ...]) -> Budget:
    """The columns of the statement ``budget`` bear the names of the fields, in their order.

    What another version knows of the law besides is left aside.
    """
    values = dict(zip(_COLUMNS, row, strict=True))
    known = json.loads(values["law"])
    law = Law(**{name: known[name] for name in _LAW if name in known})
    return Budget(**values | {"paused": bool(values["paused"]), "law": law})


_NEW = Law()
