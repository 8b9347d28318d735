"""``redis://``: a stream of Redis with a consumer group.

What a consumer holds stays pending in the group until it is acknowledged; what has been pending for longer than
``visibility`` is taken for stalled and claimed by whoever fetches next. Redis has no delayed redelivery: what is put
back is made to look as if it had been idle for all but the delay.
"""

import json
import os
import secrets
import socket
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, cast

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.client import Pipeline
from redis.exceptions import RedisError, ResponseError

from closeout.worker.queues.address import Address
from closeout.worker.queues.protocol import Depth, Message
from closeout.worker.queues.redis_errors import in_words
from closeout.worker.support.errors import ConfigurationError

_VISIBILITY = 60.0  # seconds
_LONGEST_BLOCK = 2.0  # seconds; the socket's time limit must be longer, or the client hangs and then fails
_SOCKET_TIMEOUT = 15.0
_CONNECT_TIMEOUT = 5.0
_CONNECTIONS = 4
_CLAIM_EVERY = 0.25  # seconds between looks for what is stalled
_TRIM_EVERY = 5.0  # seconds
_AT_ONCE = 500  # commands in one round trip
_BODY = b"body"
Entry = tuple[bytes, dict[bytes, bytes]]


@asynccontextmanager
async def open_redis(address: Address) -> AsyncIterator["RedisQueue"]:
    """Open a stream; it and its group are made if they are missing. Raises ConfigurationError and QueueError."""
    queue = RedisQueue(address)
    try:
        await queue.make_group()
        yield queue
    finally:
        await queue.close()


