"""The words of the domain: items, outcomes, session states, verdicts and attempts.

Instants are integers, milliseconds since the epoch in UTC, unless a name says otherwise.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal

Millis = int


class Outcome(StrEnum):
    """How a row ended; each row that was read has exactly one."""

    CLOSED = "closed"
    ALREADY_CLOSED = "already_closed"
    SKIPPED = "skipped"
    NOT_FOUND = "not_found"
    INVALID = "invalid"
    REJECTED = "rejected"
    FAILED = "failed"
    IN_DOUBT = "in_doubt"
    PENDING = "pending"


TERMINAL_STATUSES = frozenset({"closed", "expired", "error", "superseded"})
LIVE_STATUSES = frozenset(
    {
        "queued",
        "ringing",
        "active",
        "paused",
        "waiting_for_human",
        "transferred",
        "awaiting_approval",
        "pending_dispatch",
    }
)


@dataclass(frozen=True, slots=True)
class SourceRow:
    """One record of a source: a session to close, or the reason why it names none.

    ``line`` is the 1-based line on which the record begins. Exactly one of ``session_id`` (canonical,
    lower case) and ``problem`` is set; ``text`` is what stood there, cut at 200 characters, when there is a
    problem, else empty. ``reason`` is the row's own close reason, or None.
    """

    line: int
    session_id: str | None
    reason: str | None = None
    text: str = ""
    problem: str | None = None
