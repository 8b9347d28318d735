"""Which sessions a rule chooses: what the API can filter by, and the rest row by row.

A rule never guesses: where it needs a field that is absent or unreadable, the session is not chosen. Every instant
and age is on the server's clock, and every boundary is inclusive: a session that has been idle for exactly
``idle_for``, or that started exactly at ``started_before``, is chosen.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from pydantic import TypeAdapter

from closeout.worker.domain.session import MOVING_STATUSES, TERMINAL_STATUSES, WAITING_STATUSES, Listing, SessionRow
from closeout.worker.support.clock import Millis

SWEEP_PROTECTED = WAITING_STATUSES | MOVING_STATUSES


@dataclass(frozen=True, slots=True)
class Age:
    """So long before the server's now, in milliseconds."""

    ms: Millis


Bound = Millis | Age


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """What a rule chooses: a session in one of ``statuses`` that is not ``protected`` and meets all that is set.

    ``assistant`` is the session's ``assigned_agent_id``. ``text`` is looked for by the API alone, in what people
    wrote. ``idle_for`` is in milliseconds since ``last_message_at``, or since the start if that is later; ``expired``
    asks that ``ttl_expires_at`` is past.
    """

    statuses: tuple[str, ...]
    protected: frozenset[str] = SWEEP_PROTECTED
    channel: str | None = None
    priority: str | None = None
    session_type: str | None = None
    assistant: str | None = None
    end_user: str | None = None
    text: str | None = None
    started_after: Bound | None = None
    started_before: Bound | None = None
    idle_for: Millis | None = None
    expired: bool = False


def listings(selection: Selection, now: Millis) -> list[Listing]:
    """What to ask the API for, one listing for each status: all that is chosen, and as little else as it can.

    ``session_type``, ``idle_for`` and ``expired`` are left to ``mismatch``. ``now`` is the server's, when the listing
    begins. A window whose beginning is an age moves on while pages are read, which ``mismatch`` sees to.
    """
    return [
        Listing(
            status=status,
            channel=selection.channel,
            priority=selection.priority,
            end_user_id=selection.end_user,
            assigned_agent_id=selection.assistant,
            started_after=_instant(selection.started_after, now),
            started_before=_latest_start(selection, now),
            text=selection.text,
        )
        for status in dict.fromkeys(selection.statuses)
        if status not in selection.protected and status not in TERMINAL_STATUSES
    ]


def mismatch(selection: Selection, row: SessionRow, now: Millis) -> str | None:
    """Why the session is not chosen, in words that hold nothing personal, or None: it is chosen.

    ``now`` is the server's; of several instants that it may be, take the earliest, which makes no session too old.
    All but the text is judged here, also what the API was asked to filter by.
    """
    return next(_mismatches(selection, row, now), None)


def _mismatches(selection: Selection, row: SessionRow, now: Millis) -> Iterator[str]:
    if row.terminal or row.closed_at is not None:
        yield "it has ended"
    if row.status in selection.protected:
        yield f"protected: {row.status}"
    if row.status not in selection.statuses:
        yield "another status"
    equal = (
        ("channel", selection.channel, row.channel),
        ("priority", selection.priority, row.priority),
        ("session_type", selection.session_type, row.session_type),
        ("assistant", selection.assistant, row.assigned_agent_id),
        ("end_user", selection.end_user, row.end_user_id),
    )
    for name, wanted, found in equal:
        if wanted is not None and found != wanted:
            yield f"{name} is not told" if found is None else f"another {name}"
    yield from _mismatches_of_time(selection, row, now)


def _mismatches_of_time(selection: Selection, row: SessionRow, now: Millis) -> Iterator[str]:
    after, before = _instant(selection.started_after, now), _latest_start(selection, now)
    if (after is not None or before is not None) and row.started_at is None:
        yield "started_at is not told"
    elif row.started_at is not None:
        if after is not None and row.started_at < after:
            yield "started too early"
        if before is not None and row.started_at > before:
            yield "started too late"
    if selection.idle_for is not None:
        if row.last_message_at is None:
            yield "last_message_at is not told"
        elif row.last_message_at > now - selection.idle_for:
            yield "not idle for so long"
    if selection.expired:
        if row.ttl_expires_at is None:
            yield "ttl_expires_at is not told"
        elif row.ttl_expires_at > now:
            yield "not expired"


def _latest_start(selection: Selection, now: Millis) -> Millis | None:
    """The latest start that can still be chosen: what has been idle for a day has started a day ago at least."""
    before = _instant(selection.started_before, now)
    bounds = [before] if before is not None else []
    if selection.idle_for is not None:
        bounds.append(now - selection.idle_for)
    return min(bounds, default=None)


def _instant(bound: Bound | None, now: Millis) -> Millis | None:
    return now - bound.ms if isinstance(bound, Age) else bound


_SELECTION = TypeAdapter(Selection)


def rule_text(selection: Selection) -> str:
    """A selection as JSON."""
    return _SELECTION.dump_json(selection).decode()


def read_rule(text: str) -> Selection:
    """The selection that ``rule_text`` wrote."""
    return _SELECTION.validate_json(text)
