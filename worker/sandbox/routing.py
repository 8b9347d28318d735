"""Which endpoint a request means."""

import re
import uuid
from dataclasses import dataclass
from urllib.parse import unquote

from closeout.worker.sandbox.config import COLLECTIONS, Dialect
from closeout.worker.sandbox.truth import Kind

WHOAMI = "/v1/identity/whoami"
STATS = "/_sandbox/stats"
_CANONICAL = re.compile("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@dataclass(frozen=True, slots=True)
class Call:
    """One request as it came; ``target`` is the path with the query."""

    method: str
    target: str
    key: str | None
    body: bytes


@dataclass(frozen=True, slots=True)
class Route:
    """What a request asks for. ``problem`` is 404 or 405 where it asks for nothing there is, else 0.

    ``session_id`` is canonical; with ``bad_id`` the path names something that is no UUID.
    """

    kind: Kind
    dialect: Dialect
    session_id: str | None = None
    bad_id: bool = False
    query: str = ""
    problem: int = 0


def find_route(method: str, target: str, dialects: tuple[Dialect, ...]) -> Route:
    """Find what a method and a target (path and query) mean."""
    path, _, query = target.partition("?")
    for dialect in dialects:
        collection = COLLECTIONS[dialect]
        if path.startswith(collection):
            rest = path[len(collection) :]
            if not rest:
                return _checked("list", "GET", method, dialect, query)
            if rest[0] == "/":
                return _route_of_one(method, rest[1:], dialect)
    if path == WHOAMI:
        return _checked("whoami", "GET", method, dialects[0] if dialects else "1.21", query)
    return Route("other", dialects[0] if dialects else "1.21", problem=404)


def _route_of_one(method: str, rest: str, dialect: Dialect) -> Route:
    raw_id, _, action = rest.partition("/")
    if action == "close":
        kind: Kind = "close"
    elif action == "reevaluate":
        kind = "reevaluate"
    elif action or not raw_id:
        return Route("other", dialect, problem=404)
    else:
        kind = "delete" if method == "DELETE" else "read"
    session_id = canonical_id(raw_id)
    allowed = {"close": "POST", "reevaluate": "POST", "delete": "DELETE"}.get(kind, "GET")
    if method != allowed:
        return Route("other", dialect, problem=405)
    return Route(kind, dialect, session_id, bad_id=session_id is None)


def _checked(kind: Kind, allowed: str, method: str, dialect: Dialect, query: str) -> Route:
    if method != allowed:
        return Route("other", dialect, problem=405)
    return Route(kind, dialect, query=query)


def canonical_id(text: str) -> str | None:
    """Give the canonical spelling of a UUID in a path, or None where it is none."""
    if _CANONICAL.fullmatch(text):
        return text
    try:
        return str(uuid.UUID(unquote(text)))
    except ValueError:
        return None
