"""The words of the domain: items, outcomes, session states, verdicts and attempts.

Instants are integers, milliseconds since the epoch in UTC, unless a name says otherwise.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Literal, get_args

Millis = int
PAGE_SIZE = 200  # sessions on one page of the API's listing, at most
# Due at no time: given up until somebody asks again. A pending item that is due so long after an instant is *parked*:
# not to be closed before it has been looked up, which is to be done from that instant on.
NEVER: Millis = 2**62


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
EVAL_STATUSES = frozenset({"success", "partial", "failure", "pending", "none"})
# A person is to take over, or must decide: closing one of these by mistake hurts somebody.
WAITING_STATUSES = frozenset({"waiting_for_human", "awaiting_approval"})
# A call is being set up or moved: what runs unattended leaves these alone, too.
MOVING_STATUSES = frozenset({"ringing", "queued", "pending_dispatch", "transferred"})


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
class EvalSummary:
    """What the API says of a session's evaluations: the verdict, letter for letter, and the run counts."""

    status: str = "none"
    total: int = 0
    succeeded: int = 0
    failed: int = 0
    pending: int = 0
    critical_total: int = 0
    critical_succeeded: int = 0
    critical_failed: int = 0
    critical_pending: int = 0


@dataclass(frozen=True, slots=True)
class SessionState:
    """What the API said of one session; nothing in it is personal data."""

    session_id: str
    status: str
    evals: EvalSummary = field(default_factory=EvalSummary)
    started_at: Millis | None = None
    closed_at: Millis | None = None

    @property
    def terminal(self) -> bool:
        return self.status in TERMINAL_STATUSES

    @property
    def live(self) -> bool:
        return self.status in LIVE_STATUSES


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionRow(SessionState):
    """One session as a listing tells it, with all that a rule may choose by; nothing in it is personal data.

    A field that is absent or unreadable is None. ``updated_at`` tells whether a session changed since it was listed.
    """

    channel: str | None = None
    priority: str | None = None
    session_type: str | None = None
    assigned_agent_id: str | None = None
    end_user_id: str | None = None
    last_message_at: Millis | None = None
    ttl_expires_at: Millis | None = None
    updated_at: Millis | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """What the API is asked to list; None filters nothing. Both ends of the window on ``started_at`` are in it.

    ``text`` is looked for in what people wrote, which only the API sees.
    """

    status: str | None = None
    channel: str | None = None
    priority: str | None = None
    end_user_id: str | None = None
    assigned_agent_id: str | None = None
    started_after: Millis | None = None
    started_before: Millis | None = None
    text: str | None = None


Kind = Literal["close", "read", "list", "probe"]
KINDS: tuple[Kind, ...] = get_args(Kind)
FOREIGN_ANSWER = "foreign_answer"  # the error code of an answer with an error's status that is not the API's


