"""The HTTP client: the only place that knows HTTP. Whatever goes wrong becomes an Answer, never an exception."""

import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Self

import httpx

from closeout.worker.api.error_body import error_code, told_wait
from closeout.worker.api.failures import FailedExchangeError, Failure
from closeout.worker.api.schemas import organisation_of, parse_json, parse_page, parse_row, parse_rows, parse_session
from closeout.worker.api.transport import AiohttpTransport, open_transport
from closeout.worker.api.voice import error_is_the_apis, form_of, is_exact, page_is_the_apis
from closeout.worker.config.access import Access
from closeout.worker.config.network import Network
from closeout.worker.config.settings import Settings
from closeout.worker.domain.exchange import FOREIGN_ANSWER, UNREADABLE, Answer, Exchange, Kind
from closeout.worker.domain.session import PAGE_SIZE, Listing, SessionRow, SessionState
from closeout.worker.support.clock import Millis, ServerClock, format_instant, now_ms, parse_http_date

COLLECTIONS = {"1.21": "/v1/v2/conversations", "1.90": "/v1/conversations"}
_WHOAMI = "/v1/identity/whoami"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where and as whom to talk. ``timeout`` is in seconds, for one whole exchange; ``key_origin`` says where the
    key was found.
    """

    base_url: str
    dialect: str
    key: str
    timeout: float
    connections: int
    network: Network = field(default_factory=Network)
    key_origin: str | None = None

    @classmethod
    def of(cls, settings: Settings, access: Access, *, connections: int | None = None) -> Self:
        """That of a run with these settings."""
        many = settings.concurrency if connections is None else connections
        key = access.key
        return cls(settings.base_url, settings.api, key.value, settings.timeout, many, access.network, key.origin)

    @property
    def collection(self) -> str:
        return self.base_url.rstrip("/") + COLLECTIONS[self.dialect]


class ReadingApi:
    """Reads and lists sessions, and has no way to change one. ``server_clock`` learns from each answer of the API.

    Requests go to the transport directly, which bounds the time that each takes. All that ``httpx.AsyncClient`` would
    add (redirects, cookies, authentication, the environment's proxies and keys) must not happen here, and costs a third
    of an exchange (docs/benchmarks.md).
    """

    def __init__(
        self, transport: httpx.AsyncBaseTransport, endpoint: Endpoint, now: Callable[[], Millis] = now_ms
    ) -> None:
        self._transport = transport
        self._endpoint = endpoint
        self._base = endpoint.base_url.rstrip("/")
        self._collection = httpx.URL(endpoint.collection)
        self._path = self._collection.raw_path.decode()
        self._headers = httpx.Headers(
            {
                "host": self._collection.netloc.decode(),
                "x-api-key": endpoint.key,
                "accept": "application/json",
                "content-type": "application/json",
                "accept-encoding": "gzip, deflate",
                "user-agent": "closeout",
            }
        )
        self._now = now
        self.server_clock = ServerClock()
        self.key_origin = endpoint.key_origin

    async def read(self, session_id: str, *, rows: bool = False) -> Answer:
        """One session's state; with ``rows`` all of it that a rule may choose by."""
        return await self._exchange("read", lambda: self._about(session_id, "GET"), rows=rows, about=session_id)

    async def probe(self) -> Answer:
        """A sign of life that concerns no session: which organisation the key belongs to."""
        return await self._get("probe", self._base + _WHOAMI)

    async def list_states(self, listing: Listing, cursor: str | None) -> Answer:
        """One page of the sessions that answer the listing."""
        return await self._list(listing, cursor, rows=False)

    async def list_sessions(self, listing: Listing, cursor: str | None) -> Answer:
        """One page of the sessions that answer the listing; the answer's ``rows`` are filled."""
        return await self._list(listing, cursor, rows=True)

    async def _list(self, listing: Listing, cursor: str | None, *, rows: bool) -> Answer:
        params = _params_of(listing) | {"limit": str(PAGE_SIZE)}
        if cursor is not None:
            params["cursor"] = cursor
        return await self._get("list", self._endpoint.collection, rows=rows, params=params)

    async def _get(self, kind: Kind, url: str, *, rows: bool = False, params: dict[str, str] | None = None) -> Answer:
        return await self._exchange(
            kind, lambda: httpx.Request("GET", url, headers=self._headers, params=params), rows=rows
        )

    def _about(self, session_id: str, method: str, action: str = "", body: bytes = b"") -> httpx.Request:
        """A request about one session. A URL to parse and a content to describe would cost 20 times as much."""
        target = f"{self._path}/{session_id}{action}".encode()
        stream, extensions = httpx.ByteStream(body), {"target": target}
        return httpx.Request(method, self._collection, headers=self._headers, stream=stream, extensions=extensions)

    async def _exchange(
        self, kind: Kind, request: Callable[[], httpx.Request], *, rows: bool, about: str | None = None
    ) -> Answer:
        at, began = self._now(), time.perf_counter()
        try:
            response = await self._transport.handle_async_request(request())
        except Exception as error:  # whatever a transport raises, the request has no answer
            failed = _failure(error)
            exchange = Exchange(at, kind, None, failed.code, _elapsed(began))
            return Answer(exchange, sent=failed.sent, cause=failed.cause, lasting=failed.lasting)
        ms = _elapsed(began)
        date = parse_http_date(response.headers.get("date"))
        if response.status_code == 200:
            answer = _good(kind, at, ms, response, date, rows=rows, about=about)
        else:
            answer = self._bad(kind, at, ms, response, date)
        if date is not None and answer.from_api:
            self.server_clock.observe(date, at, at + ms)
        return answer

    def _bad(self, kind: Kind, at: Millis, ms: int, response: httpx.Response, date: Millis | None) -> Answer:
        status, media_type, body = response.status_code, response.headers.get("content-type"), _json_of(response)
        told = told_wait(response.headers, body, date if date is not None else at + ms)
        if not error_is_the_apis(status, media_type, body):
            exchange = Exchange(at, kind, status, FOREIGN_ANSWER, ms)
            return Answer(exchange, form=_form_of(response), retry_after=told, server_time=date)
        exchange = Exchange(at, kind, status, error_code(body, status, secret=self._endpoint.key), ms)
        return Answer(exchange, from_api=True, exact=is_exact(status, body), retry_after=told, server_time=date)


class Api(ReadingApi):
    """Closes sessions, too."""

    async def close(self, session_id: str, reason: str | None) -> Answer:
        """Ask for one close. What it means is for ``verdict`` to say."""
        body = json.dumps({"reason": reason}).encode() if reason else b"{}"
        request = partial(self._about, session_id, "POST", "/close", body)
        return await self._exchange("close", request, rows=False, about=session_id)


def _params_of(listing: Listing) -> dict[str, str]:
    """The API's times may be finer than our milliseconds: the whole of the last one is meant."""
    after, before = listing.started_after, listing.started_before
    wanted = {
        "status": listing.status,
        "channel": listing.channel,
        "priority": listing.priority,
        "end_user_id": listing.end_user_id,
        "assigned_agent_id": listing.assigned_agent_id,
        "q": listing.text,
        "started_after": format_instant(after) if after is not None else None,
        "started_before": format_instant(before).removesuffix("Z") + "999Z" if before is not None else None,
    }
    return {name: value for name, value in wanted.items() if value is not None}


def _good(  # the parts of an exchange
    kind: Kind, at: Millis, ms: int, response: httpx.Response, date: Millis | None, *, rows: bool, about: str | None
) -> Answer:
    organisation, cursor = None, None
    sessions: tuple[SessionState, ...] = ()
    listed: tuple[SessionRow, ...] = ()
    if kind == "probe":
        organisation = organisation_of(_json_of(response))
        usable = organisation is not None
    elif kind == "list":
        if rows:
            listed, cursor = parse_rows(response.content) or ((), None)
            sessions = listed
        else:
            sessions, cursor = parse_page(response.content) or ((), None)
        usable = bool(sessions) or page_is_the_apis(_json_of(response))
    else:
        session = parse_row(response.content) if rows else parse_session(response.content)
        sessions, usable = (session,) if session else (), session is not None and session.session_id == about
    exchange = Exchange(at, kind, 200, None if usable else UNREADABLE, ms)
    return Answer(
        exchange,
        sessions=sessions,
        rows=listed,
        cursor=cursor,
        from_api=usable,
        form="" if usable else _form_of(response),
        server_time=date,
        organisation=organisation,
    )


def _json_of(response: httpx.Response) -> Any:  # JSON is of any type until it has been looked at
    return parse_json(response.content)


def _form_of(response: httpx.Response) -> str:
    return form_of(response.headers.get("content-type"), response.content, _json_of(response))


def _elapsed(began: float) -> int:
    return round((time.perf_counter() - began) * 1000)


def _failure(error: Exception) -> Failure:
    """What our own transport says, or what another's error proves: a connection that was never made sent nothing."""
    if isinstance(error, FailedExchangeError):
        return error.failure
    if isinstance(error, UnicodeError | httpx.InvalidURL):
        return Failure("request_unsendable", sent=False)
    if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout):
        return Failure("unsent_tcp", sent=False)
    return Failure("timeout" if isinstance(error, httpx.TimeoutException) else "connection_lost", sent=True)


def _transport(endpoint: Endpoint) -> AbstractAsyncContextManager[AiohttpTransport]:
    return open_transport(endpoint.base_url, endpoint.connections, seconds=endpoint.timeout, network=endpoint.network)


@asynccontextmanager
async def open_api(endpoint: Endpoint, now: Callable[[], Millis] = now_ms) -> AsyncIterator[Api]:
    """An Api with its own connections, closed at the end."""
    async with _transport(endpoint) as transport:
        yield Api(transport, endpoint, now)


@asynccontextmanager
async def open_reading_api(endpoint: Endpoint, now: Callable[[], Millis] = now_ms) -> AsyncIterator[ReadingApi]:
    """The same for what must not change anything."""
    async with _transport(endpoint) as transport:
        yield ReadingApi(transport, endpoint, now)
