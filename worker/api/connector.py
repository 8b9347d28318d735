"""aiohttp's connections, made in phases that have names and time limits, and each failure told in one sentence.

A request is *unsent* until ``connect`` has given it a connection: what fails before that has written no byte of it.
"""

import asyncio
import re
import socket
import ssl
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.client_reqrep import ClientRequest, ConnectionKey

from closeout.worker.api.failures import Certificate, FailedExchangeError, Failure, Peer, Phase, unsent
from closeout.worker.api.failures import late as too_late
from closeout.worker.api.socks import join
from closeout.worker.api.tls import blind_context, certificates_of

PHASE_LIMIT = 10.0  # seconds for each phase of a connection, and never more than the whole exchange may take
_LOOK_LIMIT = 3.0  # seconds for a look at a certificate that was refused, which only makes the message better
IDLE = 2.0  # seconds for which a connection may lie idle where the server does not say: many drop it after five
_LONGEST_IDLE = 60.0  # seconds, whatever the server says: what stands between drops them, too
_ANSWERING = 1.0  # seconds that an answer may have been on its way, by which the server began to count earlier
_KEEP_ALIVE = re.compile(r"(?:^|[\s,;])timeout\s*=\s*\"?(\d{1,9})\b(?![\d.])", re.IGNORECASE)


def idle_allowed(keep_alive: str) -> float | None:
    """Seconds that a connection may lie idle by ``Keep-Alive: timeout=N`` (RFC 2068, 19.7.1.1); None if not told."""
    told = _KEEP_ALIVE.search(keep_alive)
    return None if told is None else max(0.0, min(int(told[1]) - _ANSWERING, _LONGEST_IDLE))


@dataclass(slots=True)
class Passage:
    """One request's way to its answer: in which phase it is, and for a new connection when each began.

    ``target`` is the host's bare name, ``limit`` the seconds that a phase may take, ``deadline`` the end of this one.
    """

    peer: Peer
    target: str = ""
    limit: float = PHASE_LIMIT
    phase: Phase = "pool"
    fresh: bool = False
    deadline: asyncio.Timeout | None = None
    began: dict[Phase, float] = field(default_factory=dict)

    def enter(self, phase: Phase) -> None:
        """Begin a phase, and its time."""
        if phase == self.phase:
            return
        self.phase = phase
        now = asyncio.get_running_loop().time()
        self.began.setdefault(phase, now)
        if self.deadline is not None and not self.deadline.expired():
            self.deadline.reschedule(now + self.limit)

    def took(self) -> dict[Phase, int]:
        """Milliseconds of each phase of a connection that was made just now."""
        ends = [*list(self.began.values())[1:], asyncio.get_running_loop().time()]
        return {name: round((end - at) * 1000) for (name, at), end in zip(self.began.items(), ends, strict=True)}


PASSAGE: ContextVar[Passage | None] = ContextVar("passage", default=None)


@dataclass(slots=True)
class Way:
    """How the last new connection was made: for ``doctor``. ``ms`` are by phase."""

    address: str = ""
    tls: str = ""
    certificates: tuple[Certificate, ...] = ()
    ms: dict[Phase, int] = field(default_factory=dict)


class _Noted(ssl.SSLObject):
    """TLS that tells when its handshake begins: with the host, or with a proxy on the way there."""

    def do_handshake(self) -> None:
        passage = PASSAGE.get()
        if passage is not None and (not passage.peer.proxy or self.server_hostname == passage.target):
            passage.enter("tls")
        super().do_handshake()


def _socket(address: Any) -> socket.socket:  # aiohappyeyeballs' AddrInfoType
    """A socket, at the beginning of its connection."""
    passage = PASSAGE.get()
    if passage is not None and not passage.peer.proxy:
        passage.enter("tcp")
    return socket.socket(*address[:3])