@dataclass(frozen=True, slots=True)
class Exchange:
    """One HTTP exchange as the ledger keeps it; ``error`` is a code, never the text of an answer."""

    at: Millis
    kind: Kind
    http_status: int | None
    error: str | None
    ms: int


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back for one request, or that nothing did.

    ``http_status`` is None when no answer arrived; then ``sent`` tells whether the request may have reached the
    API. ``sessions`` holds the usable sessions of a 200, and ``rows`` the same in full where a listing asked for them.
    ``from_api`` is true when the body has the API's own shape (``api.voice``), and tells of the session asked for;
    where it is not, ``form`` says in words of ours what the body was. ``exact`` is false of an error that is not to the
    letter what the API documents: it tells of the API, but not what became of a close. ``retry_after`` is in seconds,
    when told.
    ``server_time`` is the answer's Date header. ``organisation`` is whose key it is, where that was asked and told.
    """

    exchange: Exchange
    sent: bool = True
    sessions: tuple[SessionState, ...] = ()
    rows: tuple[SessionRow, ...] = ()
    cursor: str | None = None
    from_api: bool = False
    exact: bool = True
    form: str = ""
    retry_after: float | None = None
    server_time: Millis | None = None
    organisation: str | None = None

    @property
    def http_status(self) -> int | None:
        """Whoever gave it: good for a throttle and for what a person is told, and for no verdict."""
        return self.exchange.http_status

    @property
    def api_status(self) -> int | None:
        """The status if the API gave it; None where nothing came back, or from somebody else."""
        return self.exchange.http_status if self.from_api else None

    @property
    def foreign(self) -> bool:
        """Whether something that is not the API answered, or that cannot be told from it."""
        return self.exchange.http_status is not None and not self.from_api

    @property
    def answered(self) -> str:
        """What came, in a few words for a person: ``404 with an HTML page``."""
        return f"{self.http_status} with {self.form}" if self.form else f"{self.http_status}"

    @property
    def trouble(self) -> str:
        """What is wrong with an answer that is of no use, in a few words for a person."""
        if self.foreign:
            return f"{self.answered}, not as the API answers"
        return self.exchange.error or f"status {self.http_status}"

    @property
    def session(self) -> SessionState | None:
        return self.sessions[0] if self.sessions else None


@dataclass(frozen=True, slots=True)
class Claim:
    """One item taken from the ledger, to be closed or (in doubt, settling) to be looked at.

    ``attempts`` counts the closes sent so far; ``first_attempt_at`` is on our clock; ``http_status`` is that of
    the last close answer; ``looks`` counts the look-ups since the item's state last changed. ``looked_at`` is when the
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


@dataclass(frozen=True, slots=True)
class Tally:
    """What a sweep counted before it closed anything: how many sessions its rule chooses, and the ``others`` by reason.

    Where it is not ``whole``, counting ended early: there are more.
    """

    chosen: int
    others: Mapping[str, int] = field(default_factory=dict)
    whole: bool = True

    @property
    def listed(self) -> int:
        return self.chosen + sum(self.others.values())


RunState = Literal["running", "finished", "halted", "interrupted", "planned"]


@dataclass(frozen=True, slots=True)
class Run:
    """One run as the ledger holds it. ``options`` are its settings as JSON, without any secret.

    ``seconds`` is the time spent working, over all processes that have ended, and ``waited`` what of it was spent
    waiting, by cause. ``begun_at`` is when the process that works on it now began. ``made_by`` is who made it, and
    where; ``source_sha256`` that of the source's bytes, once it was read to its end; ``reading`` says how its ids were
    found. ``was`` is how it had ended before a process took it up once more, by the names of its columns; None once
    something has come of that. ``host`` is the API's, written in one way; None for a run of an older version that was
    not begun again.
    """

    id: int
    name: str
    job: str
    source: str
    location: str | None
    options: str
    state: RunState
    why: str | None
    rows_read: int
    duplicates: int
    source_done: bool
    source_stat: str | None
    digest: str | None
    created_at: Millis
    ended_at: Millis | None
    seconds: float
    waited: Mapping[str, float] = field(default_factory=dict)
    begun_at: Millis | None = None
    tally: Tally | None = None
    made_by: str | None = None
    source_sha256: str | None = None
    reading: str | None = None
    was: Mapping[str, Any] | None = None  # what its columns hold is stated by the schema
    host: str | None = None


def worked_until(run: Run, then: Millis | None) -> Run:
    """A run whose process has not ended it, with the time that it was at it until then."""
    if run.begun_at is None or then is None:
        return run
    return replace(run, seconds=run.seconds + max(0, then - run.begun_at) / 1000)


def as_found(run: Run) -> Run:
    """A run that says it is at work, and that nobody holds, was left by a process that died.

    Where nothing has come of that process, the run is as it was before.
    """
    if run.state != "running":
        return run
    if run.was is not None:
        was = {**run.was, "waited": json.loads(run.was["waited"])}
        return replace(run, **was, begun_at=None, was=None)
    return replace(run, state="interrupted", why="its process ended without a word")
