"""What is Redis's own: groups, trimming, foreign producers, a server that restarts, and how it refuses."""

import re
import socket
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from redis.exceptions import ConnectionError as RedisConnectionError

from closeout.worker.domain.item import QueuedRow, SourceRow
from closeout.worker.queues import redis_streams
from closeout.worker.queues.messages import read_message
from closeout.worker.queues.open import open_queue
from closeout.worker.queues.redis_errors import in_words
from closeout.worker.support.errors import ConfigurationError, QueueError, QueueUnreachableError
from tests.queues.redis_server import PORT, client, fresh_name, url
from tests.queues.support import LONGEST, bodies, fetch_all
from tests.services import program

pytestmark = pytest.mark.anyio
ID = "0190c1f2-1111-7000-8000-00000000000a"


@pytest.fixture
async def stream() -> AsyncIterator[str]:
    """A stream that is not there yet, and is deleted afterwards."""
    made = fresh_name()
    async with client() as mine:
        yield made
        await mine.delete(made, f"{made}.dead")


@contextmanager
def private_server(folder: Path, port: int, *options: str) -> Iterator[None]:
    """A Redis of the test's own, killed at the end, that keeps what it was given."""
    command = [
        program("redis-server"),
        "--port",
        str(port),
        "--bind",
        "127.0.0.1",
        "--dir",
        str(folder),
        "--save",
        "",
        *options,
    ]
    command += ["--appendonly", "yes", "--appendfsync", "always"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as server:
        try:
            yield
        finally:
            server.kill()


def free_port() -> int:
    """One that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def port() -> int:
    """For a server of the test's own."""
    return free_port()


async def test_what_all_groups_have_acknowledged_is_trimmed(stream: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Never what somebody holds, nor what another group has not read."""
    monkeypatch.setattr(redis_streams, "_TRIM_EVERY", 0)
    async with open_queue(url(stream)) as queue, client() as mine:

        async def left() -> list[bytes]:
            entries: Any = await mine.xrange(stream)
            return [fields[b"body"] for _, fields in entries]

        await queue.push(bodies(10))
        found = await fetch_all(queue, 6, limit=6)
        await queue.acknowledge([*found[:2], *found[3:]])
        assert await left() == bodies(8, first=2)
        await mine.xgroup_create(stream, "slow", "0")
        await queue.acknowledge(found[2:3])
        assert await left() == bodies(8, first=2)
        await mine.xgroup_destroy(stream, "slow")
        rest = await fetch_all(queue, 4)
        await queue.acknowledge(rest)
        assert await left() == []


async def test_a_group_begins_with_what_was_there_before(stream: str) -> None:
    """What was pushed before anybody worked on it, as fields of their own or as one body."""
    async with client() as mine:
        await mine.xadd(stream, {"session_id": ID, "reason": "resolved", "not_before": "60", "more": b"\xff"})
        await mine.xadd(stream, {"body": ID})
        async with open_queue(url(stream)) as queue:
            first, second = await fetch_all(queue, 2)
        assert read_message(first.body) == QueuedRow(SourceRow(0, ID, "resolved"), None, 60_000)
        assert read_message(second.body) == QueuedRow(SourceRow(0, ID))
        assert await mine.xinfo_consumers(stream, "workers") != []  # what it holds others will claim


async def test_a_stream_that_is_deleted_meanwhile_is_made_anew(stream: str) -> None:
    """Whoever waits for it goes on waiting; one that held nothing leaves no trace in the group."""
    async with client() as mine, open_queue(url(stream)) as queue:
        await mine.delete(stream)
        assert await queue.fetch(1, 0.1) == []
        await queue.push([b"one"])
        await queue.acknowledge(await fetch_all(queue, 1))
    async with client() as mine:
        assert await mine.xinfo_consumers(stream, "workers") == []


async def test_a_server_that_is_killed_and_comes_back_has_lost_nothing(tmp_path: Path, port: int) -> None:
    """The same queue goes on: what was pushed is there, and what was held comes again."""
    with anyio.fail_after(2 * LONGEST):
        with private_server(tmp_path, port):
            queue_opened = open_queue(await _up(url("sessions", port)))
            queue = await queue_opened.__aenter__()
            await queue.push(bodies(5))
            held = await fetch_all(queue, 3, limit=3)
            await queue.acknowledge(held[:1])
        with pytest.raises(QueueUnreachableError, match="Redis does not answer"):
            await queue.fetch(1, 0)
        with private_server(tmp_path, port):
            await _up(url("sessions", port))
            wanted = {*bodies(5)} - {held[0].body}
            seen: set[bytes] = set()
            while seen != wanted:
                seen |= {message.body for message in await queue.fetch(10, 0.2)}
            await queue_opened.__aexit__(None, None, None)


async def test_what_redis_refuses_is_one_line(tmp_path: Path, port: int, stream: str) -> None:
    """Wrong credentials, something else under the name: it says what to do, and repeats no password."""
    with private_server(tmp_path, port, "--requirepass", "right"):
        address = url("s", port).replace("redis://", "redis://:wrong-7Qz@")
        with pytest.raises(QueueError, match="refuses the user, the password") as refused:
            await _up(address)
        assert not isinstance(refused.value, QueueUnreachableError)
        assert "wrong-7Qz" not in str(refused.value)
        with pytest.raises(QueueError, match="refuses the user, the password"):
            await _up(url("s", port))
    async with client() as mine:
        await mine.set(stream, "text")
    with pytest.raises(QueueError, match="the key exists and is not a stream"):
        await _up(url(stream))
    with pytest.raises(QueueUnreachableError, match=f"127.0.0.1:{port}"):
        async with open_queue(url("s", port)):
            pass
    with pytest.raises(ConfigurationError, match="name the stream"):
        await _up(f"redis://127.0.0.1:{PORT}")
    with pytest.raises(ConfigurationError, match="no option 'maxlen'"):
        await _up(f"{url(stream)}&maxlen=5")


async def _up(address: str) -> str:
    """The same address, once its server answers."""
    with anyio.fail_after(LONGEST):
        while True:
            try:
                async with open_queue(address):
                    return address
            except QueueUnreachableError:
                await anyio.sleep(0.05)


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("Error 111 connecting to 127.0.0.1:1. Connect call failed ('127.0.0.1', 1).", "Connection refused"),
        ("Error -2 connecting to nowhere:6379. Name or service not known.", "Name or service not known"),
        ("Connection closed by server.", "Connection closed by server."),
        ("", "ConnectionError"),
    ],
)
def test_why_redis_cannot_be_reached_is_said_once(said: str, told: str) -> None:
    """The driver says the address up to three times."""
    expected = rf"^redis: Redis does not answer \({re.escape(told)}\): check"
    with pytest.raises(QueueUnreachableError, match=expected), in_words("redis"):
        raise RedisConnectionError(said)
