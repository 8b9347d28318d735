"""What the client's tests share: small real servers on loopback, and a client that talks to one."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from closeout.worker.api.client import Api, Endpoint, open_api
from closeout.worker.config.network import Network

KEY = "key-0f9e8d7c6b5a"
SESSION = "0190c1f2-0000-7000-8000-000000000001"
GOOD = {"id": SESSION, "status": "closed", "started_at": "2026-03-01T10:00:00Z", "closed_at": "2026-03-02T10:00:00Z"}
Reply = Callable[[web.Request], Awaitable[web.StreamResponse]]
Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Seen:
    """The requests that a server got."""

    requests: list[web.Request] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)


def client(  # a context manager that yields an Api
    url: str, *, dialect: str = "1.21", timeout: float = 5.0, connections: int = 4, network: Network | None = None
) -> Any:
    """An Api that talks to this address."""
    return open_api(Endpoint(url, dialect, KEY, timeout, connections, network or Network()))


@asynccontextmanager
async def serving(reply: Reply, *, tls: ssl.SSLContext | None = None) -> AsyncIterator[tuple[str, Seen]]:
    """An HTTP server that answers every request in the same way; yields its address and what it saw."""
    seen = Seen()

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        seen.bodies.append(await request.read())
        seen.requests.append(request)  # type: ignore[arg-type]  # its path, query and headers are the same
        return await reply(request)  # type: ignore[arg-type]  # as above

    runner = web.ServerRunner(web.Server(handle), shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
    await site.start()
    try:
        port = runner.addresses[0][1]
        yield f"{'https' if tls else 'http'}://127.0.0.1:{port}", seen
    finally:
        await runner.cleanup()


@asynccontextmanager
async def talking(talk: Talk) -> AsyncIterator[str]:
    """A server that says whatever bytes it is told to; yields its address."""
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            await talk(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            tasks.discard(task)
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for task in tuple(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def read_request(reader: asyncio.StreamReader) -> bytes:
    """The head of a request, and its body."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = next((int(line[15:]) for line in head.lower().splitlines() if line.startswith(b"content-length:")), 0)
    return head + await reader.readexactly(length)


def reset(writer: asyncio.StreamWriter) -> None:
    """Break the connection off, as a crashed server does."""
    transport = writer.transport
    assert isinstance(transport, asyncio.Transport)
    transport.abort()


def json_reply(body: object, status: int = 200, headers: dict[str, str] | None = None) -> Reply:
    """Always this JSON."""

    async def reply(_: web.Request) -> web.StreamResponse:
        return web.json_response(body, status=status, headers=headers)

    return reply


async def closed_by(url: str, **options: Any) -> Any:  # the Answer; an Api is opened for this one request
    """The answer to one close."""
    async with client(url, **options) as api:
        found: Api = api
        return await found.close(SESSION, None)
