"""A server that costs next to nothing, so that a client beside it is what is measured; a process of its own.

It reads as much HTTP as the clients here write, closes every session, and remembers nothing. ``python -m
benchmarks.server`` prints its address and serves until its standard input ends.
"""

import asyncio
import json
import re
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import formatdate
from pathlib import Path
from typing import Any

from benchmarks.processes import Child, first_line, running
from closeout.worker.sandbox.evaluations import NO_EVALS
from closeout.worker.sandbox.rendering import render_session
from closeout.worker.sandbox.sandbox import Sandbox

STATS = b"/benchmark"
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_ID = re.compile(rb"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_EMPTY_PAGE = b'{"items":[],"has_more":false,"next_cursor":null}'


def _template() -> tuple[bytes, bytes, bytes]:
    """A closed session as the sandbox renders one, cut where its id and its time of closing go."""
    sandbox = Sandbox()
    (session_id,) = sandbox.add_sessions(1)
    sandbox.close_elsewhere(session_id)
    session = sandbox.store.by_id[session_id]
    text = render_session(session, "1.21", sandbox.organisation_id("own"), NO_EVALS, sandbox.now_us())
    before, after = text.split(session_id, 1)
    closed_at = json.loads(text)["closed_at"]
    between, rest = after.split(f'"closed_at":"{closed_at}"', 1)
    return before.encode(), (between + '"closed_at":"').encode(), ('"' + rest).encode()


class Replies:
    """Writes the answers and keeps the counts of all connections."""

    def __init__(self) -> None:
        self.requests = 0
        self.first_at: float | None = None
        self._parts = _template()
        self._second = 0
        self._head = b""

    def answer(self, line: bytes) -> bytes:
        """The answer to a request line."""
        target = line.split(b" ", 2)[1]
        if target == STATS:
            return self._message(self._stats())
        if self.first_at is None:
            self.first_at = time.monotonic()
        self.requests += 1
        found = _ID.search(target)
        if found is None:
            return self._message(_EMPTY_PAGE)
        before, between, after = self._parts
        now = datetime.now(UTC).isoformat().encode()
        return self._message(b"".join((before, found[0], between, now, after)))

    def _stats(self) -> bytes:
        """The counts so far; they begin anew."""
        stats = {"requests": self.requests, "first_at": self.first_at, "cpu": time.process_time()}
        self.requests, self.first_at = 0, None
        return json.dumps(stats).encode()

    def _message(self, body: bytes) -> bytes:
        second = int(time.time())
        if second != self._second:
            self._second = second
            date = formatdate(second, usegmt=True)
            self._head = f"HTTP/1.1 200 OK\r\nDate: {date}\r\nContent-Type: application/json\r\n".encode()
        return b"%bContent-Length: %d\r\n\r\n%b" % (self._head, len(body), body)


class Connection(asyncio.Protocol):
    """One connection: whole requests in, answers out, kept alive."""

    def __init__(self, replies: Replies) -> None:
        self._replies = replies
        self._buffer = b""
        self._transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if isinstance(transport, asyncio.WriteTransport):
            self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while (head := self._take()) is not None and self._transport is not None:
            self._transport.write(self._replies.answer(head.split(b"\r\n", 1)[0]))

    def _take(self) -> bytes | None:
        """The head of the next request once all of it has arrived; its body is passed over."""
        head, blank, rest = self._buffer.partition(b"\r\n\r\n")
        if not blank:
            return None
        found = _LENGTH.search(head)
        length = int(found[1]) if found else 0
        if len(rest) < length:
            return None
        self._buffer = rest[length:]
        return head


async def _serve() -> None:
    loop = asyncio.get_running_loop()
    replies = Replies()
    server = await loop.create_server(lambda: Connection(replies), "127.0.0.1", 0, backlog=1024)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await loop.run_in_executor(None, sys.stdin.read)
    server.close()


class Server:
    """The running server, seen from another process."""

    def __init__(self, url: str, child: Child) -> None:
        self.url = url
        self._child = child

    def stats(self) -> dict[str, Any]:
        """Requests and the time of the first one (monotonic clock) since the last call; CPU seconds since its start."""
        self._child.poll()
        with urllib.request.urlopen(self.url + STATS.decode(), timeout=10) as answer:  # noqa: S310  # loopback
            stats: dict[str, Any] = json.load(answer)
        return stats


@contextmanager
def running_server(folder: Path) -> Iterator[Server]:
    """A server for the length of the block."""
    with running([sys.executable, "-m", "benchmarks.server"], folder / "server") as child:
        yield Server(first_line(child), child)


if __name__ == "__main__":
    asyncio.run(_serve())
