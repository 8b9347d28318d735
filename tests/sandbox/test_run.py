"""Running a sandbox, what it counts, and what it tells a person."""

import ast
import asyncio
import csv
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from closeout.worker.sandbox import Sandbox, SandboxConfig, describe, running_sandbox, serve
from closeout.worker.sandbox.api import answer
from closeout.worker.sandbox.routing import Call, canonical_id
from closeout.worker.sandbox.truth import most_within
from tests.sandbox.support import DAY, V21, talking

SOURCES = sorted((Path(__file__).parents[2] / "worker" / "sandbox").glob("*.py"))


@given(st.lists(st.integers(0, 40), max_size=30), st.integers(1, 10))
def test_the_busiest_stretch_is_found(instants: list[int], seconds: int) -> None:
    times = sorted(instants)
    counts = [sum(start <= time < start + seconds for time in times) for start in times]
    assert most_within([float(time) for time in times], float(seconds)) == max(counts, default=0)


@given(st.uuids())
def test_every_spelling_of_an_id_is_made_canonical(session_id: object) -> None:
    text = str(session_id)
    for spelling in (text, text.upper(), text.replace("-", ""), f"%7B{text}%7D", f"urn:uuid:{text}"):
        assert canonical_id(spelling) == text
    assert canonical_id(text[:-1]) is None


def test_the_stats_count_every_request_but_their_own() -> None:
    with talking() as talk:
        first, second = talk.sandbox.add_sessions(2)
        talk.close(first)
        talk.clock.now += 5
        talk.close(second)
        talk.close(second)
        talk.read(first)
        talk.list()
        for _ in range(2):
            stats = talk.http.get("/_sandbox/stats", headers={"x-api-key": "none"}).json()
        assert stats == talk.sandbox.stats()
        assert stats["requests"] == {"close": 3, "read": 1, "list": 1}
        assert stats["answers"] == {"200": 5}
        assert (stats["closes_effective"], stats["closes_repeated"]) == (2, 1)
        assert stats["busiest_second"] == talk.sandbox.busiest() == 4
        assert talk.sandbox.busiest(60) == 5


def test_the_hook_sees_each_arrival() -> None:
    with talking() as talk:
        [session_id] = talk.sandbox.add_sessions(1)
        seen: list[tuple[str, str | None]] = []
        talk.sandbox.on_request = lambda kind, session: seen.append((kind, session))
        talk.close(session_id)
        talk.read(session_id.upper())
        talk.list()
        talk.close("no-id")
    assert seen == [("close", session_id), ("read", session_id), ("list", None), ("close", None)]


def test_many_clients_at_once_close_each_session_once() -> None:
    sandbox = Sandbox(SandboxConfig(latency=0.0001, latency_jitter=0.001))
    ids = sandbox.add_sessions(300)
    with running_sandbox(sandbox) as url, ThreadPoolExecutor(8) as pool, httpx.Client(base_url=url) as http:

        def close(session_id: str) -> int:
            return http.post(f"{V21}/{session_id}/close", headers={"x-api-key": "sandbox-key"}).status_code

        assert set(pool.map(close, ids)) == {200}
    assert all(sandbox.truth(session_id).closes_effective == 1 for session_id in ids)


def test_slow_takes_effect_and_then_waits() -> None:
    sandbox = Sandbox(SandboxConfig(close_faults={"slow": 1}, slow_seconds=3))
    [session_id] = sandbox.add_sessions(1)
    reply = answer(sandbox, Call("POST", f"{V21}/{session_id}/close", "sandbox-key", b"{}"))
    assert (reply.status, reply.delay) == (200, 3)
    assert sandbox.truth(session_id).status == "closed"


def test_a_mix_of_statuses_and_a_range_of_starts() -> None:
    with talking() as talk:
        ids = talk.sandbox.add_sessions(100, status={"active": 3, "paused": 1, "expired": 1}, started=DAY)
        statuses = [talk.sandbox.truth(session_id).status for session_id in ids]
        assert set(statuses) == {"active", "paused", "expired"}
        talk.sandbox.set_status(ids[0], "waiting_for_human")
        assert talk.read(ids[0]).json()["status"] == "waiting_for_human"
        talk.sandbox.set_status(ids[0], "superseded")
        assert talk.read(ids[0]).json()["ended_at"] is not None
        starts = [item["started_at"] for item in talk.list(limit=200).json()["items"]]
    assert len(starts) == 100
    assert "2026-03-01T00:00:00Z" <= min(starts) <= max(starts) <= "2026-03-02T00:00:00Z"


def test_the_csv_holds_the_own_sessions(tmp_path: Path) -> None:
    sandbox = Sandbox()
    ids = sandbox.add_sessions()
    sandbox.add_sessions(5, organisation="other")
    path = tmp_path / "sessions.csv"
    assert sandbox.write_csv(path) == len(ids) == 1000
    with path.open(newline="") as file:
        assert list(csv.reader(file)) == [["session_id"], *([session_id] for session_id in ids)]
    assert sandbox.write_csv(path, ids[:2]) == 2
    assert path.read_bytes() == f"session_id\n{ids[0]}\n{ids[1]}\n".encode()


def test_the_description_says_where_and_how() -> None:
    sandbox = Sandbox(SandboxConfig(api_key="k-1", rate_limit=6000))
    sandbox.add_sessions(3)
    text = describe(sandbox, "http://127.0.0.1:8765")
    for part in ("CLOSEOUT_API_KEY=k-1", "--base-url http://127.0.0.1:8765", "3 live", "6000 requests per 60 s"):
        assert part in text
    assert "closeout close 'my ids.csv'" in describe(sandbox, "http://127.0.0.1:8765", "my ids.csv")


def test_serving_ends_when_cancelled_and_frees_its_port() -> None:
    async def scenario() -> str:
        ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        task = asyncio.create_task(serve(Sandbox(), "127.0.0.1", 0, ready.set_result))
        url = await ready
        async with httpx.AsyncClient(base_url=url) as http:
            assert (await http.get("/_sandbox/stats")).status_code == 200
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return url

    url = asyncio.run(scenario())
    with pytest.raises(httpx.ConnectError):
        httpx.get(url)


def test_an_address_in_use_is_an_error_and_leaves_no_thread() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match="in use"), running_sandbox(Sandbox(), port=port):
            pass
    assert not [thread for thread in threading.enumerate() if thread.name == "sandbox"]


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_the_sandbox_shares_no_code_with_the_rest(path: Path) -> None:
    ours = {"closeout"}
    for node in ast.walk(ast.parse(path.read_text())):
        names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        for name in names:
            assert name.split(".")[0] not in ours or name.startswith("closeout.worker.sandbox")
