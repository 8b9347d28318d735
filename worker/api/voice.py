"""Whether an answer is the API's own: gateways, proxies and frameworks between answer as well. Pure functions.

Only the API knows what became of a request. Whoever stands before it may answer after the API has done its work, with
any status; so what does not have the API's shape to the letter says nothing of a session.
"""

import re
from typing import Any

_CODE = re.compile(r"[a-z][a-z0-9_.:-]{0,63}")  # ``Not Found`` and ``Forbidden`` are phrases of HTTP, and no codes
# Fields by which frameworks, gateways and error formats give themselves away, without case, hyphens and underscores:
# of Spring, NestJS, Fastify, Kong, Envoy, the gateways of AWS, Azure, Google and Cloudflare, of RFC 9457 and others.
_TELLTALE = frozenset(
    {
        "apiversion", "cause", "cfray", "clientip", "cloudflareerror", "code", "correlationid", "data", "date", "debug",
        "description", "detail", "details", "documentation", "documentationurl", "embedded", "errorcategory",
        "errorcode", "errordescription", "errorid", "errorname", "errors", "errortype", "errorurl", "exception",
        "fault", "help", "helpurl", "host", "hostname", "httpcode", "httpstatus", "httpstatuscode", "httpmethod", "id",
        "instance", "ip", "jsonrpc", "kind", "link", "links", "meta", "metadata", "method", "moreinfo", "msg", "node",
        "ok", "owner", "params", "path", "policy", "rayid", "reason", "requestid", "requesturl", "resource", "response",
        "result", "scope", "server", "service", "servicename", "source", "spanid", "stack", "stacktrace", "state",
        "status", "statuscode", "statusmessage", "statusreason", "statustext", "success", "support", "supportid",
        "target", "time", "timestamp", "title", "trace", "traceid", "transactionid", "type", "upstream", "uri", "url",
        "uuid", "version", "xrequestid", "zone"
    }
)  # fmt: skip

_DOCUMENTED = frozenset({"error", "message", "retryable", "retry_after"})


def is_json(media_type: str | None) -> bool:
    """Whether a Content-Type is the API's."""
    return media_type is not None and media_type.partition(";")[0].strip().lower() == "application/json"


def error_is_the_apis(status: int, media_type: str | None, body: Any) -> bool:
    """Whether an error is the API's own: ``{error, message}``, or with a 422 ``{detail: [{loc, msg, type}, …]}``.

    The API never redirects, and what it adds to its errors over time does not make them another's, unless a framework
    or a gateway is known by it.
    """
    if status < 400 or not is_json(media_type) or not isinstance(body, dict):
        return False
    if status == 422 and set(body) == {"detail"}:
        return _is_validation(body["detail"])
    code, message = body.get("error"), body.get("message")
    if not isinstance(code, str) or not _CODE.fullmatch(code) or not isinstance(message, str):
        return False
    return not any(_plain(name) in _TELLTALE for name in body)


def is_exact(status: int, body: Any) -> bool:
    """Whether an error of the API's shape is also to the letter what it documents.

    A newer release may say more, and so may a gateway that nobody has heard of: what became of a close, a look tells.
    """
    if status == 422 and set(body) == {"detail"}:
        return True
    return set(body) <= _DOCUMENTED and (status != 429 or body["error"] == "rate_limited")


def page_is_the_apis(body: Any) -> bool:
    """Whether a page without a usable session is an empty page of the API's, which says how it goes on."""
    return isinstance(body, dict) and body.get("items") == [] and isinstance(body.get("has_more"), bool)


def _is_validation(detail: Any) -> bool:
    return isinstance(detail, list) and bool(detail) and all(map(_is_problem, detail))


def _is_problem(entry: Any) -> bool:
    return (
        isinstance(entry, dict)
        and isinstance(entry.get("loc"), list)
        and isinstance(entry.get("msg"), str)
        and isinstance(entry.get("type"), str)
    )


def _plain(name: str) -> str:
    return name.lower().replace("_", "").replace("-", "").replace("@", "")


def form_of(media_type: str | None, content: bytes, body: Any) -> str:
    """What else an answer holds, in words of ours: nothing of it is repeated. ``body`` is its JSON, or None."""
    start = content[:64].lstrip().lower()
    if not content.strip():
        return "an empty body"
    if "html" in (media_type or "").lower() or start.startswith((b"<!doctype", b"<html")):
        return "an HTML page"
    return "a body that is not JSON" if body is None else "JSON of another shape"
