"""The named SQL statements of ``queries.sql``."""

import re
from importlib.resources import files

_NAMED = re.compile(r"^-- name: (\w+)\n(.*?)(?=^-- name: |\Z)", re.M | re.S)


def load_queries() -> dict[str, str]:
    """Statement by name, its comments stripped."""
    text = files("worker.ledger").joinpath("queries.sql").read_text(encoding="utf-8")
    return {name: re.sub(r"^--.*\n", "", body, flags=re.M).strip().rstrip(";") for name, body in _NAMED.findall(text)}
