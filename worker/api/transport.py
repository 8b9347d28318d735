"""httpx's requests over aiohttp's connections: httpx's own transport cannot keep up with the API's limit.

A request costs little more than aiohttp alone takes for it (docs/benchmarks.md).
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import aiohttp
import anyio.to_thread
import httpx
from yarl import URL

from closeout.worker.api.connector import PASSAGE, PHASE_LIMIT, Passage, PhasedConnector, Way
from closeout.worker.api.failures import FailedExchangeError, Failure, Peer, late, lost, unsent
from closeout.worker.api.tls import trusting_context
from closeout.worker.config.network import Network, shown_proxy

LARGEST_ANSWER = 32 * 1024 * 1024  # bytes, unpacked: a page of 200 sessions is far smaller


@dataclass(frozen=True, slots=True)
class Route:
    """Where all requests of a transport go: host and port as they are shown, and the seconds that one may take."""

    peer: Peer
    target: str
    seconds: float
    proxy: str | None = field(default=None, repr=False)


class AiohttpTransport(httpx.AsyncBaseTransport):
    """Gives each answer whole, or FailedExchangeError.

    A request whose extension ``target`` is set goes to that path instead of its URL's.
    """

    def __init__(self, session: aiohttp.ClientSession, connector: PhasedConnector, route: Route) -> None:
        self._session = session
        self._connector = connector
        self._route = route
        self._limit = min(PHASE_LIMIT, route.seconds)

    @property
    def way(self) -> Way:
        """How the last new connection was made."""
        return self._connector.way

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        passage = Passage(self._route.peer, self._route.target, self._limit)
        PASSAGE.set(passage)
        try:
            return await self._exchange(request)
        except FailedExchangeError:
            raise
        except Exception as error:
            raise FailedExchangeError(self._failure(error, passage)) from error

    def _failure(self, error: Exception, passage: Passage) -> Failure:
        """By how far the request had come: no error's type tells that as surely."""
        if isinstance(error, TimeoutError) and not isinstance(error, aiohttp.ClientConnectorError):
            return late(passage.phase, passage.peer, self._route.seconds)
        if passage.phase != "request":
            return unsent(error, passage.phase, passage.peer)
        return lost(error, passage.peer, fresh=passage.fresh)

    async def _exchange(self, request: httpx.Request) -> httpx.Response:
        async with self._session.request(
            request.method,
            _address(request),
            headers=[(name.decode(), value.decode()) for name, value in request.headers.raw],
            data=request.read() or None,
            allow_redirects=False,
            proxy=self._route.proxy,
        ) as response:
            content = await _read(response.content)
        self._connector.keeps(response.headers.get("keep-alive"))
        headers = response.raw_headers
        if "content-encoding" in response.headers:  # it is unpacked already
            headers = tuple(pair for pair in headers if pair[0].lower() != b"content-encoding")
        return _Whole(response.status, headers, content, request)


class _Whole(httpx.Response):
    """An answer that has come already: httpx would go through its content once more, at a tenth of a request's cost."""

    def __init__(
        self, status: int, headers: Sequence[tuple[bytes, bytes]], content: bytes, request: httpx.Request
    ) -> None:
        super().__init__(status, headers=headers, stream=httpx.ByteStream(content), request=request)
        self._whole = content

    @property
    def content(self) -> bytes:
        return self._whole


def _address(request: httpx.Request) -> URL:
    """As httpx has encoded it."""
    target = request.extensions.get("target")
    if target is None:
        return URL(str(request.url), encoded=True)
    return URL(f"{request.url.scheme}://{request.url.netloc.decode()}{target.decode()}", encoded=True)


async def _read(content: aiohttp.StreamReader) -> bytes:
    """All of it, in bounds."""
    parts, size = list[bytes](), 0
    while part := await content.readany():
        parts.append(part)
        size += len(part)
        if size > LARGEST_ANSWER:
            raise aiohttp.ClientPayloadError(f"the answer is larger than {LARGEST_ANSWER} bytes")
    return b"".join(parts)


@asynccontextmanager
async def open_transport(
    address: str, connections: int, *, seconds: float, network: Network
) -> AsyncIterator[AiohttpTransport]:
    """Connections to the host of an address; one whole exchange may take so many ``seconds``.

    Redirects are never followed: the key would go with them. Cookies are not kept, and what the environment says is
    taken only by way of ``network``. Raises ConfigurationError for a certificate that cannot be read.
    """
    # 20 ms to read the machine's certificates: in the first request they would hold up those that are to follow it.
    trusted = await anyio.to_thread.run_sync(trusting_context, network)
    url, proxy = httpx.URL(address), network.proxy_for(address)
    socks = proxy if proxy is not None and proxy.startswith("socks") else None
    route = Route(
        Peer(url.netloc.decode(), shown_proxy(proxy) if proxy is not None else ""),
        url.raw_host.decode().rstrip("."),
        seconds,
        proxy if socks is None else None,
    )
    connector = PhasedConnector(trusted, limit=connections, socks=socks)
    async with aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        # aiohttp rounds long time limits up to whole seconds, unless told not to.
        timeout=aiohttp.ClientTimeout(total=seconds, ceil_threshold=float("inf")),
    ) as session:
        # aiohttp would send a GET again on its own after a broken connection, outside the pace and the ledger; it has
        # no public setting for that.
        session._retry_connection = False
        yield AiohttpTransport(session, connector, route)
