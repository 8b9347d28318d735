"""A fresh stream on the Redis of this machine, deleted afterwards."""

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import ConnectionError as NoConnectionError

from tests.queues.support import VISIBILITY, Rig
from tests.services import missing

PORT = 6379


@asynccontextmanager
async def client(port: int = PORT) -> AsyncIterator[Redis]:
    """A client of the tests' own."""
    async with Redis(host="127.0.0.1", port=port) as mine:
        try:
            await mine.ping()
        except NoConnectionError:
            missing(f"Redis on 127.0.0.1:{port}")
        yield mine


async def dead_letters(stream: str) -> list[tuple[bytes, str]]:
    """What lies in the dead-letter stream."""
    async with client() as mine:
        entries: Any = await mine.xrange(f"{stream}.dead")
        return [(fields[b"body"], fields[b"why"].decode()) for _, fields in entries]


def fresh_name() -> str:
    """A name that nobody else uses."""
    return f"closeout-test-{secrets.token_hex(6)}"


def url(stream: str, port: int = PORT) -> str:
    """The address of a stream."""
    return f"redis://127.0.0.1:{port}/0?stream={stream}&group=workers&visibility={VISIBILITY}s"


@asynccontextmanager
async def redis(_: Path) -> AsyncIterator[Rig]:
    """See ``IMPLEMENTATIONS``."""
    stream = fresh_name()
    async with client() as mine:
        yield Rig(url(stream), lambda: dead_letters(stream))
        await mine.delete(stream, f"{stream}.dead")
