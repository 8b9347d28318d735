"""The client against a server that answers: what is sent, and what becomes of the answer."""

import gzip
import json
import zlib

import pytest
from aiohttp import web

from closeout.worker.domain.exchange import Answer
from closeout.worker.domain.session import Listing
from closeout.worker.support.clock import parse_http_date, parse_instant
from tests.api.support import GOOD, KEY, SESSION, client, closed_by, json_reply, serving

pytestmark = pytest.mark.anyio
DIALECTS = [("1.21", "/v1/v2/conversations"), ("1.90", "/v1/conversations")]


@pytest.mark.parametrize(("dialect", "path"), DIALECTS)
async def test_each_dialect_has_its_path(dialect: str, path: str) -> None:
    """For closing, reading and listing."""
    async with serving(json_reply(GOOD)) as (url, seen), client(url + "/", dialect=dialect) as api:
        await api.close(SESSION, None)
        await api.read(SESSION)
        await api.list_states(Listing(started_after=0, started_before=1), None)
    assert [(request.method, request.path) for request in seen.requests] == [
        ("POST", f"{path}/{SESSION}/close"),
        ("GET", f"{path}/{SESSION}"),
        ("GET", path),
    ]


@pytest.mark.parametrize(
    ("reason", "body"), [(None, {}), ("", {}), ("resolved", {"reason": "resolved"}), ("é✓", {"reason": "é✓"})]
)
async def test_a_close_is_a_json_object(reason: str | None, body: object) -> None:
    """With a reason only if there is one."""
    async with serving(json_reply(GOOD)) as (url, seen), client(url) as api:
        await api.close(SESSION, reason)
    assert json.loads(seen.bodies[0]) == body
    assert seen.requests[0].headers["content-type"] == "application/json"


async def test_a_listing_asks_for_full_pages_of_its_window() -> None:
    """Both bounds, the largest page, and the cursor as it came."""
    async with serving(json_reply({"items": []})) as (url, seen), client(url) as api:
        await api.list_states(Listing(started_after=1_772_445_600_001, started_before=1_772_445_601_000), None)
        await api.list_states(Listing(started_after=0, started_before=1), "a+b/c=&d e")
    assert dict(seen.requests[0].query) == {
        "started_after": "2026-03-02T10:00:00.001Z", "started_before": "2026-03-02T10:00:01.000999Z", "limit": "200",
    }  # fmt: skip
    assert seen.requests[1].query["cursor"] == "a+b/c=&d e"


async def test_a_listing_of_sessions_sends_the_filters_that_are_set() -> None:
    """By the names that the API gives them, and nothing else."""
    full = Listing(
        status="active", channel="voice", priority="low", end_user_id="u", assigned_agent_id="a", started_after=1,
        started_before=2, text="a refund & more",
    )  # fmt: skip
    async with serving(json_reply({"items": []})) as (url, seen), client(url) as api:
        await api.list_sessions(full, "next")
        await api.list_sessions(Listing(status="paused"), None)
    assert dict(seen.requests[0].query) == {
        "status": "active", "channel": "voice", "priority": "low", "end_user_id": "u", "assigned_agent_id": "a",
        "started_after": "1970-01-01T00:00:00.001Z", "started_before": "1970-01-01T00:00:00.002999Z",
        "q": "a refund & more", "limit": "200", "cursor": "next",
    }  # fmt: skip
    assert dict(seen.requests[1].query) == {"status": "paused", "limit": "200"}


async def test_a_listing_of_sessions_gives_rows() -> None:
    """Which are sessions, too; a listing for look-ups gives no rows."""
    page = {"items": [GOOD | {"channel": "voice"}], "has_more": True, "next_cursor": "more"}
    async with serving(json_reply(page)) as (url, _), client(url) as api:
        answer: Answer = await api.list_sessions(Listing(), None)
        plain: Answer = await api.list_states(Listing(started_after=0, started_before=1), None)
    assert [row.channel for row in answer.rows] == ["voice"]
    assert (answer.sessions, answer.cursor, answer.from_api) == (answer.rows, "more", True)
    assert (plain.rows, [one.session_id for one in plain.sessions]) == ((), [SESSION])


async def test_an_unreadable_page_holds_no_rows() -> None:
    """And says so: nothing is known of what it would have held."""
    async with serving(json_reply({"data": []})) as (url, _), client(url) as api:
        answer: Answer = await api.list_sessions(Listing(), None)
    assert (answer.rows, answer.cursor, answer.from_api) == ((), None, False)
    assert answer.exchange.error == "unreadable_answer"


async def test_a_good_answer_holds_the_session() -> None:
    """With the server's time."""
    date = "Mon, 02 Mar 2026 10:00:00 GMT"
    async with serving(json_reply(GOOD, headers={"date": date})) as (url, _):
        answer: Answer = await closed_by(url)
    assert (answer.http_status, answer.exchange.error, answer.from_api, answer.sent) == (200, None, True, True)
    assert answer.session is not None
    assert answer.session.session_id == SESSION
    assert answer.server_time == parse_http_date(date)


