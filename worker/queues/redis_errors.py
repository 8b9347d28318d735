"""What the errors of Redis mean for whoever waits: in one line, and whether trying again makes sense."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager

from redis.exceptions import (
    AuthenticationError,
    AuthorizationError,
    NoPermissionError,
    RedisError,
    ResponseError,
)

from closeout.worker.support.errors import QueueError, QueueUnreachableError

_REFUSED = (AuthenticationError, AuthorizationError, NoPermissionError)
# The server is there and cannot do it now: loading, read-only or out of memory or disk, failing over.
_PASSING = (
    "LOADING", "READONLY", "OOM", "MISCONF", "BUSY", "MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN", "NOREPLICAS", "NOGROUP",
)  # fmt: skip
_not_connected = re.compile(r"Error (?P<number>-?\d+) connecting to \S+\. (?P<told>.*?)\.?").fullmatch


@contextmanager
def in_words(name: str) -> Iterator[None]:
    """Errors of the driver become ours; ``name`` is the queue's."""
    try:
        yield
    except _REFUSED as error:
        raise _refused(name, _first_line(error)) from error
    except ResponseError as error:
        raise _of_response(name, error) from error
    except (RedisError, OSError) as error:
        why = _why_not_connected(_first_line(error)) or type(error).__name__
        told = f"{name}: Redis does not answer ({why}): check the address and the server"
        raise QueueUnreachableError(told) from error


def _of_response(name: str, error: ResponseError) -> QueueError:
    text = _first_line(error)
    if "WRONGTYPE" in text:
        return QueueError(f"{name}: the key exists and is not a stream: name another one with ?stream=")
    if text.startswith(("NOAUTH", "WRONGPASS", "NOPERM")):
        return _refused(name, text)
    if text.startswith(_PASSING):
        return QueueUnreachableError(f"{name}: Redis cannot do it now: {text}")
    return QueueError(f"{name}: Redis refuses: {text}")


def _refused(name: str, text: str) -> QueueError:
    return QueueError(f"{name}: Redis refuses the user, the password or what they may do: {text}")


def _why_not_connected(text: str) -> str:
    """What the system says, without the address once and twice more."""
    found = _not_connected(text)
    if found is None:
        return text
    number, told = int(found["number"]), found["told"]
    return os.strerror(number) if number > 0 else told


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0][:200]
