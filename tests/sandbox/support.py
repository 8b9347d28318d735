"""A clock that stands still until told, and a client that talks to a running sandbox."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from closeout.worker.sandbox import Sandbox, SandboxConfig, running_sandbox

V21 = "/v1/v2/conversations"
V90 = "/v1/conversations"
START = datetime(2026, 3, 1, tzinfo=UTC)
DAY = (START, START + timedelta(days=1))


@dataclass
class Clock:
    """Seconds since the epoch, moved by hand."""

    now: float = (START + timedelta(days=2)).timestamp()

    def __call__(self) -> float:
        return self.now


@dataclass
class Talk:
    """A running sandbox, its clock and a client that holds its key."""

    sandbox: Sandbox
    clock: Clock
    http: httpx.Client

    def close(self, session_id: str, body: Any = None, base: str = V21, **options: Any) -> httpx.Response:
        content = {"json": body} if body is not None else {"content": b"{}"}
        return self.http.post(f"{base}/{session_id}/close", **content, **options)

    def read(self, session_id: str, base: str = V21) -> httpx.Response:
        return self.http.get(f"{base}/{session_id}")

    def list(self, base: str = V21, **query: Any) -> httpx.Response:
        return self.http.get(base, params=query)


@contextmanager
def talking(config: SandboxConfig | None = None) -> Iterator[Talk]:
    """Serve a sandbox on a clock that stands still."""
    clock = Clock()
    sandbox = Sandbox(config, clock=clock, monotonic=clock)
    with (
        running_sandbox(sandbox) as url,
        httpx.Client(base_url=url, headers={"x-api-key": sandbox.config.api_key}, timeout=60) as http,
    ):
        yield Talk(sandbox, clock, http)
