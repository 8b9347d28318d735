"""What ``--listen`` opens, before anything is sent: a port that is taken ends the command."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING

from closeout.worker.monitoring.listen import NO_METRICS, Address, bind, bound_to

if TYPE_CHECKING:
    from closeout.worker.monitoring.monitor import Monitor


@asynccontextmanager
async def listening(address: Address | None, say: Callable[[str], None]) -> AsyncIterator["Monitor | None"]:
    """What answers there, if that was asked for; a person is told where. Raises ConfigurationError."""
    if address is None:
        yield None
        return
    from closeout.worker.monitoring.monitor import telling  # noqa: PLC0415  # a server costs others their quick start

    with bind(address) as listener:
        missing = "" if find_spec("prometheus_client") else f"; {NO_METRICS}"
        say(f"/healthz, /readyz and /metrics are on http://{bound_to(listener)}{missing}")
        async with telling(listener) as told:
            yield told
