"""Firms: a proxy that wants a password, a CA of their own, an API that demands a certificate of its clients."""

import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.api.authority import authority
from tests.front_door.support import FAST, Desk, Done, desk_of, quick, wait_until
from tests.services import program

PASSWORD = "s3cret-of-the-proxy"  # noqa: S105  # of a proxy that lives for one test


def piped(one: socket.socket, other: socket.socket) -> None:
    """Whatever comes from one goes to the other."""
    with suppress(OSError):
        while part := one.recv(65_536):
            other.sendall(part)
    with suppress(OSError):
        other.shutdown(socket.SHUT_WR)


@contextmanager
def behind_tls(tls: ssl.SSLContext, port: int) -> Iterator[int]:
    """TLS before a server on loopback; yields its port."""

    def serve(accepted: socket.socket) -> None:
        with (
            suppress(OSError),
            tls.wrap_socket(accepted, server_side=True) as talk,
            socket.create_connection(("127.0.0.1", port)) as server,
        ):
            threading.Thread(target=piped, args=(server, talk), daemon=True).start()
            piped(talk, server)

    with socket.create_server(("127.0.0.1", 0)) as listener:

        def accept() -> None:
            with suppress(OSError):
                while True:
                    threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)


@contextmanager
def proxy(folder: Path, to: int) -> Iterator[tuple[int, Path]]:
    """A real proxy that lets connections to one port through, for who knows the password; yields its port and log."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    log, settings = folder / "proxy.log", folder / "proxy.conf"
    settings.write_text(
        f'Port {port}\nListen 127.0.0.1\nAllow 127.0.0.1\nLogFile "{log}"\nLogLevel Connect\nConnectPort {to}\n'
        f"MaxClients 50\nBasicAuth clerk {PASSWORD}\n"
    )
    with subprocess.Popen([program("tinyproxy"), "-d", "-c", str(settings)], stdout=subprocess.DEVNULL) as process:
        try:
            wait_until(lambda: _answers(port))
            yield port, log
        finally:
            process.kill()


def _answers(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


@pytest.fixture
def place(tmp_path: Path) -> Iterator[tuple[Desk, list[str], Path, list[str]]]:
    """A desk whose API is reached by TLS alone and demands a certificate, its sessions, the proxy's log and flags."""
    corp = authority(tmp_path)
    cert, key = corp.client_files(tmp_path)
    with desk_of(tmp_path, quick()) as (desk, sandbox):
        ids = sandbox.add_sessions(30)
        with (
            behind_tls(corp.server(of_clients=corp), urlsplit(desk.url or "").port or 0) as port,
            proxy(tmp_path, port) as (proxy_port, log),
        ):
            desk.url = f"https://127.0.0.1:{port}"
            way = f"http://clerk:{{}}@127.0.0.1:{proxy_port}"
            words = ["--proxy", way, "--cacert", str(corp.path), "--cert", str(cert), "--key", str(key)]
            yield desk, ids, log, words


def closes(desk: Desk, ids: list[str], *words: str) -> Done:
    return desk.run("close", desk.write_ids(ids), *FAST, "--json", *words)


def test_sessions_are_closed_through_a_proxy_with_a_ca_and_a_certificate_of_ones_own(
    place: tuple[Desk, list[str], Path, list[str]],
) -> None:
    """By flags, or a profile; and the password shows nowhere."""
    desk, ids, log, words = place
    given = [word.format(PASSWORD) for word in words]
    done = closes(desk, ids[:10], *given)
    assert (done.code, done.summary["outcomes"]["closed"]) == (0, 10), done.err
    lines = [f'{flag.lstrip("-")} = "{value}"\n' for flag, value in zip(given[::2], given[1::2], strict=True)]
    (desk.home / "closeout.toml").write_text("[profiles.firm]\n" + "".join(lines).replace("\nkey =", "\ncert_key ="))
    again = closes(desk, ids[10:], "--profile", "firm", "-vv")
    assert (again.code, again.summary["outcomes"]["closed"]) == (0, 20), again.err
    assert "CONNECT 127.0.0.1" in log.read_text()
    assert PASSWORD not in done.out + done.err + again.out + again.err
    assert PASSWORD.encode() not in desk.ledger.read_bytes()
    doctor = desk.run("doctor", "--profile", "firm")
    assert "knows the key" in doctor.out, doctor.out


@pytest.mark.parametrize(
    ("without", "why"),
    [
        ("--cacert", "which nothing here trusts: --cacert"), ("--cert", "certificate"), ("password", "answered 40"),
        ("proxy", "refused"),
    ],
)  # fmt: skip
def test_what_is_missing_is_named_and_nothing_was_sent(
    place: tuple[Desk, list[str], Path, list[str]], without: str, why: str
) -> None:
    """Within seconds; every session is as it was."""
    desk, ids, _, words = place
    given = [word.format("wrong" if without == "password" else PASSWORD) for word in words]
    if without == "--cacert":
        given = [*given[:2], *given[4:]]
    elif without == "--cert":
        given = given[:4]
    elif without == "proxy":
        given[1] = "http://127.0.0.1:9"
    done = closes(desk, ids, *given, "--give-up-after", "3s")
    assert done.code == 3, done
    assert why in done.summary["why"]
    assert {(row["outcome"], row["attempts"]) for row in desk.rows()} == {("pending", 0)}
    assert PASSWORD not in done.out + done.err


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["--key", "fk-a-key-of-the-api"], "--key: there is no --cert that it belongs to (the API key has no flag"),
        (["--cacert", "none.pem"], "--cacert: none.pem"),
        (["--proxy", f"ftp://clerk:{PASSWORD}@host"], "--proxy: no address of a proxy"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_sent(tmp_path: Path, words: list[str], why: str) -> None:
    """In one line, without the secret."""
    with desk_of(tmp_path, quick()) as (desk, sandbox):
        done = closes(desk, sandbox.add_sessions(3), *words)
        assert (done.code, done.err.count("\n")) == (2, 1)
        assert why in done.err
        assert "fk-a-key-of-the-api" not in done.err
        assert PASSWORD not in done.err
        assert sum(sandbox.counts.requests.values()) == 0
