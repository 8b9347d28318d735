"""PostgreSQL for the tests: a schema of its own for each ledger, used again once its ledger is done with.

The server is that of ``CLOSEOUT_TEST_POSTGRES``, a URL, or the one on loopback.
"""

import atexit
import os
import secrets
from contextlib import suppress
from functools import cache
from pathlib import Path

import psycopg

from tests.services import missing

SERVER = os.environ.get("CLOSEOUT_TEST_POSTGRES", "postgresql://root@127.0.0.1:5432/test")
_NOTE = "postgres-schema"  # a file in a ledger's folder: another process finds the same ledger by it
_free: list[str] = []
_used: dict[str, Path] = {}


@cache
def server() -> str:
    """The server's URL, or the test is skipped."""
    try:
        psycopg.connect(SERVER, connect_timeout=3).close()
    except psycopg.OperationalError:
        missing("a PostgreSQL server on loopback, or at CLOSEOUT_TEST_POSTGRES")
    return SERVER


def url_of(folder: Path) -> str:
    """The ledger of a folder: an empty one the first time that it is asked for."""
    note = folder / _NOTE
    if not note.exists():
        note.write_text(_empty_schema(folder), encoding="utf-8")
    return with_schema(server(), note.read_text(encoding="utf-8"))


def with_schema(url: str, schema: str) -> str:
    """The address of a ledger in this schema."""
    return f"{url}{'&' if '?' in url else '?'}schema={schema}"


def done_with(folder: Path) -> None:
    """The ledger of a folder is not needed any more."""
    for schema in [each for each, owner in _used.items() if owner == folder]:
        del _used[schema]
        _free.append(schema)


def _empty_schema(folder: Path) -> str:
    schema = _free.pop() if _free else f"closeout_test_{secrets.token_hex(6)}"
    _used[schema] = folder
    if len(_used) + len(_free) == 1:
        atexit.register(_drop_all)
    with psycopg.connect(server(), autocommit=True) as connection:
        rows = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = %s", (schema,)).fetchall()
        tables = sorted({str(name) for (name,) in rows} - {"migrations"}, key=lambda name: name == "runs")
        deletions = [f'DELETE FROM "{schema}"."{name}";' for name in tables]  # noqa: S608  # names of our own
        connection.execute("".join(deletions).encode())
    return schema


def _drop_all() -> None:
    with suppress(psycopg.Error), psycopg.connect(server(), autocommit=True) as connection:
        connection.execute("SET lock_timeout TO '5s'")
        for schema in [*_free, *_used]:
            connection.execute(f'DROP SCHEMA IF EXISTS "{schema}" CASCADE'.encode())
