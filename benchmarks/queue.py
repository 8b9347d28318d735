"""Queues: how fast several workers go through one in the ledger, and how soon after a push its close leaves."""

import random
import secrets
import statistics
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import anyio
import anyio.to_thread
from redis.asyncio import Redis

from benchmarks.figures import Figure, Target
from benchmarks.processes import CLOSEOUT, KEY, running, sessions_a_second
from benchmarks.queue_worker import QUEUE
from closeout.worker.ledger.sqlite.ledger import SqliteLedger
from closeout.worker.queues.open import open_queue
from closeout.worker.sandbox import Sandbox, SandboxConfig, running_sandbox

_SESSIONS = 100_000
_WORKERS = 4
_PUSHES = 100
_ROUNDS = 3
_REDIS = "redis://127.0.0.1:6379/0"


def measure(folder: Path) -> list[Figure]:
    """Throughput of the ledger's queue, then the latency of two kinds."""
    rates = [_rate(folder / f"rate-{number}") for number in range(_ROUNDS)]
    figures = [Figure(f"queue in the ledger, {_WORKERS} workers", "sessions/s", rates, Target("at least", 5_000))]
    figures += _latency(folder / "embedded", "queue:sessions")
    stream = f"closeout-benchmark-{secrets.token_hex(4)}"
    try:
        figures += _latency(folder / "redis", f"{_REDIS}?stream={stream}")
    finally:
        anyio.run(_delete, stream)
    return figures


async def _delete(stream: str) -> None:
    async with Redis.from_url(_REDIS) as server:
        await server.delete(stream)


def _rate(work: Path) -> float:
    """Sessions through fetch, admit, acknowledge, claim and record, by the time from the first worker to the last."""
    work.mkdir()
    ledger = work / "ledger.db"
    anyio.run(_fill, ledger)
    command = [sys.executable, "-m", "benchmarks.queue_worker", str(ledger)]
    return sessions_a_second(command, work, _WORKERS, _SESSIONS)


async def _fill(path: Path) -> None:
    async with SqliteLedger.open(path, create=True) as ledger, open_queue(QUEUE, ledger.messages) as queue:
        for _ in range(0, _SESSIONS, 10_000):
            await queue.push([str(uuid.uuid4()).encode() for _ in range(10_000)])


def _latency(work: Path, url: str) -> Iterator[Figure]:
    """From the beginning of a push to the arrival of its close, at a worker that has nothing else to do."""
    work.mkdir()
    sandbox = Sandbox(SandboxConfig(eval_delay=(0.1, 0.5)))
    sandbox.add_key(KEY)
    arrived: dict[str, float] = {}
    changed = threading.Event()

    def on_request(kind: str, session: str | None) -> None:
        if kind == "close" and session is not None:
            arrived[session] = time.monotonic()
            changed.set()

    sandbox.on_request = on_request
    ids = sandbox.add_sessions(_PUSHES + 1)
    with running_sandbox(sandbox) as host:
        command = [*CLOSEOUT, "work", url, "--base-url", host, "--ledger", str(work / "ledger.db"), "--no-progress"]
        with running(command, work):
            waits = anyio.run(_push_all, url, work / "ledger.db", ids, arrived, changed)
    found = sorted(1000 * wait for wait in waits[1:])  # the first one waits for the process to start
    kind = url.partition(":")[0]
    name = "queue in the ledger" if kind == "queue" else kind
    yield Figure(f"{name}: push to close, median", "ms", [statistics.median(found)], Target("at most", 200))
    yield Figure(
        f"{name}: push to close, 99 of 100", "ms", [found[round(0.99 * len(found)) - 1]], Target("at most", 200)
    )


async def _push_all(
    url: str, ledger: Path, ids: list[str], arrived: dict[str, float], changed: threading.Event
) -> list[float]:
    waits = []
    async with SqliteLedger.open(ledger, create=True) as opened, open_queue(url, opened.messages) as queue:
        for session in ids:
            began = time.monotonic()
            changed.clear()
            await queue.push([session.encode()])
            while session not in arrived:
                await anyio.to_thread.run_sync(changed.wait, 30.0)
            waits.append(arrived[session] - began)
            await anyio.sleep(random.uniform(0.1, 0.5))  # noqa: S311  # no time of a look is met again and again
    return waits
