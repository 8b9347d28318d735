"""How else verdicts can be had, each a process of its own: ``python -m benchmarks.naive NAME URL FILE RATE``.

``singly`` closes, then reads each session every 5 s until its verdict is there. ``list`` closes, waits until every
verdict must be there, and lists everything from the first to the last of its sessions. Prints requests per session.
"""

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import aiohttp

from benchmarks.processes import KEY
from closeout.worker.api.client import COLLECTIONS
from closeout.worker.domain.session import PAGE_SIZE

_EVERY = 5.0
_ALL_DONE = 25.0
_IN_FLIGHT = 32
_NONE_BELIEVED = 15.0  # seconds, as closeout does


class Naive:
    """One client at a steady rate; ``sent`` counts its requests."""

    def __init__(self, session: aiohttp.ClientSession, url: str, rate: float) -> None:
        self._session = session
        self._collection = url + COLLECTIONS["1.21"]
        self._interval = 1 / rate
        self._next = time.monotonic()
        self.sent = 0

    async def ask(self, method: str, path: str, **query: str) -> dict[str, Any]:
        """One request in its turn; the JSON of its answer."""
        self._next = max(self._next + self._interval, time.monotonic())
        await asyncio.sleep(self._next - time.monotonic())
        self.sent += 1
        async with self._session.request(method, self._collection + path, params=query) as response:
            answer: dict[str, Any] = await response.json()
        return answer

    async def close(self, session_id: str) -> dict[str, Any]:
        """Close one session; the session."""
        return await self.ask("POST", f"/{session_id}/close")


def _final(session: dict[str, Any], age: float) -> bool:
    evals = session["eval_summary"]
    bare = evals["eval_status"] == "none" and not evals["total"]
    return not evals["pending"] and evals["eval_status"] != "pending" and not (bare and age < _NONE_BELIEVED)


async def _singly(client: Naive, ids: list[str]) -> None:
    async def follow(session_id: str) -> None:
        await client.close(session_id)
        closed = time.monotonic()
        while True:
            await asyncio.sleep(_EVERY)
            age = time.monotonic() - closed
            if _final(await client.ask("GET", f"/{session_id}"), age):
                return

    async with asyncio.TaskGroup() as tasks:
        for session_id in ids:
            tasks.create_task(follow(session_id))


async def _list(client: Naive, ids: list[str]) -> None:
    starts: list[datetime] = []
    todo = iter(ids)

    async def closer() -> None:
        for session_id in todo:
            starts.append(datetime.fromisoformat((await client.close(session_id))["started_at"]))

    async with asyncio.TaskGroup() as tasks:
        for _ in range(_IN_FLIGHT):
            tasks.create_task(closer())
    await asyncio.sleep(_ALL_DONE)
    query = {
        "started_after": min(starts).isoformat(),
        "started_before": max(starts).isoformat(),
        "limit": str(PAGE_SIZE),
    }
    more = True
    while more:
        page = await client.ask("GET", "", **query)
        more = page["has_more"]
        query["cursor"] = page.get("next_cursor") or ""


WAYS: dict[str, Callable[[Naive, list[str]], Awaitable[None]]] = {"singly": _singly, "list": _list}


async def _measure(name: str, url: str, ids: list[str], rate: float) -> float:
    connector = aiohttp.TCPConnector(limit=_IN_FLIGHT)
    async with aiohttp.ClientSession(connector=connector, headers={"x-api-key": KEY}) as session:
        client = Naive(session, url, rate)
        await WAYS[name](client, ids)
    return client.sent / len(ids)


if __name__ == "__main__":
    lines = Path(sys.argv[3]).read_text(encoding="utf-8").split()[1:]
    cost = asyncio.run(_measure(sys.argv[1], sys.argv[2], lines, float(sys.argv[4])))
    print(json.dumps({"requests": cost}))
