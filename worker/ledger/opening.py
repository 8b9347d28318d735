"""Opens the ledger that an address names."""

from contextlib import AbstractAsyncContextManager
from pathlib import Path

from worker.errors import ConfigurationError
from worker.ledger.protocol import Ledger
from worker.ledger.sqlite import SqliteLedger


def check_address(address: str) -> str:
    """The same address, if it can be one of a ledger: a file's path. Raises ConfigurationError otherwise."""
    if "://" in address:
        raise ConfigurationError(f"--ledger {address.split('://', 1)[0]}://: a ledger is a file here; name one")
    return address


def open_ledger(address: str, *, create: bool = False) -> AbstractAsyncContextManager[Ledger]:
    """Open the ledger at an address; it is brought to the newest schema, or made if that is asked for.

    Raises ConfigurationError and LedgerError.
    """
    return SqliteLedger.open(Path(check_address(address)), create=create)
