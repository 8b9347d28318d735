"""Who speaks: an error has the API's shape to the letter, or it is somebody else's."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from closeout.worker.api.voice import error_is_the_apis, form_of, is_exact, page_is_the_apis
from tests.api.test_models import json_values
from tests.front_door.gateways import GATEWAYS, REFUSED, UNTOLD, Foreign

JSON = "application/json"
PROBLEM = {"loc": ["path", "conversation_id"], "msg": "Input should be a valid UUID", "type": "uuid_parsing"}
ITS_OWN = [
    (400, {"error": "bad_request", "message": "m"}),
    (401, {"error": "unauthorized", "message": ""}),
    (404, {"error": "not_found", "message": "m", "retryable": False}),
    (429, {"error": "rate_limited", "message": "m", "retryable": True, "retry_after": 3}),
    (503, {"error": "service.down:now-1", "message": "m", "retry_after": None}),
    (418, {"error": "http_418", "message": "m"}),
    (409, {"error": "conflict", "message": "m", "hint": "something that a later release adds"}),
    (422, {"detail": [PROBLEM]}),
    (422, {"detail": [PROBLEM | {"input": "x", "ctx": {}, "url": "https://errors.pydantic.dev"}, PROBLEM]}),
    (422, {"error": "invalid", "message": "m"}),
]


@pytest.mark.parametrize(("status", "body"), ITS_OWN, ids=str)
@pytest.mark.parametrize("media_type", [JSON, "application/json; charset=utf-8", "Application/JSON ;charset=UTF-8"])
def test_the_apis_errors_have_its_shape(status: int, body: dict[str, Any], media_type: str) -> None:
    """Of either dialect, and of a later release that adds a field."""
    assert error_is_the_apis(status, media_type, body)


@pytest.mark.parametrize("name", [name for name, each in GATEWAYS.items() if each.status != 200])
def test_whoever_stands_before_the_api_is_told_from_it(name: str) -> None:
    """By the media type, the code, the message, or a field that gives it away."""
    foreign = GATEWAYS[name]
    assert not error_is_the_apis(foreign.status, foreign.media_type, _json_of(foreign))


@pytest.mark.parametrize(("status", "body"), ITS_OWN, ids=str)
def test_what_the_api_documents_is_exact_and_what_says_more_is_not(status: int, body: dict[str, Any]) -> None:
    """A 429 is exact with the one code that is documented for it."""
    assert is_exact(status, body) == ("hint" not in body)
    if "error" in body:
        assert not is_exact(status, body | {"anything": None})
        assert is_exact(429, body) == (body["error"] == "rate_limited" and "hint" not in body)


@pytest.mark.parametrize("name", [*UNTOLD, *REFUSED])
def test_what_cannot_be_told_from_a_later_release_of_the_api_may_be_its_own(name: str) -> None:
    """So the host is not called another's for it."""
    answer = (UNTOLD | REFUSED)[name]
    assert error_is_the_apis(answer.status, answer.media_type, _json_of(answer))
    assert is_exact(answer.status, _json_of(answer)) == (name in ("plain 503", "plain 425"))


@given(status=st.integers(100, 399), body=st.sampled_from([body for _, body in ITS_OWN]))
def test_no_success_and_no_redirect_is_an_error_of_the_apis(status: int, body: dict[str, Any]) -> None:
    """The API never redirects."""
    assert not error_is_the_apis(status, JSON, body)


@pytest.mark.parametrize("media_type", [None, "", "text/html", "text/plain", "text/json", "application/problem+json"])
def test_the_media_type_is_json(media_type: str | None) -> None:
    """What calls itself anything else is another's."""
    assert not error_is_the_apis(404, media_type, {"error": "not_found", "message": "m"})


@pytest.mark.parametrize(
    "body",
    [
        {"error": "Not Found", "message": "m"}, {"error": "Forbidden", "message": "m"}, {"error": "", "message": "m"},
        {"error": "x" * 65, "message": "m"}, {"error": 404, "message": "m"}, {"error": None, "message": "m"},
        {"error": "not_found"}, {"error": "not_found", "message": None}, {"error": "not_found", "message": ["m"]},
        {"message": "m"}, {"detail": [PROBLEM]}, {"error": {"code": "x", "message": "m"}}, {}, [], None,
        "not_found", 404,
    ],
    ids=str,
)  # fmt: skip
def test_what_lacks_the_shape_is_not_the_apis(body: Any) -> None:
    """A code that looks like one and a message, both; a phrase of HTTP is no code."""
    assert not error_is_the_apis(404, JSON, body)


@pytest.mark.parametrize(
    "detail", [[], ["x"], [{}], [{"loc": ["a"], "msg": "m"}], [PROBLEM, None], [PROBLEM | {"loc": "x"}], "x", {}, None]
)
def test_a_422_names_what_is_wrong_in_the_request(detail: Any) -> None:
    """Each of its entries has a place, a message and a type."""
    assert not error_is_the_apis(422, JSON, {"detail": detail})


@given(
    body=st.sampled_from([body for status, body in ITS_OWN if status != 422]),
    field=st.sampled_from(
        ["timestamp", "path", "status", "statusCode", "requestId", "request_id", "trace", "traceId", "code", "instance"]
    ),
    change=st.sampled_from([str, str.upper, str.lower, str.title, lambda name: name.replace("_", "-")]),
    value=json_values,
)
def test_one_field_of_a_framework_gives_it_away(body: dict[str, Any], field: str, change: Any, value: Any) -> None:
    """However it is written."""
    assert not error_is_the_apis(503, JSON, body | {change(field): value})


@given(status=st.integers(400, 599), body=json_values, media_type=st.none() | st.text())
def test_nothing_breaks_the_judgement(status: int, body: Any, media_type: str | None) -> None:
    """Whatever a proxy writes."""
    error_is_the_apis(status, media_type, body)
    assert form_of(media_type, json.dumps(body).encode(), body)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"items": [], "has_more": False}, True), ({"items": [], "has_more": True, "next_cursor": "x"}, True),
        ({"items": []}, False), ({"items": [], "has_more": "no"}, False), ({"items": [{}], "has_more": False}, False),
        ({"items": None, "has_more": False}, False), ([], False), (None, False),
    ],
)  # fmt: skip
def test_an_empty_page_says_how_it_goes_on(body: Any, expected: bool) -> None:
    """A server that answers anything with ``{"items": []}`` lists no sessions."""
    assert page_is_the_apis(body) is expected


@pytest.mark.parametrize(
    ("media_type", "content", "form"),
    [
        ("text/html", b"<p>", "an HTML page"), (None, b"\n<!DOCTYPE html>", "an HTML page"),
        (JSON, b" ", "an empty body"),
        (JSON, b"{}", "JSON of another shape"), ("text/plain", b"default backend - 404", "a body that is not JSON"),
    ],
)  # fmt: skip
def test_what_else_came_is_said_in_words_of_ours(media_type: str | None, content: bytes, form: str) -> None:
    """Nothing of it is repeated: it may hold anything."""
    body = json.loads(content) if content == b"{}" else None
    assert form_of(media_type, content, body) == form


def _json_of(foreign: Foreign) -> Any:
    try:
        return json.loads(foreign.body)
    except ValueError:
        return None