class PhasedConnector(aiohttp.TCPConnector):
    """Connections to one host. ``socks`` is the address of a SOCKS proxy that all go through; HTTP's are aiohttp's own.

    Raises FailedExchangeError for a connection that was not made. ``way`` tells how the last one was.
    """

    def __init__(self, trusted: ssl.SSLContext, *, limit: int, socks: str | None = None) -> None:
        trusted.sslobject_class = _Noted
        super().__init__(limit=limit, ssl=trusted, socket_factory=_socket, keepalive_timeout=IDLE)
        self._trusted = trusted
        self._socks = socks
        self.way = Way()

    def keeps(self, keep_alive: str | None) -> None:
        """Take in what the server says of how long it keeps a connection that lies idle."""
        allowed = None if keep_alive is None else idle_allowed(keep_alive)
        if allowed is not None:
            self._keepalive_timeout = allowed

    async def connect(  # aiohttp's names
        self,
        req: ClientRequest,
        traces: list[Any],
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109
    ) -> Any:
        """A connection of the pool, or a new one; from its return on the request counts as sent."""
        connection = await super().connect(req, traces, timeout)
        passage = PASSAGE.get()
        if passage is not None:
            passage.phase = "request"
        return connection

    async def _wait_for_available_connection(self, key: ConnectionKey, traces: list[Any]) -> None:
        passage = PASSAGE.get() or Passage(Peer(key.host))
        try:
            async with asyncio.timeout(passage.limit):
                await super()._wait_for_available_connection(key, traces)
        except TimeoutError as error:
            raise FailedExchangeError(too_late("pool", passage.peer, passage.limit)) from error

    async def _create_connection(
        self,
        req: ClientRequest,
        traces: list[Any],
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109
    ) -> ResponseHandler:
        passage = PASSAGE.get() or Passage(Peer(req.host))
        passage.fresh = True
        try:
            async with asyncio.timeout(passage.limit) as passage.deadline:
                passage.enter("proxy" if passage.peer.proxy else "dns")
                protocol = await self._open(req, traces, timeout)
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            if passage.deadline is not None and passage.deadline.expired():
                raise FailedExchangeError(too_late(passage.phase, passage.peer, passage.limit)) from error
            raise FailedExchangeError(await self._why(error, req, passage)) from error
        self.way = _way(protocol.transport, passage)
        return protocol

    async def _open(
        self,
        req: ClientRequest,
        traces: list[Any],
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109
    ) -> ResponseHandler:
        if self._socks is None:
            return await super()._create_connection(req, traces, timeout)
        joined = await join(self._socks, req.host, req.port or 443)
        tls, loop = req.is_ssl(), asyncio.get_running_loop()
        _, protocol = await loop.create_connection(
            partial(ResponseHandler, loop=loop),
            sock=joined,
            ssl=self._trusted if tls else None,
            server_hostname=req.host if tls else None,
        )
        return protocol

    async def _why(self, error: BaseException, req: ClientRequest, passage: Passage) -> Failure:
        """Why there is no connection. Of a certificate that was refused OpenSSL tells nothing: it is looked at anew."""
        failure = unsent(error, passage.phase, passage.peer)
        if not failure.code.startswith("unsent_tls_") or not _is_about_certificate(error):
            return failure
        seen = await self._look(req)
        return unsent(error, passage.phase, passage.peer, seen)

    async def _look(self, req: ClientRequest) -> tuple[Certificate, ...]:
        """The certificates that the host shows; nothing but a handshake is sent. Nothing where that fails, too."""
        looking = PhasedConnector(blind_context(), limit=1, socks=self._socks)
        own, certificates = PASSAGE.set(None), tuple[Certificate, ...]()
        try:
            async with asyncio.timeout(_LOOK_LIMIT):
                protocol = await looking._open(req, [], aiohttp.ClientTimeout())
                certificates = certificates_of(protocol.transport)
                protocol.abort()
        except (TimeoutError, aiohttp.ClientError, OSError):
            pass
        finally:
            PASSAGE.reset(own)
            await looking.close()
        return certificates


def _is_about_certificate(error: BaseException) -> bool:
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return True
    return isinstance(error, ssl.SSLCertVerificationError)


def _way(transport: asyncio.Transport | None, passage: Passage) -> Way:
    if transport is None:
        return Way()
    peer = transport.get_extra_info("peername") or ("",)
    tls = transport.get_extra_info("ssl_object")
    version = (tls.version() or "") if tls is not None else ""
    return Way(str(peer[0]), version, certificates_of(transport), passage.took())