class RedisQueue:
    """See ``protocol.Queue``. A receipt is an entry's id."""

    def __init__(self, address: Address) -> None:
        options = address.only("stream", "group", "visibility")
        if not options.get("stream"):
            raise ConfigurationError(f"{address.name}: name the stream, as in redis://HOST?stream=NAME&group=NAME")
        self.name = address.name
        self._stream = options["stream"]
        self._group = options.get("group") or "closeout"
        self._dead = f"{self._stream}.dead"
        self._idle = round(1000 * address.seconds("visibility", _VISIBILITY))
        self._consumer = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(3)}"
        self._cursor: Any = "0-0"
        self._claim_at = self._trim_at = 0.0
        pool = BlockingConnectionPool.from_url(
            address.server,
            max_connections=_CONNECTIONS,
            timeout=_SOCKET_TIMEOUT,
            socket_timeout=_SOCKET_TIMEOUT,
            socket_connect_timeout=_CONNECT_TIMEOUT,
        )
        self._redis = Redis(connection_pool=pool)

    async def close(self) -> None:
        """A consumer that holds nothing leaves no trace; one that does is claimed from by others."""
        with suppress(RedisError, OSError):
            await self._forget_consumer()
        await self._redis.aclose()
        await self._redis.connection_pool.disconnect()

    async def _forget_consumer(self) -> None:
        held = await self._redis.xpending_range(self._stream, self._group, "-", "+", 1, consumername=self._consumer)
        if not held:
            await self._redis.xgroup_delconsumer(self._stream, self._group, self._consumer)

    async def make_group(self) -> None:
        """From the beginning of the stream: what was pushed before anybody worked on it is not lost."""
        with in_words(self.name):
            try:
                await self._redis.xgroup_create(self._stream, self._group, "0", mkstream=True)
            except ResponseError as error:
                if not str(error).startswith("BUSYGROUP"):
                    raise

    async def fetch(self, limit: int, wait: float) -> list[Message]:
        """What is stalled goes first. Waiting is cut into pieces, in which the stalled are looked for again."""
        ends = time.monotonic() + wait
        with in_words(self.name):
            while True:
                found = await self._stalled(limit) or await self._fresh(limit, ends - time.monotonic())
                if found or time.monotonic() >= ends:
                    return [Message(entry, _body(fields)) for entry, fields in found]

    async def _stalled(self, limit: int) -> list[Entry]:
        if time.monotonic() < self._claim_at:
            return []
        try:
            reply = await self._redis.xautoclaim(
                self._stream, self._group, self._consumer, self._idle, start_id=self._cursor, count=limit
            )
        except ResponseError as error:
            await self._mend(error)
            return []
        self._cursor, found = reply[0], cast("list[Entry]", reply[1])
        if not found and self._cursor == b"0-0":
            self._claim_at = time.monotonic() + _CLAIM_EVERY
        return [(entry, fields) for entry, fields in found if fields]  # those deleted meanwhile have none

    async def _fresh(self, limit: int, wait: float) -> list[Entry]:
        block = round(1000 * min(wait, _LONGEST_BLOCK))
        try:
            reply = await self._redis.xreadgroup(
                self._group, self._consumer, {self._stream: ">"}, count=limit, block=block if block > 0 else None
            )
        except ResponseError as error:
            await self._mend(error)
            return []
        return _entries(reply)

    async def _mend(self, error: ResponseError) -> None:
        """A stream that was deleted, or a server that came back empty, has no group any more."""
        if not str(error).startswith(("NOGROUP", "UNBLOCKED")):
            raise error
        await self.make_group()

    async def acknowledge(self, messages: Sequence[Message]) -> None:
        ids = _ids(messages)
        if not ids:
            return
        with in_words(self.name):
            await self._redis.xack(self._stream, self._group, *ids)
            if time.monotonic() >= self._trim_at:
                self._trim_at = time.monotonic() + _TRIM_EVERY
                await self._trim()

    async def _trim(self) -> None:
        """Delete what every group of the stream has acknowledged: all before the first that one still needs."""
        needed: list[tuple[int, int]] = []
        for group in await self._redis.xinfo_groups(self._stream):
            at, number = _split(group["last-delivered-id"])
            needed.append((at, number + 1))
            if group["pending"]:
                pending = await self._redis.xpending(self._stream, group["name"])
                needed += [_split(pending["min"])] if pending["min"] else []
        if needed:
            at, number = min(needed)
            await self._redis.xtrim(self._stream, minid=f"{at}-{number}", approximate=False)

    async def put_back(self, messages: Sequence[Message], delay: float) -> None:
        """A delay longer than ``visibility`` is cut to it."""
        idle = max(0, self._idle - round(1000 * delay))
        ids = _ids(messages)
        if ids:
            with in_words(self.name):
                await self._redis.xclaim(self._stream, self._group, self._consumer, 0, ids, idle=idle, justid=True)

    async def bury(self, messages: Sequence[Message], why: str) -> None:
        """Into the stream ``STREAM.dead``, and out of the group, in one transaction."""
        with in_words(self.name):
            for part in _parts(messages):
                async with self._redis.pipeline(transaction=True) as together:
                    for message in part:
                        together.xadd(self._dead, {_BODY: message.body, "why": why})
                    together.xack(self._stream, self._group, *_ids(part))
                    await together.execute()

    async def depth(self) -> Depth:
        """What waits is not known for a moment after entries were deleted by hand."""
        with in_words(self.name):
            groups = await self._redis.xinfo_groups(self._stream)
            dead = int(await self._redis.xlen(self._dead))
        mine = next((group for group in groups if group["name"] == self._group.encode()), None)
        if mine is None:
            return Depth(None, 0, dead)
        return Depth(mine.get("lag"), int(mine["pending"]), dead)

    async def push(self, bodies: Sequence[bytes]) -> None:
        """As durable as the server makes it: see its ``appendonly`` and ``appendfsync``."""
        with in_words(self.name):
            for part in _parts(bodies):
                pipeline: Pipeline
                async with self._redis.pipeline(transaction=False) as pipeline:
                    for body in part:
                        pipeline.xadd(self._stream, {_BODY: body})
                    await pipeline.execute()


def _ids(messages: Sequence[Message]) -> list[Any]:
    return [message.receipt for message in messages]


def _parts(things: Sequence[Any]) -> list[Sequence[Any]]:
    return [things[at : at + _AT_ONCE] for at in range(0, len(things), _AT_ONCE)]


def _entries(reply: Any) -> list[Entry]:  # a list or a dict, as the protocol's version has it
    if not reply:
        return []
    if isinstance(reply, dict):
        return [(entry, fields) for batches in reply.values() for batch in batches for entry, fields in batch]
    return [(entry, fields) for _, batch in reply for entry, fields in batch]


def _body(fields: dict[bytes, bytes]) -> bytes:
    """The field ``body``, or what other producers wrote as fields of their own, as one object."""
    if _BODY in fields:
        return fields[_BODY]
    values: dict[str, Any] = {_text(key): _text(value) for key, value in fields.items()}
    return json.dumps(values).encode()


def _text(value: bytes) -> str:
    return value.decode("utf-8", "replace")


def _split(entry: bytes) -> tuple[int, int]:
    """An entry's id: milliseconds and a number."""
    at, _, number = entry.decode().partition("-")
    return int(at), int(number)