async def test_the_servers_clock_is_learnt() -> None:
    """From the date of each answer of the API, good or bad."""
    date = "Mon, 02 Mar 2026 10:00:00 GMT"
    now = parse_http_date(date) or 0
    async with serving(json_reply({"error": "x", "message": "y"}, 500, {"date": date})) as (url, _), client(url) as api:
        answer: Answer = await api.read(SESSION)
        assert api.server_clock.earliest(answer.exchange.at) <= now + 1_000
        assert api.server_clock.latest(answer.exchange.at) >= now


async def test_a_page_holds_sessions_and_a_cursor() -> None:
    """Of a listing."""
    page = {"items": [GOOD, {}], "has_more": True, "next_cursor": "abc"}
    async with serving(json_reply(page)) as (url, _), client(url) as api:
        answer: Answer = await api.list_states(Listing(started_after=0, started_before=1), None)
    assert (len(answer.sessions), answer.cursor, answer.from_api) == (1, "abc", True)


@pytest.mark.parametrize("kind", ["close", "read", "list"])
async def test_an_unreadable_success_says_so(kind: str) -> None:
    """A proxy's page with status 200 proves nothing."""

    async def page(_: web.Request) -> web.Response:
        return web.Response(text="<html>Welcome</html>", content_type="text/html")

    async with serving(page) as (url, _), client(url) as api:
        match kind:
            case "close":
                answer: Answer = await api.close(SESSION, None)
            case "read":
                answer = await api.read(SESSION)
            case _:
                answer = await api.list_states(Listing(started_after=0, started_before=1), None)
    assert (answer.http_status, answer.exchange.error, answer.from_api) == (200, "unreadable_answer", False)
    assert not answer.sessions


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 422, 429, 500, 502, 503, 504, 599])
async def test_an_error_holds_status_code_and_wait(status: int) -> None:
    """As the API tells them."""
    body = {"error": "some_code", "message": "something personal", "retry_after": 9}
    async with serving(json_reply(body, status, {"retry-after": "4"})) as (url, _):
        answer: Answer = await closed_by(url)
    assert (answer.http_status, answer.exchange.error, answer.retry_after) == (status, "some_code", 4)
    assert (answer.from_api, answer.sent, answer.session) == (True, True, None)


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
async def test_a_packed_answer_is_unpacked(encoding: str) -> None:
    """As the request said that it may be."""
    pack = gzip.compress if encoding == "gzip" else zlib.compress

    async def reply(request: web.Request) -> web.Response:
        assert encoding in request.headers["accept-encoding"]
        return web.Response(body=pack(json.dumps(GOOD).encode()), headers={"content-encoding": encoding})

    async with serving(reply) as (url, _):
        answer: Answer = await closed_by(url)
    assert answer.session is not None
    assert (answer.session.session_id, answer.from_api) == (SESSION, True)


async def test_an_html_error_is_not_the_apis() -> None:
    """Its text is not kept."""

    async def page(_: web.Request) -> web.Response:
        return web.Response(status=404, text="<html>nothing here</html>", content_type="text/html")

    async with serving(page) as (url, _):
        answer: Answer = await closed_by(url)
    assert (answer.http_status, answer.exchange.error, answer.from_api) == (404, "foreign_answer", False)
    assert (answer.api_status, answer.form) == (None, "an HTML page")


@pytest.mark.parametrize(
    "retry_after", ["9" * 400, "-" + "9" * 400, "1e999", "NaN", "true", '"soon"'], ids=lambda t: t[:9]
)
async def test_no_number_in_an_error_breaks_the_client(retry_after: str) -> None:
    """Whatever goes wrong is an answer, and no exception."""

    async def reply(_: web.Request) -> web.Response:
        text = f'{{"error": "rate_limited", "message": "m", "retry_after": {retry_after}}}'
        return web.Response(status=429, text=text, content_type="application/json")

    async with serving(reply) as (url, _):
        answer: Answer = await closed_by(url)
    assert (answer.http_status, answer.exchange.error, answer.retry_after) == (429, "rate_limited", None)


@pytest.mark.parametrize("text", ["9999-12-31T23:59:59.999Z", "0001-01-01T00:00:00Z", "1969-12-31T23:59:59.999Z"])
async def test_any_time_that_the_api_gives_can_be_asked_for(text: str) -> None:
    """A session's odd time of start must not break the listing around it."""
    instant = parse_instant(text)
    assert instant is not None
    async with serving(json_reply({"items": []})) as (url, _), client(url) as api:
        answer: Answer = await api.list_states(Listing(started_after=instant, started_before=instant + 1), None)
    assert answer.http_status in (200, None)


@pytest.mark.parametrize("what", ["reason", "cursor"])
async def test_half_a_character_breaks_no_request(what: str) -> None:
    """JSON may hold a lone surrogate, in a row's reason as in a cursor."""
    async with serving(json_reply({"items": []})) as (url, _), client(url) as api:
        asked = (
            api.close(SESSION, "\ud83d")
            if what == "reason"
            else api.list_states(Listing(started_after=0, started_before=1), "\ud83d")
        )
        answer: Answer = await asked
    assert KEY not in str(answer)
