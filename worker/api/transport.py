"""httpx's requests over aiohttp's connections: httpx's own transport cannot keep up with the API's limit.

A request costs little more than aiohttp alone takes for it (docs/benchmarks.md).
"""

import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import aiohttp
import anyio.to_thread
import httpx
from yarl import URL

LARGEST_ANSWER = 32 * 1024 * 1024  # bytes, unpacked: a page of 200 sessions is far smaller


class AiohttpTransport(httpx.AsyncBaseTransport):
    """Gives each answer whole, or one of httpx's exceptions.

    ``httpx.ConnectError`` alone proves that nothing was sent. A request whose extension ``target`` is set goes to that
    path instead of its URL's.
    """

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        try:
            return await self._exchange(request)
        except aiohttp.ClientConnectorError as error:
            raise httpx.ConnectError(str(error), request=request) from error
        except TimeoutError as error:
            raise httpx.ReadTimeout(str(error), request=request) from error
        except (aiohttp.ClientError, OSError) as error:
            raise httpx.ReadError(str(error), request=request) from error

    async def _exchange(self, request: httpx.Request) -> httpx.Response:
        async with self._session.request(
            request.method,
            _address(request),
            headers=[(name.decode(), value.decode()) for name, value in request.headers.raw],
            data=request.read() or None,
            allow_redirects=False,
        ) as response:
            content = await _read(response.content)
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
async def open_transport(connections: int, *, seconds: float) -> AsyncIterator[AiohttpTransport]:
    """Connections of their own; one whole exchange may take so many ``seconds``.

    Redirects are never followed: the key would go with them. Cookies are not kept, and neither proxies nor keys are
    taken from the environment.
    """
    # 20 ms to read the machine's certificates: in the first request they would hold up those that are to follow it.
    trusted = await anyio.to_thread.run_sync(ssl.create_default_context)
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=connections, ssl=trusted),
        cookie_jar=aiohttp.DummyCookieJar(),
        # aiohttp rounds long time limits up to whole seconds, unless told not to.
        timeout=aiohttp.ClientTimeout(total=seconds, ceil_threshold=float("inf")),
    ) as session:
        # aiohttp would send a GET again on its own after a broken connection, outside the pace and the ledger; it has
        # no public setting for that.
        session._retry_connection = False
        yield AiohttpTransport(session)
