"""What stands between closeout and the API and answers in its place: gateways, frameworks, proxies, captive portals."""

import json
import re
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal

import aiohttp
from aiohttp import web

from tests.front_door.servers import serving

When = Literal["before", "after"]  # whether the API has the request and carries it out, and only its answer is lost
_SESSION = re.compile(r"/conversations/([0-9a-f-]{36})(/close)?$")


@dataclass(frozen=True)
class Foreign:
    """An answer that is not the API's."""

    status: int
    body: str
    media_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)


def of_json(status: int, media_type: str = "application/json", /, **body: object) -> Foreign:
    """JSON of another shape than the API's, or in another wrapping."""
    return Foreign(status, json.dumps(body), media_type)


def of_html(status: int, title: str, **headers: str) -> Foreign:
    """A page."""
    page = f"<html>\r\n<head><title>{title}</title></head>\r\n<body><h1>{title}</h1></body>\r\n</html>\r\n"
    return Foreign(status, page, "text/html", headers)


def of_text(status: int, body: str) -> Foreign:
    """A line of text, as proxies write it."""
    return Foreign(status, body, "text/plain")


_AT = "2026-03-02T10:00:00.000+00:00"
GATEWAYS = {
    "spring 503": of_json(503, timestamp=_AT, path="/x", status=503, error="Service Unavailable", requestId="1a-2"),
    "spring 404": of_json(404, timestamp=_AT, status=404, error="Not Found", message="No static resource", path="/x"),
    "spring 403": of_json(403, timestamp=_AT, status=403, error="Forbidden", message="Access Denied", path="/x"),
    "spring 400": of_json(400, timestamp=_AT, status=400, error="bad_request", message="Bad header", path="/x"),
    "nestjs 503": of_json(503, statusCode=503, message="Service Unavailable", error="Service Unavailable"),
    "nestjs 409": of_json(409, statusCode=409, message="Conflict", error="Conflict"),
    "nestjs 404": of_json(404, statusCode=404, message="Cannot POST /x", error="Not Found"),
    "nestjs 422": of_json(422, statusCode=422, message=["id must be a UUID"], error="Unprocessable Entity"),
    "nestjs 429": of_json(429, statusCode=429, message="ThrottlerException: Too Many Requests", error="throttled"),
    "fastify 400": of_json(400, statusCode=400, error="Bad Request", message="Body cannot be empty", code="FST_ERR"),
    "express 403": of_json(403, error="Forbidden", message="Forbidden"),
    "express 409": of_json(409, error="Conflict", message="Conflict"),
    "express 503": of_json(503, error="Service Unavailable", message="try again"),
    "fastapi 404": of_json(404, detail="Not Found"),
    "fastapi 405": of_json(405, detail="Method Not Allowed"),
    "fastapi 422": of_json(422, detail="unprocessable"),
    "empty 422": of_json(422, detail=[]),
    "jsonapi 422": of_json(422, errors=[{"title": "Invalid", "detail": "id"}]),
    "kong 401": of_json(401, message="Invalid authentication credentials"),
    "kong 404": of_json(404, message="no Route matched with those values", request_id="7f1c"),
    "kong 429": of_json(429, message="API rate limit exceeded"),
    "kong 503": of_json(503, message="failure to get a peer from the ring-balancer"),
    "tyk 403": of_json(403, error="Access to this API has been disallowed"),
    "aws 403": of_json(403, message="Missing Authentication Token"),
    "aws 429": of_json(429, message="Too Many Requests"),
    "aws 504": of_json(504, message="Endpoint request timed out"),
    "alb 503": of_html(503, "503 Service Temporarily Unavailable", Server="awselb/2.0"),
    "alb 464": Foreign(464, "", "text/html"),
    "azure 409": of_json(409, statusCode=409, message="Conflict", activityId="7f1c"),
    "apigee 503": of_json(503, fault={"faultstring": "The Service is temporarily unavailable"}),
    "google 409": of_json(409, error={"code": 409, "message": "Aborted", "status": "ABORTED"}),
    "grpc 409": of_json(409, error="already_exists", message="already exists", code=6, details=[]),
    "grpc 503": of_json(503, error="unavailable", message="unavailable", code=14, details=[]),
    "problem 400": of_json(400, "application/problem+json", type="about:blank", title="Bad Request", status=400),
    "cloudflare 403": of_html(403, "Attention Required!", Server="cloudflare"),
    "cloudflare 429": of_json(429, title="Error 1015", status=429, error_name="rate_limited", retryable=True),
    "cloudflare 520": of_html(520, "520: Web server is returning an unknown error", Server="cloudflare"),
    "cloudflare 524": of_html(524, "524: A timeout occurred", Server="cloudflare"),
    "nginx 400": of_html(400, "400 Bad Request", Server="nginx"),
    "nginx 404": of_html(404, "404 Not Found", Server="nginx"),
    "nginx 405": of_html(405, "405 Not Allowed", Server="nginx"),
    "nginx 413": of_html(413, "413 Request Entity Too Large", Server="nginx"),
    "nginx 429": of_html(429, "429 Too Many Requests", Server="nginx"),
    "nginx 502": of_html(502, "502 Bad Gateway", Server="nginx"),
    "nginx 503": of_html(503, "503 Service Temporarily Unavailable", Server="nginx"),
    "envoy 503": of_text(503, "upstream connect error or disconnect/reset before headers. reset reason: overflow"),
    "envoy 425": of_text(425, "too early"),
    "envoy 408": of_text(408, "stream timeout"),
    "traefik 404": of_text(404, "404 page not found\n"),
    "ingress 404": of_text(404, "default backend - 404"),
    "haproxy 403": of_html(403, "403 Forbidden"),
    "squid 407": of_html(407, "ERROR: Cache Access Denied"),
    "go 410": of_text(410, "Gone\n"),
    "lambda 501": of_json(501, message="Not Implemented", requestId="7f1c"),
    "portal 302": Foreign(302, "", "text/html", {"Location": "https://login.example.com/"}),
    "portal 307": Foreign(307, "", "text/html", {"Location": "https://login.example.com/"}),
    "portal 511": of_html(511, "Network Authentication Required"),
    "portal 200": of_html(200, "Sign in to the network"),
    "mock 200": of_json(200, ok=True),
    "actuator 200": of_json(200, status="UP"),
    "stranger 200": of_json(200, id="0190c1f2-0000-7000-8000-00000000ffff", status="closed"),
    "accepted 202": of_json(202, accepted=True),
    "empty 200": Foreign(200, ""),
    "empty 204": Foreign(204, ""),
    # The API's shape to the letter, in another wrapping.
    "text 503": of_json(503, "text/plain", error="service_unavailable", message="down"),
    "html 404": of_json(404, "text/html", error="not_found", message="There is no such conversation"),
    "traced 503": of_json(503, error="service_unavailable", message="down", trace_id="4bf92f35"),
    "stamped 409": of_json(409, error="conflict", message="again", Timestamp=_AT),
}
# What cannot be told from the API, and does not say that nothing was done.
UNTOLD = {
    # The API's shape, and one word more, which no list of such words holds.
    "edge 503": of_json(503, error="unavailable", message="no healthy upstream", gateway="edge-1"),
    "edge 425": of_json(425, error="too_early", message="again", docs="https://example.com"),
    "edge 429": of_json(429, error="throttled", message="slow down"),
    # The API's shape to the letter: no document says that a 503 means that nothing was done.
    "plain 503": of_json(503, error="service_unavailable", message="upstream timed out"),
    "plain 425": of_json(425, error="too_early", message="again", retryable=True, retry_after=1),
}
# Refusals in the API's shape that say more than it documents: a session that is live is not closed against them.
REFUSED = {
    "edge 404": of_json(404, error="route_not_found", message="no such route", gateway="edge-1"),
    "edge 403": of_json(403, error="forbidden", message="blocked", rule="941100"),
    "edge 422": of_json(422, error="invalid", message="no", hint="look"),
    "edge 405": of_json(405, error="method_not_allowed", message="no", allowed=["GET"]),
}


