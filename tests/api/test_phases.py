"""Each phase of a connection has its time and its name, and what failed before the first byte is unsent."""

import asyncio
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import anyio
import pytest

from closeout.worker.api import transport
from closeout.worker.config.network import Network, Place
from closeout.worker.domain.exchange import Answer
from tests.api.authority import Authority, authority, guarded
from tests.api.support import GOOD, SESSION, client, closed_by, json_reply, read_request, serving, talking

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.filterwarnings("ignore::ResourceWarning"),  # the server's side of a refused handshake
]
SHORT = 0.3  # seconds: the time of a phase that does not come to its end


@pytest.fixture
def corp(tmp_path: Path) -> Authority:
    """A CA that nothing trusts yet."""
    return authority(tmp_path)


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Phases are over soon; a whole exchange takes long."""
    monkeypatch.setattr(transport, "PHASE_LIMIT", SHORT)


def told(answer: Answer) -> tuple[str | None, bool, bool]:
    """What the ledger and the verdict go by."""
    assert answer.http_status is None
    return answer.exchange.error, answer.sent, answer.lasting


@contextmanager
def full_backlog() -> Iterator[int]:
    """A port that takes no more connections: what comes waits for an answer to its SYN."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as server:
        waiting = [socket.socket() for _ in range(4)]
        for each in waiting:
            each.setblocking(False)
            each.connect_ex(server.getsockname())
        yield server.getsockname()[1]
        for each in waiting:
            each.close()


async def _silent(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    await reader.read(-1)


@pytest.mark.usefixtures("hurried")
async def test_a_host_that_takes_no_connection_was_sent_nothing() -> None:
    """It is no timeout of a request, which would leave a doubt."""
    with full_backlog() as port:
        answer: Answer = await closed_by(f"http://127.0.0.1:{port}")
    assert told(answer) == ("unsent_tcp_timeout", False, False)
    assert answer.cause == f"127.0.0.1:{port} did not take the connection within 0.3 s"


@pytest.mark.usefixtures("hurried")
async def test_a_handshake_without_an_end_was_sent_nothing() -> None:
    """The time of the connection before it is not its own."""
    async with talking(_silent) as url:
        answer: Answer = await closed_by(url.replace("http:", "https:"))
    assert told(answer) == ("unsent_tls_timeout", False, False)
    assert "did not finish the TLS handshake within 0.3 s" in answer.cause


@pytest.mark.usefixtures("hurried")
async def test_a_name_that_is_not_resolved_in_time_was_sent_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A nameserver that is silent holds up a thread, and not the run."""
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: time.sleep(3 * SHORT))
    answer: Answer = await closed_by("http://slow.example")
    assert told(answer) == ("unsent_dns_timeout", False, False)
    assert answer.cause == "slow.example was not resolved within 0.3 s"


async def test_a_nameserver_that_does_not_answer_may_answer_later(monkeypatch: pytest.MonkeyPatch) -> None:
    """That there is no such name is final; that nobody could be asked is not."""

    def none(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    no_such: Answer = await closed_by("https://api.exmaple.invalid")
    monkeypatch.setattr(socket, "getaddrinfo", none)
    silent: Answer = await closed_by("https://api.example.com")
    assert told(no_such) == ("unsent_dns", False, True)
    assert no_such.cause == "cannot resolve api.exmaple.invalid"
    assert told(silent) == ("unsent_dns", False, False)
    assert silent.cause == "cannot resolve api.example.com: no nameserver answers"


@pytest.mark.usefixtures("hurried")
async def test_what_waits_for_a_free_connection_was_sent_nothing() -> None:
    """The only connection is taken by a request that is not answered."""
    arrived = asyncio.Event()

    async def talk(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await read_request(reader)
        arrived.set()
        await asyncio.Event().wait()

    answers = list[Answer]()

    async def close() -> None:
        answers.append(await api.close(SESSION, None))

    async with (
        talking(talk) as url,
        client(url, timeout=5 * SHORT, connections=1) as api,
        anyio.create_task_group() as all,
    ):
        all.start_soon(close)
        await arrived.wait()
        all.start_soon(close)
    assert [told(one) for one in answers] == [("unsent_pool_timeout", False, False), ("timeout", True, False)]
    assert answers[1].cause.startswith("no answer from 127.0.0.1:")


async def test_a_server_without_tls_is_told_from_one_with_a_bad_certificate() -> None:
    """And from one that breaks the handshake off."""

    async def hangs_up(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.read(1)

    async with serving(json_reply(GOOD)) as (plain, _):
        answer: Answer = await closed_by(plain.replace("http:", "https:"))
    assert told(answer) == ("unsent_tls", False, False)
    assert "does not speak TLS there: check --base-url" in answer.cause
    async with talking(hangs_up) as url:
        answer = await closed_by(url.replace("http:", "https:"))
    assert told(answer) == ("unsent_tls", False, False)


async def test_a_certificate_of_a_stranger_is_told_with_its_name(corp: Authority) -> None:
    """Nothing was sent, and nothing of it changes by itself."""
    async with serving(json_reply(GOOD), tls=corp.server()) as (url, seen):
        answer: Answer = await closed_by(url)
        trusting: Answer = await closed_by(url, network=corp.network)
    assert told(answer) == ("unsent_tls_untrusted", False, True)
    host = url.removeprefix("https://")
    assert answer.cause == (
        f"the certificate of {host} is signed by 'Corp', which nothing here trusts: --cacert FILE names a CA to trust"
    )
    assert trusting.http_status == 200
    assert len(seen.requests) == 1


async def test_a_certificate_that_is_over_or_for_another_says_so(corp: Authority) -> None:
    """With the date, and with whom it is for."""
    async with serving(json_reply(GOOD), tls=corp.server(age=timedelta(days=3))) as (url, seen):
        over: Answer = await closed_by(url, network=corp.network)
    async with serving(json_reply(GOOD), tls=corp.server("other.name", "www.other.name")) as (url, more):
        other: Answer = await closed_by(url, network=corp.network)
    assert told(over) == ("unsent_tls_expired", False, True)
    assert " expired on " in over.cause
    assert over.cause.endswith("GMT")
    assert told(other) == ("unsent_tls_name", False, True)
    assert other.cause.endswith(" is for other.name, www.other.name: check --base-url")
    assert not seen.requests + more.requests


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_a_server_that_wants_a_clients_certificate_says_so(
    tmp_path: Path, corp: Authority, version: ssl.TLSVersion
) -> None:
    """With TLS 1.3 it says so after the request has left, which it has not read: that is no lost answer."""
    staff = authority(tmp_path, "Staff CA")
    certificate, key = staff.client_files(tmp_path)
    tls = corp.server(of_clients=staff)
    tls.minimum_version = tls.maximum_version = version
    with_one = Network(ca=corp.network.ca, cert=Place(str(certificate), "--cert"), cert_key=Place(str(key), "--key"))
    with guarded(tls, GOOD) as url:
        without: Answer = await closed_by(url, network=corp.network)
        accepted: Answer = await closed_by(url, network=with_one)
    assert told(without) == ("unsent_tls_client_certificate", False, True)
    assert without.cause.endswith("asks for a client certificate: --cert and --key give one")
    assert accepted.http_status == 200


async def test_what_is_no_http_is_told_from_what_did_not_come() -> None:
    """The request was sent; whatever answered, it is not the API."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(b"SSH-2.0-OpenSSH_9.2p1\r\n\r\n")
        await writer.drain()

    async with talking(talk) as url:
        answer: Answer = await closed_by(url)
    assert told(answer) == ("unreadable_answer", True, False)
    assert "answers what is no HTTP" in answer.cause
