"""A session on its way through a run: read, admitted, claimed, recorded. Values only."""

from dataclasses import dataclass
from enum import StrEnum

from closeout.worker.domain.exchange import Exchange
from closeout.worker.domain.session import SessionState
from closeout.worker.support.clock import Millis


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


@dataclass(slots=True)  # not frozen: a million of them are made, and freezing costs 0.4 us each
class SourceRow:
    """One record of a source: a session to close, or the reason why it names none.

    ``line`` is the 1-based line on which the record begins. Exactly one of ``session_id`` (canonical,
    lower case) and ``problem`` is set; ``text`` is what stood there, cut at 200 characters, when there is a
    problem, else empty. ``reason`` is the row's own close reason, or None. What a listing told has no line (0), but the
    time of the session's start, and when it was ``seen`` so. ``wishes`` are what a message of a queue may say besides
    (``key``, ``not_before``), as they stand there and unchecked: `push` hands them on.
    """

    line: int
    session_id: str | None
    reason: str | None = None
    text: str = ""
    problem: str | None = None
    started_at: Millis | None = None
    seen_at: Millis | None = None
    wishes: dict[str, object] | None = None


@dataclass(frozen=True, slots=True)
class QueuedRow:
    """What one message of a queue asks for; of a malformed one the ``row`` says what is wrong.

    ``key`` is what a repetition bears, too (None: the session's id). ``not_before`` is when the session may be closed,
    0 for at once.
    """

    row: SourceRow
    key: str | None = None
    not_before: Millis = 0


@dataclass(frozen=True, slots=True)
class Claim:
    """One item taken from the ledger, to be closed or (in doubt, settling) to be looked at.

    ``attempts`` counts the closes sent so far; ``first_attempt_at`` is on our clock, and ``first_attempt_earliest`` the
    earliest that it may have been on the API's, None where that was not known; ``http_status`` is that of the last
    close answer; ``looks`` counts the look-ups since the item's state last changed. ``looked_at`` is when the
    evaluations were last looked at, or the session before its close. ``fresh``: never tried. ``status`` and
    ``updated_at`` are those of its last look-up, of parked items alone.
    """

    seq: int
    session_id: str
    reason: str | None = None
    attempts: int = 0
    first_attempt_at: Millis | None = None
    http_status: int | None = None
    error: str | None = None
    looks: int = 0
    started_at: Millis | None = None
    closed_at: Millis | None = None
    recorded_at: Millis | None = None
    looked_at: Millis | None = None
    first_attempt_earliest: Millis | None = None
    fresh: bool = False
    status: str | None = None
    updated_at: Millis | None = None


@dataclass(frozen=True, slots=True)
class ClosedItem:
    """A closed session as the ledger holds it; ``claim`` is what a look-up needs."""

    claim: Claim
    final_status: str | None
    eval_status: str | None
    eval_settled: bool


@dataclass(frozen=True, slots=True)
class Change:
    """What becomes of one item. Without an outcome it is a look at an item that keeps the one it has.

    A field that is None leaves the ledger's value, except ``settle_at`` and, with a new outcome, ``detail``, ``error``
    and ``http_status``. ``due_at`` is when a pending or doubtful item may be taken again (0: it was never tried; None:
    it has its outcome); ``settle_at`` when its evaluations are looked at again (None: never), or with ``looks`` 0 when
    the wait for the first look begins; ``looked_at`` when they were now. ``attempts`` and ``looks`` are the new counts.
    """

    seq: int
    outcome: Outcome | None = None
    due_at: Millis | None = None
    detail: str | None = None
    http_status: int | None = None
    error: str | None = None
    attempts: int | None = None
    first_attempt_at: Millis | None = None
    first_attempt_earliest: Millis | None = None
    looks: int = 0
    session: SessionState | None = None
    settled: bool = False
    settle_at: Millis | None = None
    looked_at: Millis | None = None


@dataclass(frozen=True, slots=True)
class Record:
    """An exchange and what it changed, written together; None where a change needed none."""

    exchange: Exchange | None
    changes: tuple[Change, ...]
