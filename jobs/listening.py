"""What ``--listen`` opens, before anything is sent: a port that is taken ends the command."""

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.util import find_spec

from worker.operations.address import NO_METRICS, Address, bind, bound_to


@asynccontextmanager
async def listening(address: Address | None) -> AsyncIterator[socket.socket | None]:
    """A socket that listens there, if that was asked for. Raises ConfigurationError."""
    if address is None:
        yield None
        return
    with bind(address) as listener:
        yield listener


def where_it_listens(listener: socket.socket) -> str:
    """A line for the person."""
    missing = "" if find_spec("prometheus_client") else f"; {NO_METRICS}"
    return f"/healthz, /readyz and /metrics are on http://{bound_to(listener)}{missing}"
