"""What each column of the results holds: for typed files, for typed records, and for the documentation."""

from dataclasses import dataclass
from typing import Literal

from closeout.worker.domain.item import Outcome

Kind = Literal["text", "integer", "instant"]


@dataclass(frozen=True, slots=True)
class Column:
    """One column; any may be empty (NULL), except where its meaning says otherwise. An instant is UTC, to the ms."""

    name: str
    kind: Kind
    meaning: str


DESCRIBED = (
    Column("run", "text", "the run's id; never empty"),
    Column("session_id", "text", "the session; in an invalid row what stood there, cut at 200 characters"),
    Column("outcome", "text", "how the row ended, one of the nine outcomes; never empty"),
    Column("detail", "text", "why, where the outcome alone does not tell"),
    Column("final_status", "text", "the status that the API told last, letter for letter"),
    Column("eval_status", "text", "the verdict of the evaluations that the API told last, letter for letter"),
    Column("eval_settled", "integer", "1 when that verdict is final, else 0; never empty"),
    Column("reason", "text", "the close reason that the row itself brought along"),
    Column("attempts", "integer", "closes sent, those answered with 429 left out; never empty"),
    Column("http_status", "integer", "the status of the last answer to a close"),
    Column(
        "error",
        "text",
        "what went wrong last: the API's code, or that of a lost answer (`timeout` …)",
    ),
    Column("closed_at", "instant", "when the session was closed, by the API's clock"),
    Column("first_attempt_at", "instant", "when the first close left, by this machine's clock"),
    Column("recorded_at", "instant", "when the outcome was recorded"),
    Column("settled_at", "instant", "when the verdict was found to be final"),
    Column("eval_total", "integer", "runs of evaluators"),
    Column("eval_succeeded", "integer", "those that succeeded"),
    Column("eval_failed", "integer", "those that failed"),
    Column("eval_pending", "integer", "those not ended yet"),
    Column("critical_total", "integer", "runs of critical evaluators"),
    Column("critical_succeeded", "integer", "those that succeeded"),
    Column("critical_failed", "integer", "those that failed"),
    Column("critical_pending", "integer", "those not ended yet"),
    Column("line", "integer", "the line of the source, from 1; empty where a listing or a queue gave the session"),
    Column("job", "text", "the configured job; empty in a run without one"),
)

OUTCOMES: dict[Outcome, str] = {
    Outcome.CLOSED: "our call closed it",
    Outcome.ALREADY_CLOSED: "it was terminal before our first attempt",
    Outcome.SKIPPED: "a guard, a plan or a cap said no; `detail` says which",
    Outcome.NOT_FOUND: "the API does not know it (404)",
    Outcome.INVALID: "not a UUID, or an unreadable row; `line` and `detail` say where and why",
    Outcome.REJECTED: "an answer that no retry can change (400, 403, 409, 422 …)",
    Outcome.FAILED: "attempts or time used up",
    Outcome.IN_DOUBT: "sent, answer lost, and not verified yet",
    Outcome.PENDING: "not attempted yet: the run was halted or interrupted, or only planned",
}
