"""SQL as files: statements by name, and migrations in their order."""

import re
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

_NAMED = re.compile(r"^-- name: (\w+)\n(.*?)(?=^-- name: |\Z)", re.M | re.S)


@cache
def load_queries(file: str = "queries.sql", package: str = "closeout.worker.ledger.sqlite") -> dict[str, str]:
    """Statement by name, its comments stripped."""
    text = files(package).joinpath(file).read_text(encoding="utf-8")
    return {name: re.sub(r"^--.*\n", "", body, flags=re.M).strip().rstrip(";") for name, body in _NAMED.findall(text)}


@dataclass(frozen=True, slots=True)
class Migration:
    """One step of the schema; ``version`` is the one that it leads to."""

    version: int
    sql: str


def load_migrations(package: str = "closeout.worker.ledger.sqlite") -> list[Migration]:
    """All migrations of this version, in order; the number in a file's name is the version it leads to."""
    folder = files(package).joinpath("migrations")
    found = [entry for entry in folder.iterdir() if entry.name.endswith(".sql")]
    return sorted(
        (Migration(int(entry.name.split("_")[0]), entry.read_text(encoding="utf-8")) for entry in found),
        key=lambda migration: migration.version,
    )
