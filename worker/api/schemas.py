"""The part of a session that closeout needs, and nothing personal.

The API drifts: an unknown field is ignored, an unknown value kept as it came, and a mistyped optional field is as good
as absent. Only an absent or mistyped ``id`` or ``status`` makes a session unusable.
"""

import json
from typing import Annotated, Any, Generic, TypeVar
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from closeout.worker.domain.session import EvalSummary, SessionRow, SessionState
from closeout.worker.support.clock import parse_instant

_Count = Annotated[int, Field(ge=0, lt=2**62)]  # what a column of the ledger can hold


class _Evals(BaseModel):
    model_config = ConfigDict(extra="ignore", strict=True)

    eval_status: str = "none"
    total: _Count = 0
    succeeded: _Count = 0
    failed: _Count = 0
    pending: _Count = 0
    critical_total: _Count = 0
    critical_succeeded: _Count = 0
    critical_failed: _Count = 0
    critical_pending: _Count = 0


class _Session(BaseModel):
    model_config = ConfigDict(extra="ignore", strict=True)

    id: str
    status: str
    started_at: str | None = None
    closed_at: str | None = None
    eval_summary: _Evals | None = None


class _Row(_Session):
    """What a rule may choose by, too; subject, summary and metadata are not even read."""

    channel: str | None = None
    priority: str | None = None
    session_type: str | None = None
    assigned_agent_id: str | None = None
    end_user_id: str | None = None
    last_message_at: str | None = None
    ttl_expires_at: str | None = None
    updated_at: str | None = None


_Item = TypeVar("_Item", bound=_Session)


class _Page(BaseModel, Generic[_Item]):
    model_config = ConfigDict(extra="ignore", strict=True)

    items: list[_Item]
    has_more: bool = True
    next_cursor: str | None = None


_SESSIONS, _ROWS = _Page[_Session], _Page[_Row]


_REQUIRED = {"id", "status"}


def parse_session(body: bytes) -> SessionState | None:
    """The session of an answer's body, or None if the body is unusable."""
    try:
        return _state_of(_Session.model_validate_json(body))
    except ValidationError:
        session = _parse_drifted(_Session, parse_json(body))
        return _state_of(session) if session is not None else None


def parse_row(body: bytes) -> SessionRow | None:
    """The same with all of a session that a rule may choose by."""
    try:
        return _row_of(_Row.model_validate_json(body))
    except ValidationError:
        row = _parse_drifted(_Row, parse_json(body))
        return _row_of(row) if row is not None else None


def parse_page(body: bytes) -> tuple[tuple[SessionState, ...], str | None] | None:
    """The usable sessions of a listing page and the cursor of the next page (None: the last), or None if unusable."""
    page = _read_page(body, _SESSIONS, _Session)
    return (tuple(map(_state_of, page[0])), page[1]) if page is not None else None


def parse_rows(body: bytes) -> tuple[tuple[SessionRow, ...], str | None] | None:
    """The same with all of a session that a rule may choose by."""
    page = _read_page(body, _ROWS, _Row)
    return (tuple(map(_row_of, page[0])), page[1]) if page is not None else None


def _read_page(body: bytes, whole: type[_Page[_Item]], kind: type[_Item]) -> tuple[list[_Item], str | None] | None:
    try:
        good = whole.model_validate_json(body)
    except ValidationError:
        return _parse_drifted_page(kind, parse_json(body))
    return good.items, (good.next_cursor or None) if good.has_more else None


def _parse_drifted_page(kind: type[_Item], page: Any) -> tuple[list[_Item], str | None] | None:  # see parse_json
    """The same with what is unusable left out."""
    if not isinstance(page, dict) or not isinstance(page.get("items"), list):
        return None
    sessions = [found for item in page["items"] if (found := _parse_drifted(kind, item)) is not None]
    cursor = page.get("next_cursor")
    more = page.get("has_more") is not False and isinstance(cursor, str) and cursor and _whole(cursor)
    return sessions, cursor if more else None


def _whole(text: str) -> bool:
    """JSON may hold half a character, which nothing can be sent with."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def parse_json(body: bytes) -> Any:  # JSON is of any type until it has been looked at
    """The JSON value of a body, or None."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def organisation_of(body: Any) -> str | None:  # see parse_json
    """Whose key it is, of the answer to whoami; None if it does not say. Nothing else of that answer is kept."""
    found = body.get("organization_id") if isinstance(body, dict) else None
    try:
        return str(UUID(found)) if isinstance(found, str) else None
    except ValueError:
        return None


def _parse_drifted(kind: type[_Item], value: Any) -> _Item | None:  # see parse_json
    """Validate, leaving out the optional fields that do not fit."""
    if not isinstance(value, dict):
        return None
    kept = _legible(value)
    while True:
        try:
            return kind.model_validate(kept)
        except ValidationError as error:
            wrong = {detail["loc"] for detail in error.errors(include_url=False, include_input=False)}
            if any(location[0] in _REQUIRED for location in wrong):
                return None
            kept = _without(kept, wrong)


def _legible(value: dict[str, Any]) -> dict[str, Any]:
    """A copy with ``?`` for each half of a character: no ledger could be read that held one."""
    legible = json.loads(json.dumps(value, ensure_ascii=False).encode(errors="replace"))
    return dict(legible)


def _without(value: dict[str, Any], wrong: set[tuple[int | str, ...]]) -> dict[str, Any]:
    kept = dict(value)
    for location in wrong:
        if len(location) == 1:
            kept.pop(str(location[0]), None)
        else:
            inner = kept[str(location[0])]
            kept[str(location[0])] = {key: item for key, item in inner.items() if key != location[1]}
    return kept


def _state_of(session: _Session) -> SessionState:
    return SessionState(
        session_id=session.id.lower(),
        status=session.status,
        evals=_evals_of(session.eval_summary) if session.eval_summary else EvalSummary(),
        started_at=parse_instant(session.started_at),
        closed_at=parse_instant(session.closed_at),
    )


def _row_of(row: _Row) -> SessionRow:
    return SessionRow(
        session_id=row.id.lower(),
        status=row.status,
        evals=_evals_of(row.eval_summary) if row.eval_summary else EvalSummary(),
        started_at=parse_instant(row.started_at),
        closed_at=parse_instant(row.closed_at),
        channel=row.channel,
        priority=row.priority,
        session_type=row.session_type,
        assigned_agent_id=_lower(row.assigned_agent_id),
        end_user_id=_lower(row.end_user_id),
        last_message_at=parse_instant(row.last_message_at),
        ttl_expires_at=parse_instant(row.ttl_expires_at),
        updated_at=parse_instant(row.updated_at),
    )


def _lower(uuid: str | None) -> str | None:
    return uuid.lower() if uuid is not None else None


def _evals_of(evals: _Evals) -> EvalSummary:
    return EvalSummary(
        evals.eval_status,
        evals.total,
        evals.succeeded,
        evals.failed,
        evals.pending,
        evals.critical_total,
        evals.critical_succeeded,
        evals.critical_failed,
        evals.critical_pending,
    )
