"""Opens the ledger that an address names."""

from contextlib import AbstractAsyncContextManager
from importlib.util import find_spec
from pathlib import Path

from closeout.worker.ledger.postgres.address import SCHEMES, parse_address
from closeout.worker.ledger.protocol import Ledger
from closeout.worker.ledger.sqlite.ledger import SqliteLedger
from closeout.worker.support.errors import ConfigurationError

_EXTRA = "a ledger on PostgreSQL needs two more libraries: pip install 'closeout[postgres]'"


def on_postgres(address: str) -> bool:
    """Whether the ledger is a database, and not a file."""
    return address.split("://", 1)[0] in SCHEMES and "://" in address


def check_address(address: str) -> str:
    """The same address, if it can be one of a ledger. Raises ConfigurationError otherwise."""
    if on_postgres(address):
        parse_address(address)
        if find_spec("psycopg") is None or find_spec("psycopg_pool") is None:
            raise ConfigurationError(f"--ledger: {_EXTRA}")
    elif "://" in address:
        raise ConfigurationError(
            f"--ledger {address.split('://', 1)[0]}://: a ledger is a file, or postgresql://user@host/database"
        )
    return address


def ledger_file(address: str) -> Path | None:
    """Where the ledger is, if it is a file."""
    return None if on_postgres(address) else Path(address)


def shown_address(address: str) -> str:
    """The address as it may be printed and stored: without a password."""
    return parse_address(address).shown if on_postgres(address) else address


def open_ledger(
    address: str, *, create: bool = False, read_only: bool = False, patience: float = 0.0
) -> AbstractAsyncContextManager[Ledger]:
    """Open the ledger at an address; it is brought to the newest schema, or made if that is asked for.

    ``read_only``: nothing is written to it, and one of an older schema is refused; runs can be steered all the same.
    ``patience``: for how many seconds a database server that is starting, or out of reach, is waited for.

    Raises ConfigurationError and LedgerError.
    """
    check_address(address)
    if on_postgres(address):
        from closeout.worker.ledger.postgres.ledger import PostgresLedger  # noqa: PLC0415  # an extra, and slow to load

        return PostgresLedger.open(address, create=create, read_only=read_only, patience=patience)
    return SqliteLedger.open(Path(address), create=create, read_only=read_only)