@dataclass(frozen=True)
class Asked:
    """One request as the gateway sees it; ``nth`` of its kind for this session (or for none), from 1."""

    kind: str
    session: str | None
    nth: int


Choice = tuple[Foreign, When] | None


class Gateway:
    """Stands before a server; ``choose`` says what it answers itself, None: the server answers."""

    def __init__(self, upstream: str, choose: Callable[[Asked], Choice]) -> None:
        self.log: list[Asked] = []
        self.choose = choose
        self._upstream = upstream
        self._seen: Counter[tuple[str, str | None]] = Counter()
        self._lock = threading.Lock()

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        asked = self._note(request)
        chosen, body = self.choose(asked), await request.read()
        if chosen is None or chosen[1] == "after":
            answer = await self._forward(request, body)
            if chosen is None:
                return answer
        foreign = chosen[0]
        headers = {**foreign.headers, "Content-Type": foreign.media_type}
        headers |= {"Retry-After": "1"} if foreign.status == 429 else {}
        return web.Response(status=foreign.status, body=foreign.body.encode(), headers=headers)

    def _note(self, request: web.BaseRequest) -> Asked:
        found = _SESSION.search(request.path)
        kind = "whoami" if "whoami" in request.path else "list"
        if found is not None:
            kind = "close" if found[2] else "read"
        session = found[1] if found is not None else None
        with self._lock:
            self._seen[kind, session] += 1
            asked = Asked(kind, session, self._seen[kind, session])
            self.log.append(asked)
        return asked

    async def _forward(self, request: web.BaseRequest, body: bytes) -> web.StreamResponse:
        headers = {name: request.headers[name] for name in ("x-api-key", "content-type")}
        url = self._upstream + request.path_qs
        async with (
            aiohttp.ClientSession() as client,
            client.request(request.method, url, headers=headers, data=body or None) as answer,
        ):
            kept = {name: answer.headers[name] for name in ("Date", "Content-Type") if name in answer.headers}
            return web.Response(status=answer.status, body=await answer.read(), headers=kept)

    def posts(self) -> Counter[str | None]:
        """How many closes came for each session."""
        return Counter(asked.session for asked in self.log if asked.kind == "close")


@contextmanager
def gateway_before(upstream: str, choose: Callable[[Asked], Choice] = lambda _: None) -> Iterator[tuple[str, Gateway]]:
    """A gateway at work, and its address."""
    gateway = Gateway(upstream, choose)
    with serving(gateway) as url:
        yield url, gateway
