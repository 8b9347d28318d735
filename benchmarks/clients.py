"""HTTP clients alone, each a process of its own: ``python -m benchmarks.clients NAME URL COUNT`` prints its figures.

``closeout`` is closeout's own client with all that it does to an answer. The peers send the same request with the same
headers and read the body, no more.
"""

import asyncio
import gc
import json
import sys
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import httpx
from httpx_aiohttp import AiohttpTransport

from benchmarks.processes import KEY, run_module
from closeout.jobs.cli import COLLECT_AFTER
from closeout.worker.api.client import COLLECTIONS, Endpoint, open_api

IN_FLIGHT = 64
_WARM_UP = 200
_HEADERS = {"x-api-key": KEY, "accept": "application/json", "user-agent": "closeout"}
Send = Callable[[str], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class Cost:
    """What one request costs a client: requests a second, CPU microseconds each."""

    rate: float
    cpu: float


def measure_client(name: str, url: str, count: int, folder: Path) -> Cost:
    """Let one client send so many requests, in a process of its own."""
    return Cost(**run_module("clients", folder / "client", name, url, str(count)))


def _close_url(url: str, session_id: str) -> str:
    return f"{url}{COLLECTIONS['1.21']}/{session_id}/close"


@asynccontextmanager
async def _closeout(url: str) -> AsyncIterator[Send]:
    gc.set_threshold(COLLECT_AFTER)  # as the command does
    async with open_api(Endpoint(url, "1.21", KEY, timeout=30.0, connections=IN_FLIGHT)) as api:
        yield lambda session_id: api.close(session_id, None)


@asynccontextmanager
async def _httpx(url: str, transport: httpx.AsyncBaseTransport | None = None) -> AsyncIterator[Send]:
    limits = httpx.Limits(max_connections=IN_FLIGHT, max_keepalive_connections=IN_FLIGHT)
    async with httpx.AsyncClient(
        headers=_HEADERS, limits=limits, transport=transport, timeout=30, trust_env=False
    ) as http:
        yield lambda session_id: http.post(_close_url(url, session_id), json={})


@asynccontextmanager
async def _httpx_aiohttp(url: str) -> AsyncIterator[Send]:
    def session() -> aiohttp.ClientSession:
        return aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=IN_FLIGHT))

    async with _httpx(url, AiohttpTransport(client=session)) as send:
        yield send


@asynccontextmanager
async def _aiohttp(url: str) -> AsyncIterator[Send]:
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=IN_FLIGHT), cookie_jar=aiohttp.DummyCookieJar(), headers=_HEADERS
    ) as session:

        async def send(session_id: str) -> bytes:
            async with session.post(_close_url(url, session_id), json={}) as response:
                return await response.read()

        yield send


CLIENTS = {"closeout": _closeout, "httpx over aiohttp": _httpx_aiohttp, "aiohttp": _aiohttp, "httpx": _httpx}


async def _send_all(send: Send, count: int) -> None:
    """Every task takes the next id as soon as it has its answer."""
    ids = _new_ids(count)

    async def sender() -> None:
        for session_id in ids:
            await send(session_id)

    async with asyncio.TaskGroup() as tasks:
        for _ in range(min(IN_FLIGHT, count)):
            tasks.create_task(sender())


def _new_ids(count: int) -> Iterator[str]:
    return iter([str(uuid.uuid4()) for _ in range(count)])


async def _measure(name: str, url: str, count: int) -> Cost:
    async with CLIENTS[name](url) as send:
        await _send_all(send, _WARM_UP)
        began, cpu = time.perf_counter(), time.process_time()
        await _send_all(send, count)
        seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
    return Cost(count / seconds, cpu / count * 1e6)


if __name__ == "__main__":
    cost = asyncio.run(_measure(sys.argv[1], sys.argv[2], int(sys.argv[3])))
    print(json.dumps({"rate": cost.rate, "cpu": cost.cpu}))
