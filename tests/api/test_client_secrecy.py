"""Where the key goes, and where it does not."""

import ssl
import subprocess
from pathlib import Path

import pytest
from aiohttp import web

from closeout.worker.domain.exchange import Answer
from closeout.worker.domain.session import Listing
from tests.api.support import GOOD, KEY, SESSION, client, closed_by, json_reply, serving
from tests.services import program

pytestmark = pytest.mark.anyio


async def test_the_key_is_sent_as_x_api_key_and_nowhere_else() -> None:
    """Neither in the address, nor in another header, nor in the body."""
    async with serving(json_reply(GOOD)) as (url, seen), client(url) as api:
        await api.close(SESSION, "resolved")
        await api.list_states(Listing(started_after=0, started_before=1), "cursor")
    for request, body in zip(seen.requests, seen.bodies, strict=True):
        assert request.headers.getall("x-api-key") == [KEY]
        others = [value for name, value in request.headers.items() if name.lower() != "x-api-key"]
        assert not any(KEY in text for text in (str(request.url), body.decode(), *others))


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_not_followed(status: int) -> None:
    """The key would go with it."""
    async with serving(json_reply(GOOD)) as (elsewhere, seen):

        async def reply(_: web.Request) -> web.Response:
            return web.Response(status=status, headers={"location": elsewhere + "/v1/v2/conversations"})

        async with serving(reply) as (url, _):
            answer: Answer = await closed_by(url)
    assert answer.http_status == status
    assert not seen.requests


async def test_cookies_are_not_kept() -> None:
    """A request says nothing of the one before it."""
    async with (
        serving(json_reply(GOOD, headers={"set-cookie": "tracker=1; Path=/"})) as (url, seen),
        client(url) as api,
    ):
        for _ in range(3):
            await api.close(SESSION, None)
    assert not any("cookie" in request.headers for request in seen.requests)


async def test_no_proxy_is_taken_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """It would see the key."""
    async with serving(json_reply(GOOD)) as (proxy, through), serving(json_reply(GOOD)) as (url, direct):
        for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, proxy)
        for name in ("NO_PROXY", "no_proxy"):
            monkeypatch.delenv(name, raising=False)
        answer: Answer = await closed_by(url)
    assert answer.http_status == 200
    assert (len(direct.requests), len(through.requests)) == (1, 0)


async def test_no_password_is_taken_from_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A .netrc of the user has nothing to do with this."""
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login me password secret\n")
    (tmp_path / ".netrc").chmod(0o600)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    async with serving(json_reply(GOOD)) as (url, seen):
        await closed_by(url)
    assert "authorization" not in seen.requests[0].headers


async def test_two_hosts_are_two_clients() -> None:
    """Each request goes to the host of its client."""
    async with (
        serving(json_reply(GOOD)) as (one, seen_one),
        serving(json_reply(GOOD)) as (two, seen_two),
        client(one) as first,
        client(two) as second,
    ):
        await first.close(SESSION, None)
        await second.close(SESSION, None)
        await second.close(SESSION, None)
    assert (len(seen_one.requests), len(seen_two.requests)) == (1, 2)


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 that nobody has signed, and its key."""
    openssl = program("openssl")
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    command = [
        openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
        "-subj", "/CN=127.0.0.1",
        "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate),
    ]  # fmt: skip
    subprocess.run(command, check=True, capture_output=True)
    return certificate, key


def server_context(certificate: tuple[Path, Path]) -> ssl.SSLContext:
    """What a server with this certificate needs."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    return context


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # the server's side of a refused handshake
async def test_an_untrusted_certificate_is_refused_before_anything_is_sent(certificate: tuple[Path, Path]) -> None:
    """The key must not reach whoever stands between."""
    async with serving(json_reply(GOOD), tls=server_context(certificate)) as (url, seen):
        answer: Answer = await closed_by(url)
    assert (answer.http_status, answer.exchange.error, answer.sent) == (None, "unsent_tls_untrusted", False)
    assert not seen.requests


async def test_a_trusted_certificate_is_accepted(
    certificate: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that the system's settings name."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))
    async with serving(json_reply(GOOD), tls=server_context(certificate)) as (url, _):
        answer: Answer = await closed_by(url)
    assert answer.http_status == 200


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # the server's side of a refused handshake
async def test_a_certificate_for_another_host_is_refused(
    certificate: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Trusted or not."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))
    async with serving(json_reply(GOOD), tls=server_context(certificate)) as (url, seen):
        answer: Answer = await closed_by(url.replace("127.0.0.1", "localhost"))
    assert (answer.exchange.error, answer.sent) == ("unsent_tls_name", False)
    assert not seen.requests
