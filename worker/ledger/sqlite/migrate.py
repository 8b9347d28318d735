"""Brings a SQLite ledger to the schema of this version, and refuses what it must not touch."""

import apsw

from closeout.worker.ledger.sqlite.connection import transaction
from closeout.worker.ledger.statements import Migration
from closeout.worker.support.errors import LedgerError, OldLedgerError

APPLICATION_ID = 0x434C4F53  # "CLOS": tells a ledger from any other SQLite file


def migrate(connection: apsw.Connection, path: str, migrations: list[Migration]) -> None:
    """Apply what is missing, each migration and its record in one transaction.

    Raises LedgerError for a file that is no ledger and for a ledger that a newer version has written.
    """
    check_version(connection, path, migrations)
    for migration in migrations:
        with transaction(connection):
            if migration.version > _version(connection):
                connection.execute(migration.sql)
                connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
                connection.execute(f"PRAGMA user_version = {migration.version}")


def check_version(
    connection: apsw.Connection, path: str, migrations: list[Migration], *, may_be_older: bool = True
) -> None:
    """Raise LedgerError unless this version may work on the file."""
    application, tables, version = _looked_at(connection)
    if application != APPLICATION_ID and (application, tables, version) != (0, 0, 0):
        raise LedgerError(f"{path} is a SQLite database, but no ledger of closeout: name another file with --ledger")
    newest = migrations[-1].version
    if version > newest:
        raise LedgerError(
            f"{path} was written by a newer closeout (schema {version}, this one knows {newest}): upgrade closeout"
        )
    if version < newest and not may_be_older:
        raise OldLedgerError(f"{path} was written by an older closeout: `closeout runs` brings it up to date")


def _looked_at(connection: apsw.Connection) -> tuple[int, int, int]:
    """Its mark, how many tables it has, and its version, as of one instant: others may be making it just now."""
    connection.execute("BEGIN")
    try:
        tables = connection.execute("SELECT count(*) FROM sqlite_schema").get
        return connection.pragma("application_id"), tables, _version(connection)
    finally:
        if connection.in_transaction:  # some errors have taken it back already
            connection.execute("ROLLBACK")


def _version(connection: apsw.Connection) -> int:
    return int(connection.pragma("user_version"))
