"""Running a sandbox: for the length of a ``with`` block in a thread of its own, or until cancelled."""

import asyncio
import contextlib
import gc
import shlex
import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import Future
from contextlib import asynccontextmanager, contextmanager

from aiohttp import web

from closeout.worker.sandbox.sandbox import Sandbox
from closeout.worker.sandbox.server import Handler

_SHUTDOWN_SECONDS = 0.5
_BACKLOG = 1024


@contextmanager
def running_sandbox(sandbox: Sandbox, host: str = "127.0.0.1", port: int = 0) -> Iterator[str]:
    """Serve a sandbox from another thread and yield its base URL; on leaving, all its connections are closed.

    Raises OSError where the address cannot be had.
    """
    started: Future[tuple[str, Callable[[], None]]] = Future()
    thread = threading.Thread(
        target=lambda: asyncio.run(_serve_until_told(sandbox, host, port, started)), name="sandbox", daemon=True
    )
    thread.start()
    try:
        url, stop = started.result()
    except Exception:
        thread.join()
        raise
    try:
        yield url
    finally:
        stop()
        thread.join()


async def serve(sandbox: Sandbox, host: str, port: int, ready: Callable[[str], None]) -> None:
    """Serve a sandbox until cancelled; ``ready`` is called with the base URL once it answers.

    Meant for a process that does nothing else. Raises OSError where the address cannot be had.
    """
    gc.freeze()  # the sessions stay as long as the process: looking through them again takes a fifth of its time
    try:
        async with _served(sandbox, host, port) as url:
            ready(url)
            await asyncio.Event().wait()
    finally:
        gc.unfreeze()


def describe(sandbox: Sandbox, url: str, source: str = "sessions.csv") -> str:
    """Tell a person where a sandbox is and how to close its sessions, whose ids are in ``source``."""
    config = sandbox.config
    live = sum(not session.terminal for session in list(sandbox.store.by_id.values()))
    limit = "none" if config.rate_limit is None else f"{config.rate_limit} requests per {config.rate_period:g} s"
    return "\n".join(
        (
            f"Sandbox: {url} (API {' and '.join(config.dialects)})",
            f"Sessions: {live} live of {len(sandbox.store.by_id)}; rate limit: {limit}",
            f"Key: {config.api_key}",
            f"Try: CLOSEOUT_API_KEY={config.api_key} closeout close {shlex.quote(source)} --base-url {url}",
            f"What it saw: {url}/_sandbox/stats",
        )
    )


async def _serve_until_told(
    sandbox: Sandbox, host: str, port: int, started: "Future[tuple[str, Callable[[], None]]]"
) -> None:
    loop = asyncio.get_running_loop()
    told = asyncio.Event()

    def stop() -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed when the server ended by itself
            loop.call_soon_threadsafe(told.set)

    try:
        async with _served(sandbox, host, port) as url:
            started.set_result((url, stop))
            await told.wait()
    except Exception as error:
        if started.done():
            raise
        started.set_exception(error)


@asynccontextmanager
async def _served(sandbox: Sandbox, host: str, port: int) -> AsyncIterator[str]:
    handler = Handler(sandbox)
    server = web.Server(handler, handler_cancellation=True, access_log=None)
    runner = web.ServerRunner(server, shutdown_timeout=_SHUTDOWN_SECONDS)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, port), family=family, backlog=_BACKLOG) as listening:
        await runner.setup()
        try:
            await web.SockSite(runner, listening, backlog=_BACKLOG).start()
            shown = f"[{host}]" if ":" in host else host
            yield f"http://{shown}:{listening.getsockname()[1]}"
        finally:
            handler.stop()
            # Accepting ends first: asyncio leaks a connection that it is still accepting when its server closes.
            asyncio.get_running_loop().remove_reader(listening.fileno())
            await _few_turns()
            await runner.cleanup()
            await _few_turns()


async def _few_turns() -> None:
    """Let the event loop finish what it has begun: accepting or closing a connection takes it a few turns."""
    for _ in range(8):
        await asyncio.sleep(0)
