"""Listing sessions: reading the query, choosing, and the cursor."""

import base64
import binascii
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import islice
from urllib.parse import parse_qsl

from closeout.worker.sandbox.config import Dialect
from closeout.worker.sandbox.evaluations import EvalCounts
from closeout.worker.sandbox.facets import facet
from closeout.worker.sandbox.replies import RefusedError, error_reply, invalid_reply
from closeout.worker.sandbox.sessions import Session, Timeline
from closeout.worker.sandbox.times import parse_iso

Cursor = tuple[int, str]
Test = Callable[[Session], bool]
EvalsOf = Callable[[Session], EvalCounts]

_STATUSES = frozenset(
    {"queued", "ringing", "active", "paused", "waiting_for_human", "transferred", "awaiting_approval"}
    | {"closed", "expired", "error", "superseded"}
)
_STATUSES_OF: Mapping[Dialect, frozenset[str]] = {"1.21": _STATUSES, "1.90": _STATUSES | {"pending_dispatch"}}
_PRIORITIES = frozenset({"low", "normal", "high", "urgent"})
_EVAL_FILTERS: Mapping[str, Callable[[EvalCounts], bool]] = {
    "has_evals": lambda evals: evals.total > 0,
    "no_evals": lambda evals: evals.total == 0,
    "all_passed": lambda evals: 0 < evals.total == evals.succeeded,
    "any_failed": lambda evals: evals.failed > 0,
}
_EQUAL_FIELDS: Mapping[Dialect, tuple[str, ...]] = {
    "1.21": ("channel", "priority", "end_user_id", "assigned_agent_id"),
    "1.90": (
        *("channel", "priority", "end_user_id", "assigned_agent_id"),
        *("id", "external_session_id", "from_number", "to_number", "email"),
    ),
}
_UUID_FIELDS = frozenset({"id", "end_user_id", "assigned_agent_id"})


@dataclass(frozen=True, slots=True)
class Query:
    """A listing as asked for: a window on ``started_at`` (both ends included), filters, and where to go on."""

    limit: int = 50
    cursor: Cursor | None = None
    after_us: int | None = None
    before_us: int | None = None
    status: str | None = None
    equal: tuple[tuple[str, str], ...] = ()
    text: str | None = None
    evals: str | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """Some sessions, newest first, and the cursor of the next page (None: this is the last)."""

    sessions: list[Session]
    next_cursor: str | None


def read_query(dialect: Dialect, query: str) -> Query:
    """Read a query string; parameters that the dialect does not know are ignored.

    Raises RefusedError with a 422 for a value that cannot be, and with a 400 for a cursor that is none of ours.
    """
    given = dict(parse_qsl(query, keep_blank_values=True))
    return Query(
        limit=_limit(given.get("limit")),
        cursor=_cursor(dialect, given.get("cursor")),
        after_us=_instant(given, "started_after"),
        before_us=_instant(given, "started_before"),
        status=_choice(given, "status", _STATUSES_OF[dialect]),
        equal=tuple((field, _equal_to(given, field)) for field in _EQUAL_FIELDS[dialect] if field in given),
        text=given.get("q"),
        evals=_choice(given, "eval_filter", _EVAL_FILTERS),
    )


def choose_page(timeline: Timeline, query: Query, evals_of: EvalsOf) -> Page:
    """Choose the newest sessions that answer the query, going down from the cursor."""
    ordered = timeline.ordered
    low, high = timeline.bounds(ordered, query.after_us, query.before_us, query.cursor)
    newest_first = map(ordered.__getitem__, range(high - 1, low - 1, -1))
    found = list(islice(filter(_test_of(query, evals_of), newest_first), query.limit + 1))
    if len(found) <= query.limit:
        return Page(found, None)
    del found[query.limit :]
    return Page(found, encode_cursor(found[-1]))


def encode_cursor(session: Session) -> str:
    """Make the cursor that goes on after this session."""
    return base64.urlsafe_b64encode(f"{session.started_us}:{session.id}".encode()).decode().rstrip("=")


def _test_of(query: Query, evals_of: EvalsOf) -> Test:
    status = query.status
    if query.equal or query.text is not None or query.evals is not None:
        tests = _tests_of(query, evals_of)
        return lambda session: not session.deleted and all(test(session) for test in tests)
    if status is not None:
        return lambda session: session.status == status and not session.deleted
    return lambda session: not session.deleted


def _tests_of(query: Query, evals_of: EvalsOf) -> list[Test]:
    tests: list[Test] = []
    if query.status is not None:
        tests.append(lambda session: session.status == query.status)
    if query.equal:
        tests.append(lambda session: all(facet(session, field) == value for field, value in query.equal))
    if query.text is not None:
        text = query.text.casefold()
        tests.append(lambda session: text in f"{facet(session, 'subject')}\n{facet(session, 'summary')}".casefold())
    if query.evals is not None:
        passes = _EVAL_FILTERS[query.evals]
        tests.append(lambda session: passes(evals_of(session)))
    return tests


def _limit(text: str | None) -> int:
    if text is None:
        return 50
    try:
        limit = int(text)
    except ValueError:
        raise _invalid("limit", "int_parsing", "Input should be a valid integer") from None
    if limit < 1:
        raise _invalid("limit", "greater_than_equal", "Input should be greater than or equal to 1")
    if limit > 200:
        raise _invalid("limit", "less_than_equal", "Input should be less than or equal to 200")
    return limit


def _cursor(dialect: Dialect, text: str | None) -> Cursor | None:
    if text is None:
        return None
    try:
        decoded = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode()
        started, _, session_id = decoded.partition(":")
        return int(started), session_id
    except (ValueError, binascii.Error):
        raise RefusedError(error_reply(dialect, 400, "The cursor is not valid")) from None


def _instant(given: Mapping[str, str], field: str) -> int | None:
    if field not in given:
        return None
    try:
        return parse_iso(given[field])
    except ValueError:
        raise _invalid(field, "datetime_from_date_parsing", "Input should be a valid datetime") from None


def _choice(given: Mapping[str, str], field: str, allowed: frozenset[str] | Mapping[str, object]) -> str | None:
    value = given.get(field)
    if value is not None and value not in allowed:
        raise _invalid(field, "enum", f"Input should be one of {', '.join(sorted(allowed))}")
    return value


def _equal_to(given: Mapping[str, str], field: str) -> str:
    value = given[field]
    if field == "priority":
        _choice(given, field, _PRIORITIES)
    if field not in _UUID_FIELDS:
        return value
    try:
        return str(uuid.UUID(value))
    except ValueError:
        raise _invalid(field, "uuid_parsing", "Input should be a valid UUID") from None


def _invalid(field: str, kind: str, message: str) -> RefusedError:
    return RefusedError(invalid_reply(("query", field), kind, message))
