"""How long a connection may lie idle before it is used again: a server that drops it loses what is sent meanwhile."""

import asyncio
import json
import time

import pytest

from closeout.worker.api.connector import idle_allowed
from tests.api.support import GOOD, SESSION, client, read_request, talking

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("keep_alive", "idle", "again"),
    [
        (None, 1.5, True), (None, 2.5, False), ("timeout=5", 3.5, True), ("timeout=5", 4.5, False),
        ("timeout=1", 0.2, False), ("max=99, Timeout = 60", 30, True), ("timeout=99999", 61, False),
        ("timeout=soon", 1.5, True), ("max=5", 2.5, False),
    ],
)  # fmt: skip
async def test_a_connection_is_used_again_as_long_as_the_server_surely_keeps_it(
    monkeypatch: pytest.MonkeyPatch, keep_alive: str | None, idle: float, again: bool
) -> None:
    """Two seconds where it does not say; a second less than it says, for that is how long an answer may have taken."""
    connections, passed = 0, 0.0
    monkeypatch.setattr("aiohttp.connector.monotonic", lambda: time.monotonic() + passed)

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        body = json.dumps(GOOD).encode()
        told = "" if keep_alive is None else f"Keep-Alive: {keep_alive}\r\n"
        head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n{told}\r\n"
        while True:
            await read_request(reader)
            writer.write(head.encode() + body)

    async with talking(talk) as url, client(url) as api:
        for _ in range(2):
            assert (await api.close(SESSION, None)).http_status == 200
            passed += idle
    assert connections == (1 if again else 2)


@pytest.mark.parametrize("header", ["", "timeout", "timeout=", "timeout=-1", "x-timeout=5", "timeout=" + "9" * 400])
async def test_a_header_that_says_nothing_changes_nothing(header: str) -> None:
    """Whatever a proxy writes."""
    assert idle_allowed(header) is None
