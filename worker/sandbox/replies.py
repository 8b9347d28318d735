"""What a request is answered with, and the bodies of errors."""

import json
from dataclasses import dataclass
from typing import Literal

from closeout.worker.sandbox.config import Dialect

Delivery = Literal["whole", "reset", "hang", "truncated"]
JSON = "application/json"
HTML = "text/html; charset=utf-8"
_RETRYABLE = frozenset({408, 425, 429, 500, 502, 503, 504})
_CODES = {
    400: "bad_request",
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    409: "conflict",
    429: "rate_limited",
    500: "internal_error",
    502: "bad_gateway",
    503: "service_unavailable",
    504: "gateway_timeout",
}


@dataclass(slots=True)
class Reply:
    """An answer and how it is delivered; ``delay`` is in seconds, before the first byte."""

    status: int = 200
    body: bytes = b""
    content_type: str = JSON
    retry_after: str | None = None
    delivery: Delivery = "whole"
    delay: float = 0.0


class RefusedError(Exception):
    """The request ends here, with this reply."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(reply.status)
        self.reply = reply


def error_reply(dialect: Dialect, status: int, message: str, retry_after: int | None = None) -> Reply:
    """Make the error body of a dialect; ``retry_after`` (seconds) goes into the body."""
    body: dict[str, object] = {"error": _CODES.get(status, f"http_{status}"), "message": message}
    if dialect == "1.90":
        body["retryable"] = status in _RETRYABLE
    if retry_after is not None:
        body["retry_after"] = retry_after
    return json_reply(body, status)


def invalid_reply(place: tuple[str | int, ...], kind: str, message: str) -> Reply:
    """Make the 422 that names one part of the request."""
    return json_reply({"detail": [{"loc": list(place), "msg": message, "type": kind}]}, 422)


def html_reply(status: int) -> Reply:
    """Make the page of a proxy that stands before the API."""
    title = "Sign in to the network" if status == 200 else f"{status} from the gateway"
    page = f"<!DOCTYPE html>\n<html><head><title>{title}</title></head><body><h1>{title}</h1></body></html>\n"
    return Reply(status, page.encode(), HTML)


def json_reply(value: object, status: int = 200) -> Reply:
    return Reply(status, json.dumps(value, separators=(",", ":")).encode())
