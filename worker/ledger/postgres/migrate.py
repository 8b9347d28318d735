"""Brings a ledger's schema to this version, one process at a time, and refuses what it must not touch."""

import psycopg

from closeout.worker.ledger.postgres.address import Address
from closeout.worker.ledger.postgres.connection import OLDEST, Connection
from closeout.worker.ledger.statements import Migration
from closeout.worker.support.errors import ConfigurationError, LedgerError, NoLedgerError, OldLedgerError

_LOCK = "SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))"
_TABLES = "SELECT array_agg(tablename) FROM pg_tables WHERE schemaname = %s"
_MIGRATIONS = "CREATE TABLE migrations (version integer PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now())"


async def upgrade(connection: Connection, address: Address, migrations: list[Migration], *, create: bool) -> None:
    """Apply what is missing, each migration and its record in one transaction; ``create`` makes the schema itself.

    Raises LedgerError for a schema that is no ledger, that a newer version has written, or that is not there.
    """
    _expect_server(connection, address)
    if await _is_current(connection, address, migrations):
        return
    try:
        await _make(connection, address, create=create)
        for migration in migrations:
            await _apply(connection, address, migration)
    except psycopg.errors.InsufficientPrivilege as error:
        raise ConfigurationError(
            f"--ledger {address.shown}: this user may not make or change the schema {address.schema}: "
            f"{str(error).splitlines()[0]}"
        ) from None


async def expect_current(connection: Connection, address: Address, migrations: list[Migration]) -> None:
    """Raise LedgerError unless a ledger of just this version is there."""
    _expect_server(connection, address)
    if await _is_current(connection, address, migrations):
        return
    if "migrations" not in await _tables(connection, address):
        raise NoLedgerError(f"there is no ledger in {address.shown}: run `closeout close` first")
    raise OldLedgerError(f"{address.shown} was written by an older closeout: `closeout runs` brings it up to date")


def _expect_server(connection: Connection, address: Address) -> None:
    version = connection.info.server_version // 10_000
    if version < OLDEST:
        raise ConfigurationError(f"--ledger {address.shown}: PostgreSQL {version} is too old: {OLDEST} or newer")


async def _is_current(connection: Connection, address: Address, migrations: list[Migration]) -> bool:
    """Whether nothing is to be done. Raises LedgerError for what a newer version has written."""
    if "migrations" not in await _tables(connection, address):
        return False
    version, newest = await _version(connection, address), migrations[-1].version
    if version > newest:
        raise LedgerError(
            f"{address.shown} was written by a newer closeout (schema {version}, this one knows {newest}): "
            "upgrade closeout"
        )
    return version == newest


async def _make(connection: Connection, address: Address, *, create: bool) -> None:
    async with connection.transaction():
        await _lock(connection, address)
        tables = await _tables(connection, address)
        if "migrations" in tables:
            return
        if tables:
            raise LedgerError(
                f"the schema {address.schema} of {address.shown} holds other tables than a ledger's: "
                "name another with ?schema="
            )
        if not create:
            raise NoLedgerError(f"there is no ledger in {address.shown}: run `closeout close` first")
        await connection.execute(f'CREATE SCHEMA IF NOT EXISTS "{address.schema}"')
        await _use(connection, address)
        await connection.execute(_MIGRATIONS)


async def _apply(connection: Connection, address: Address, migration: Migration) -> None:
    async with connection.transaction():
        await _lock(connection, address)
        if migration.version <= await _version(connection, address):
            return
        await _use(connection, address)
        await connection.execute(migration.sql.encode())
        await connection.execute("INSERT INTO migrations (version) VALUES (%s)", (migration.version,))


async def _lock(connection: Connection, address: Address) -> None:
    await connection.execute(_LOCK, (f"closeout {address.schema}",))


async def _use(connection: Connection, address: Address) -> None:
    await connection.execute(f'SET LOCAL search_path TO "{address.schema}"'.encode())


async def _tables(connection: Connection, address: Address) -> set[str]:
    row = await (await connection.execute(_TABLES, (address.schema,))).fetchone()
    return set(row[0] or ()) if row else set()


async def _version(connection: Connection, address: Address) -> int:
    """Of the last migration that was applied; 0 for none."""
    query = f'SELECT coalesce(max(version), 0) FROM "{address.schema}".migrations'  # noqa: S608  # a checked name
    row = await (await connection.execute(query.encode())).fetchone()
    return int(row[0]) if row else 0
