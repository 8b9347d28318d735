"""Who runs this process, and where: kept with each run, for those who ask later."""

import getpass
import socket


def whoami() -> str:
    """``login@host``, as the machine knows them."""
    try:
        login = getpass.getuser()
    except (OSError, KeyError):  # a container may run as a number that has no name
        login = "?"
    return f"{login}@{socket.gethostname()}"
