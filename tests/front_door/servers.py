"""Small servers that misbehave in ways the sandbox does not."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager

from aiohttp import web

Answer = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


@contextmanager
def serving(answer: Answer) -> Iterator[str]:
    """Serve on loopback from a thread of its own; yields the base URL."""
    ready: Future[tuple[str, Callable[[], None]]] = Future()
    thread = threading.Thread(target=lambda: asyncio.run(_serve(answer, ready)), daemon=True)
    thread.start()
    url, stop = ready.result(10)
    try:
        yield url
    finally:
        stop()
        thread.join(10)


async def _serve(answer: Answer, ready: "Future[tuple[str, Callable[[], None]]]") -> None:
    loop, told = asyncio.get_running_loop(), asyncio.Event()
    runner = web.ServerRunner(web.Server(answer, handler_cancellation=True), shutdown_timeout=0.5)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    ready.set_result((f"http://127.0.0.1:{runner.addresses[0][1]}", lambda: _tell(loop, told)))
    await told.wait()
    await runner.cleanup()


def _tell(loop: asyncio.AbstractEventLoop, told: asyncio.Event) -> None:
    loop.call_soon_threadsafe(told.set)


def redirecting(target: str, status: int) -> Answer:
    """Answers each request with a redirect."""

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        return web.Response(status=status, headers={"Location": target + request.path_qs})

    return answer


def echoing(status: int, *, shape: str = "json") -> Answer:
    """Answers with an error that repeats all that was sent, the key included."""

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        key = request.headers.get("x-api-key", "")
        if shape == "html":
            return web.Response(status=status, text=f"<html>{dict(request.headers)}</html>", content_type="text/html")
        if shape == "code":
            return web.json_response({"error": key, "message": key}, status=status, headers={"x-echo": key})
        body = {"error": f"bad_key:{key}", "message": f"{dict(request.headers)}", "detail": [{"msg": key}]}
        return web.json_response(body, status=status, reason=key)

    return answer
