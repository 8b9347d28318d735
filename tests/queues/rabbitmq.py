"""A fresh queue on the RabbitMQ of this machine, deleted afterwards."""

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aio_pika
from aio_pika.abc import AbstractChannel

from closeout.worker.queues.amqp import REASON
from tests.queues.support import Rig
from tests.services import missing

SERVER = "amqp://guest:guest@127.0.0.1:5672/"


@asynccontextmanager
async def channel() -> AsyncIterator[AbstractChannel]:
    """A client of the tests' own."""
    try:
        connection = await aio_pika.connect(SERVER)
    except OSError:
        missing("RabbitMQ on 127.0.0.1:5672")
    async with connection:
        yield await connection.channel()


async def dead_letters(queue: str) -> list[tuple[bytes, str]]:
    """Take all that lies in the dead-letter queue."""
    found = []
    async with channel() as mine:
        dead = await mine.get_queue(f"{queue}.dead")
        while (message := await dead.get(fail=False, no_ack=True)) is not None:
            found.append((message.body, str(message.headers.get(REASON))))
    return found


def fresh_name() -> str:
    """A name that nobody else uses."""
    return f"closeout-test-{secrets.token_hex(6)}"


@asynccontextmanager
async def rabbitmq(_: Path) -> AsyncIterator[Rig]:
    """See ``IMPLEMENTATIONS``."""
    name = fresh_name()
    async with channel() as mine:
        yield Rig(f"{SERVER}?queue={name}", lambda: dead_letters(name))
        for queue in (name, f"{name}.dead"):
            await mine.queue_delete(queue)
