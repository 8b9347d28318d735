"""The named statements of this folder, run on one connection."""

import json
import re
from functools import cache
from typing import Any

import psycopg

from closeout.worker.ledger.rows import Row
from closeout.worker.ledger.statements import load_queries

_FILES = ("queries.sql", "fleet.sql", "intake.sql", "messages.sql", "reports.sql")
_PLACE = re.compile(r"(?<![:\w]):([a-z_][a-z0-9_]*)\b")
_NUL = re.compile(r"(?<!\\)((?:\\\\)*)\\u0000")
_SURROGATES = re.compile("[\ud800-\udfff]")


@cache
def queries() -> dict[str, str]:
    """By name, with the placeholders of psycopg."""
    found = [load_queries(file, "closeout.worker.ledger.postgres").items() for file in _FILES]
    return {name: _PLACE.sub(r"%(\1)s", text.replace("%", "%%")) for file in found for name, text in file}


class Statements:
    """One connection, for one piece of work. Not for use by two tasks at once."""

    def __init__(self, connection: "psycopg.AsyncConnection[Row]") -> None:
        self._connection = connection

    async def rows(self, query: str, **values: object) -> list[Row]:
        """All rows that a statement gives."""
        cursor = await self._connection.execute(queries()[query], _storable(values))
        return await cursor.fetchall() if cursor.description is not None else []

    async def changed(self, query: str, **values: object) -> int:
        """How many rows a statement has written."""
        return (await self._connection.execute(queries()[query], _storable(values))).rowcount

    async def value(self, query: str, **values: object) -> Any:  # see Row
        """The only value of the only row."""
        return (await self.rows(query, **values))[0][0]

    async def try_lock(self, what: str, *, shared: bool = False) -> bool:
        """Whether this transaction has a lock now. ``shared``: others may have it, too, in the same way."""
        kind = "_shared" if shared else ""
        statement = f"SELECT pg_try_advisory_xact_lock{kind}(hashtextextended(current_schema() || ' ' || %s, 0))"
        row = await (await self._connection.execute(statement.encode(), (what,))).fetchone()
        return row is not None and bool(row[0])

    async def execute(self, sql: str) -> None:
        """A statement that has no name; it comes from the product's own text."""
        await self._connection.execute(sql)


def _storable(values: dict[str, object]) -> dict[str, object]:
    return {name: _plain(value) if isinstance(value, str) else value for name, value in values.items()}


def as_json(value: object) -> str:
    """As JSON that the server's type can hold: see ``_plain``."""
    text = json.dumps(value, ensure_ascii=False)
    return _NUL.sub(r"\1\\ufffd", text) if "\\u0000" in text else text


def _plain(text: str) -> str:
    """The same without what PostgreSQL's text cannot hold: NUL, and half of a surrogate pair."""
    if "\0" in text:
        text = text.replace("\0", "\ufffd")
    return text if text.isascii() else _SURROGATES.sub("\ufffd", text)
