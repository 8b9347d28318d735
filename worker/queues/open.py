"""Opens the queue that an address names; the driver for its server is imported only then."""

import importlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from closeout.worker.ledger.stores import MessageStore
from closeout.worker.queues.address import Address, parse_address
from closeout.worker.queues.in_ledger import open_embedded
from closeout.worker.queues.protocol import Queue
from closeout.worker.support.errors import ConfigurationError

# Where each kind of server is known: the module, its function that opens a queue, and the extra with the driver.
_SERVERS = {
    "redis": ("closeout.worker.queues.redis_streams", "open_redis", "redis"),
    "rediss": ("closeout.worker.queues.redis_streams", "open_redis", "redis"),
    "amqp": ("closeout.worker.queues.amqp", "open_amqp", "amqp"),
    "amqps": ("closeout.worker.queues.amqp", "open_amqp", "amqp"),
    "sqs": ("closeout.worker.queues.sqs", "open_sqs", "sqs"),
}


@asynccontextmanager
async def open_queue(url: str, store: MessageStore | None = None) -> AsyncIterator[Queue]:
    """Open the queue at an address; ``store`` holds those called ``queue:NAME``.

    Raises ConfigurationError and QueueError.
    """
    address = parse_address(url)
    if is_embedded(address):
        async with open_embedded(address, store) as queue:
            yield queue
    else:
        async with _opener(address)(address) as queue:
            yield queue


def is_embedded(address: Address) -> bool:
    return address.scheme == "queue"


def _opener(address: Address) -> Any:  # a function of a module that is looked up by name
    if address.scheme not in _SERVERS:
        known = ", ".join(["queue:NAME", *(f"{scheme}://" for scheme in _SERVERS)])
        raise ConfigurationError(f"unknown queue {address.scheme}://: use {known}")
    module, function, extra = _SERVERS[address.scheme]
    try:
        return getattr(importlib.import_module(module), function)
    except ImportError as error:
        if (error.name or "").startswith("closeout"):
            raise
        raise ConfigurationError(
            f"{address.scheme}:// needs a package that is not installed ({error.name}): pip install 'closeout[{extra}]'"
        ) from None
