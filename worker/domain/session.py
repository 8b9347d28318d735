"""A session as the API shows it: its statuses, its evaluation, and pages of sessions. Values only."""

from dataclasses import dataclass, field

from closeout.worker.support.clock import Millis

PAGE_SIZE = 200  # sessions on one page of the API's listing, at most
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
