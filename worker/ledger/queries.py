"""Named SQL statements, of ``queries.sql`` and files like it."""

import re
from functools import cache
from importlib.resources import files

_NAMED = re.compile(r"^-- name: (\w+)\n(.*?)(?=^-- name: |\Z)", re.M | re.S)


@cache
def load_queries(file: str = "queries.sql", package: str = "closeout.worker.ledger") -> dict[str, str]:
    """Statement by name, its comments stripped."""
    text = files(package).joinpath(file).read_text(encoding="utf-8")
    return {name: re.sub(r"^--.*\n", "", body, flags=re.M).strip().rstrip(";") for name, body in _NAMED.findall(text)}
