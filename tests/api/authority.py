"""Certificates of a CA that exists for one test."""

import json
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import trustme

from closeout.worker.config.network import Network, Place


@dataclass
class Authority:
    """A CA, and where its certificate lies."""

    ca: trustme.CA
    path: Path

    @property
    def network(self) -> Network:
        """One that trusts it."""
        return Network(ca=Place(str(self.path), "--cacert"))

    def server(
        self, *names: str, age: timedelta = timedelta(0), of_clients: "Authority | None" = None
    ) -> ssl.SSLContext:
        """A server's context; its certificate ended so long ago, if ``age`` is given. May demand one of its clients."""
        ends = datetime.now(UTC) - age if age else None
        begins = ends - timedelta(days=1) if ends else None
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.ca.issue_cert(*(names or ("127.0.0.1",)), not_before=begins, not_after=ends).configure_cert(context)
        if of_clients is not None:
            context.verify_mode = ssl.CERT_REQUIRED
            of_clients.ca.configure_trust(context)
        return context

    def client_files(self, folder: Path) -> tuple[Path, Path]:
        """A client's certificate and its key."""
        issued, certificate, key = self.ca.issue_cert("closeout@example.com"), folder / "cert.pem", folder / "key.pem"
        issued.private_key_pem.write_to_path(str(key))
        for blob in issued.cert_chain_pems:
            blob.write_to_path(str(certificate), append=True)
        return certificate, key


def authority(folder: Path, name: str = "Corp Root CA") -> Authority:
    """A new one."""
    ca, path = trustme.CA(organization_name="Corp", organization_unit_name=name), folder / f"{name}.pem"
    ca.cert_pem.write_to_path(str(path))
    return Authority(ca, path)


@contextmanager
def guarded(tls: ssl.SSLContext, body: object) -> Iterator[str]:
    """A server that says why it ends a handshake, as all but asyncio's do. It always answers this JSON."""
    content = json.dumps(body).encode()
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n".encode()

    def serve(accepted: socket.socket) -> None:
        accepted.settimeout(10)
        with suppress(OSError), accepted:
            try:
                with tls.wrap_socket(accepted, server_side=True, do_handshake_on_connect=False) as talk:
                    try:
                        talk.do_handshake()
                    except ssl.SSLError:
                        plain = socket.socket(fileno=talk.detach())
                        with plain:
                            plain.shutdown(socket.SHUT_WR)
                            while plain.recv(65_536):  # what is unread would take the alert with it
                                pass
                        return
                    while talk.recv(65_536):
                        talk.sendall(head + content)
            except ssl.SSLError:
                return

    with socket.create_server(("127.0.0.1", 0)) as server:

        def accept() -> None:
            with suppress(OSError):
                while True:
                    threading.Thread(target=serve, args=(server.accept()[0],), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        yield f"https://127.0.0.1:{server.getsockname()[1]}"
        server.shutdown(socket.SHUT_RDWR)
