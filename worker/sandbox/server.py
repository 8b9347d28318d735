"""Bringing answers to the wire: aiohttp's low-level server, without router, middlewares or access log."""

import asyncio
import socket
import struct
from http import HTTPStatus

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter

from closeout.worker.sandbox.api import answer
from closeout.worker.sandbox.replies import Reply
from closeout.worker.sandbox.routing import Call
from closeout.worker.sandbox.sandbox import Sandbox
from closeout.worker.sandbox.times import http_date

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # SO_LINGER on, for no time: the kernel sends RST instead of FIN
_PHRASES = {status.value: status.phrase for status in HTTPStatus}


class WholeMessage(web.StreamResponse):
    """An answer whose head and body are bytes already.

    It goes to the connection in one write; aiohttp's own way through header maps takes a fifth of the throughput.
    """

    def __init__(self, message: bytes, *, keep_alive: bool) -> None:
        super().__init__()
        self._message = message
        self._stays_open = keep_alive

    @property
    def keep_alive(self) -> bool:
        return self._stays_open

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        """Write the message, unless the client is gone."""
        if request.transport is not None and self._message:
            request.transport.write(self._message)
        return None

    async def write_eof(self, data: bytes = b"") -> None:
        """Do nothing: all was written at once."""


class Handler:
    """Answers the requests of one server. ``stop`` ends all hanging ones, so that the server can end."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox
        self._stopping = asyncio.Event()
        self._date = (0, "")

    def stop(self) -> None:
        self._stopping.set()

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request; a handler that waits is cancelled once its client is gone."""
        content = request.content
        body = content.read_nowait() if content.is_eof() else await request.read()
        reply = answer(self._sandbox, Call(request.method, request.raw_path, request.headers.get("x-api-key"), body))
        delay = reply.delay + self._latency()
        if delay > 0:
            await asyncio.sleep(delay)
        if reply.delivery == "whole":
            return WholeMessage(self._message(request, reply), keep_alive=request.keep_alive)
        await self._break_off(request, reply)
        return WholeMessage(b"", keep_alive=False)

    def _latency(self) -> float:
        config = self._sandbox.config
        if not config.latency and not config.latency_jitter:
            return 0.0
        return config.latency + config.latency_jitter * self._sandbox.jitter.random()

    def _message(self, request: web.BaseRequest, reply: Reply) -> bytes:
        retry_after = "" if reply.retry_after is None else f"Retry-After: {reply.retry_after}\r\n"
        connection = "" if request.keep_alive else "Connection: close\r\n"
        length = "" if reply.status == 204 else f"Content-Length: {len(reply.body)}\r\n"
        date = f"Date: {self._date_now()}\r\n" if self._sandbox.config.dated else ""
        head = (
            f"HTTP/1.1 {reply.status} {_PHRASES.get(reply.status, 'Unassigned')}\r\n{date}"
            f"Content-Type: {reply.content_type}\r\n{length}{retry_after}{connection}\r\n"
        )
        return head.encode() if request.method == "HEAD" else head.encode() + reply.body

    def _date_now(self) -> str:
        second = self._sandbox.now_us() // 1_000_000
        if self._date[0] != second:
            self._date = (second, http_date(second))
        return self._date[1]

    async def _break_off(self, request: web.BaseRequest, reply: Reply) -> None:
        """Leave the client without a whole answer."""
        if reply.delivery == "hang":
            await self._stopping.wait()
        transport = request.transport
        if transport is None:
            return
        if reply.delivery == "truncated":
            transport.write(self._message(request, reply)[: -len(reply.body) // 2])
            transport.close()
            return
        connection = transport.get_extra_info("socket")
        if connection is not None:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        transport.abort()
