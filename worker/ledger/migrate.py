"""Brings a SQLite ledger to the schema of this version, and refuses what it must not touch."""

from dataclasses import dataclass
from importlib.resources import files

import apsw

from closeout.worker.errors import LedgerError
from closeout.worker.ledger.transaction import transaction

APPLICATION_ID = 0x434C4F53  # "CLOS": tells a ledger from any other SQLite file


@dataclass(frozen=True, slots=True)
class Migration:
    """One step of the schema; ``version`` is the one that it leads to."""

    version: int
    sql: str


def load_migrations(package: str = "closeout.worker.ledger") -> list[Migration]:
    """All migrations of this version, in order; the number in a file's name is the version it leads to."""
    folder = files(package).joinpath("migrations")
    found = [entry for entry in folder.iterdir() if entry.name.endswith(".sql")]
    return sorted(
        (Migration(int(entry.name.split("_")[0]), entry.read_text(encoding="utf-8")) for entry in found),
        key=lambda migration: migration.version,
    )


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
    application = connection.pragma("application_id")
    empty = connection.execute("SELECT count(*) FROM sqlite_schema").get == 0
    if application != APPLICATION_ID and not (empty and application == 0 and _version(connection) == 0):
        raise LedgerError(f"{path} is a SQLite database, but no ledger of closeout: name another file with --ledger")
    newest = migrations[-1].version
    version = _version(connection)
    if version > newest:
        raise LedgerError(
            f"{path} was written by a newer closeout (schema {version}, this one knows {newest}): upgrade closeout"
        )
    if version < newest and not may_be_older:
        raise LedgerError(f"{path} was written by an older closeout: `closeout runs` brings it up to date")


def _version(connection: apsw.Connection) -> int:
    return int(connection.pragma("user_version"))
