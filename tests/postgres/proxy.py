"""A TCP proxy between a worker and its database, which breaks as networks do."""

import math
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from urllib.parse import urlsplit, urlunsplit

_COMMIT = b"COMMIT"
_BUFFER = 65_536
_Pair = tuple[socket.socket, socket.socket]


class Proxy:
    """Passes bytes on, both ways.

    ``hold`` lets nothing through any more, and nobody is told, as when a cable is cut; ``heal`` makes it work again for
    new connections, and breaks the old ones. ``commit`` is called with what holds a COMMIT before it is passed on:
    False drops the connection instead, and None passes it on, but never what the server answers. ``sent_at``: when a
    client has last sent anything, on the monotonic clock.
    """

    def __init__(self, target: tuple[str, int], listener: socket.socket | None = None) -> None:
        self.commit: Callable[[], bool | None] = lambda: True
        self.sent_at = -math.inf
        self._target = target
        self._open = threading.Event()
        self._open.set()
        self._pairs: list[_Pair] = []
        self._listener = listener or socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def url(self, url: str) -> str:
        """The same database by way of this proxy."""
        parts = urlsplit(url)
        user = f"{parts.netloc.rpartition('@')[0]}@" if "@" in parts.netloc else ""
        return urlunsplit(parts._replace(netloc=f"{user}127.0.0.1:{self.port}"))

    def hold(self) -> None:
        self._open.clear()

    def heal(self) -> None:
        self.sever()
        self._open.set()

    def sever(self) -> None:
        """Break all connections there are, so that both ends see it."""
        for pair in self._pairs:
            _close(pair)
        self._pairs.clear()

    def close(self) -> None:
        self.hold()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.sever()
        self._open.set()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._connect, args=(client,), daemon=True).start()

    def _connect(self, client: socket.socket) -> None:
        self._open.wait()
        try:
            server = socket.create_connection(self._target)
        except OSError:
            client.close()
            return
        pair = (client, server)
        self._pairs.append(pair)
        muted = threading.Event()
        for source, sink in ((client, server), (server, client)):
            threading.Thread(target=self._pump, args=(pair, source, sink, muted), daemon=True).start()

    def _pump(self, pair: _Pair, source: socket.socket, sink: socket.socket, muted: threading.Event) -> None:
        with suppress(OSError):
            while data := source.recv(_BUFFER):
                self._open.wait()
                if source is pair[0]:
                    self.sent_at = time.monotonic()
                if source is pair[0] and _COMMIT in data:
                    passed = self.commit()
                    if passed is None:
                        muted.set()
                    elif not passed:
                        break
                if source is pair[1] and muted.is_set():
                    break
                sink.sendall(data)
        _close(pair)


def _close(pair: _Pair) -> None:
    for each in pair:
        with suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)
        each.close()


@contextmanager
def proxied(url: str) -> Iterator[Proxy]:
    """A proxy before the server of an address."""
    parts = urlsplit(url)
    proxy = Proxy((parts.hostname or "127.0.0.1", parts.port or 5432))
    try:
        yield proxy
    finally:
        proxy.close()
