"""The client against servers that fail: no answer is an answer too, and says whether the request may have arrived."""

import asyncio
import gzip
import socket

import anyio
import pytest
from aiohttp import web

from closeout.worker.api import transport
from closeout.worker.domain.exchange import Answer
from tests.api.support import KEY, SESSION, client, closed_by, json_reply, read_request, reset, serving, talking

pytestmark = pytest.mark.anyio
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
SHORT = 0.3  # seconds: the time limit of a request that will not be answered


async def test_a_refused_connection_was_not_sent() -> None:
    """Nothing listens there, so nothing can have happened."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    answer: Answer = await closed_by(f"http://127.0.0.1:{port}")
    assert (answer.http_status, answer.exchange.error, answer.sent) == (None, "unsent_tcp_refused", False)


async def test_an_unknown_host_was_not_sent() -> None:
    """The reserved name never resolves."""
    answer: Answer = await closed_by("http://nowhere.invalid")
    assert (answer.exchange.error, answer.sent) == ("unsent_dns", False)


@pytest.mark.parametrize("read_it", [False, True], ids=["before", "after"])
async def test_a_reset_connection_may_have_been_sent(read_it: bool) -> None:
    """Before the request was read or after it: the client cannot know."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if read_it:
            await read_request(reader)
        reset(writer)

    async with talking(talk) as url:
        answer: Answer = await closed_by(url)
    assert (answer.http_status, answer.exchange.error, answer.sent) == (None, "connection_lost", True)


@pytest.mark.parametrize(
    "said",
    [
        b"",
        HEAD,
        HEAD + b"Content-Length: 100\r\n\r\n{",
        HEAD + b'Transfer-Encoding: chunked\r\n\r\n5\r\n{"id"\r\n',
    ],
    ids=["nothing", "half a head", "half a body", "half a chunked body"],
)
async def test_a_truncated_answer_is_no_answer(said: bytes) -> None:
    """The request was sent; whether it was carried out is not known."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(said)
        await writer.drain()

    async with talking(talk) as url:
        answer: Answer = await closed_by(url)
    assert (answer.http_status, answer.exchange.error, answer.sent) == (None, "connection_lost", True)


@pytest.mark.parametrize("said", [b"", HEAD, HEAD + b"Content-Length: 9\r\n\r\n{"], ids=["silence", "head", "body"])
async def test_a_server_that_hangs_is_a_timeout(said: bytes) -> None:
    """Wherever it stops; the request was sent."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(said)
        await asyncio.Event().wait()

    with anyio.fail_after(60):
        async with talking(talk) as url:
            answer: Answer = await closed_by(url, timeout=SHORT)
    assert (answer.http_status, answer.exchange.error, answer.sent) == (None, "timeout", True)


async def test_a_slow_drip_ends_at_the_time_limit() -> None:
    """The limit is for the whole exchange, not for the next byte."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(HEAD + b"Content-Length: 1000000\r\n\r\n")
        while True:
            writer.write(b" ")
            await writer.drain()
            await asyncio.sleep(SHORT / 20)

    with anyio.fail_after(60):
        async with talking(talk) as url:
            answer: Answer = await closed_by(url, timeout=SHORT)
    assert (answer.http_status, answer.exchange.error, answer.sent) == (None, "timeout", True)


@pytest.mark.parametrize("packed", [False, True])
async def test_an_endless_answer_is_given_up(packed: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before it fills the memory, however small it was on the wire; the request was sent."""
    monkeypatch.setattr(transport, "LARGEST_ANSWER", 500_000)
    large = b" " * 600_000

    async def reply(_: web.Request) -> web.Response:
        if packed:
            return web.Response(body=gzip.compress(large), headers={"content-encoding": "gzip"})
        return web.Response(body=large)

    async with serving(reply) as (url, _), client(url) as api:
        answers: list[Answer] = [await api.close(SESSION, None) for _ in range(2)]
    assert [(one.http_status, one.exchange.error, one.sent) for one in answers] == [(None, "connection_lost", True)] * 2


async def test_a_failure_is_followed_by_proper_answers() -> None:
    """A broken connection is not used again."""
    connections = 0

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        await read_request(reader)
        if connections % 2:
            reset(writer)
        else:
            writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}")
            await writer.drain()

    async with talking(talk) as url, client(url) as api:
        found = [(await api.close(SESSION, None)).http_status for _ in range(6)]
    assert found == [None, 404] * 3


@pytest.mark.parametrize("kind", ["close", "read"])
async def test_a_request_leaves_once(kind: str) -> None:
    """A connection that breaks, fresh or used before, is no reason to send again unasked: the pace and the ledger would
    not know of it, and a close must not be repeated before it was looked at."""
    got = 0

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal got
        for number in range(2):
            await read_request(reader)
            got += 1
            if number:
                reset(writer)
                return
            writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\n{}")
            await writer.drain()

    async with talking(talk) as url, client(url) as api:
        for _ in range(6):
            await (api.close(SESSION, None) if kind == "close" else api.read(SESSION))
    assert got == 6


async def test_a_cancelled_request_is_cancelled() -> None:
    """It is no answer: the one who cancels knows what that means."""

    async def talk(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await read_request(reader)
        await asyncio.Event().wait()

    answered = False
    async with talking(talk) as url, client(url) as api:
        with anyio.move_on_after(SHORT) as scope:
            await api.close(SESSION, None)
            answered = True
    assert scope.cancelled_caught
    assert not answered


async def test_nothing_that_fails_tells_the_key() -> None:
    """Codes only."""
    async with serving(json_reply({"error": f"bad_key:{KEY}", "message": KEY}, 401)) as (url, _):
        answer: Answer = await closed_by(url)
    assert answer.exchange.error == "http_401"
    assert KEY not in repr(answer)
