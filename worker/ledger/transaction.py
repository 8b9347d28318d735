"""Transactions of SQLite that leave the rest of the process running while they wait."""

from collections.abc import Iterator
from contextlib import contextmanager

import apsw


@contextmanager
def transaction(connection: apsw.Connection) -> Iterator[None]:
    """One transaction, which has the write lock from its beginning; what is raised inside takes it back.

    ``with connection:`` would hold Python's global lock at its begin and its commit: while it waits for the file, or
    for the disk, no other thread runs, neither the event loop nor the one that has the file and must let it go.
    """
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:  # some errors, such as a full disk, have taken it back already
            connection.execute("ROLLBACK")
        raise
