"""One request to the API and what came of it. Values only."""

from dataclasses import dataclass
from typing import Literal, get_args

from closeout.worker.domain.session import SessionRow, SessionState
from closeout.worker.support.clock import Millis

Kind = Literal["close", "read", "list", "probe"]
KINDS: tuple[Kind, ...] = get_args(Kind)
FOREIGN_ANSWER = "foreign_answer"  # the error code of an answer with an error's status that is not the API's
UNREADABLE = "unreadable_answer"  # that of an answer that is no HTTP, or a 200 that holds nothing of use
UNSENT = "unsent_"  # how each code begins of a request whose first byte was never written; the ledger counts by it


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
    API, ``cause`` says in one sentence of ours what failed, and ``lasting`` that only a person can mend it.
    ``sessions`` holds the usable sessions of a 200, and ``rows`` the same in full where a listing asked for them.
    ``from_api`` is true when the body has the API's own shape (``api.voice``), and tells of the session asked for;
    where it is not, ``form`` says in words of ours what the body was. ``exact`` is false of an error that is not to the
    letter what the API documents: it tells of the API, but not what became of a close. ``retry_after`` is in seconds,
    when told.
    ``server_time`` is the answer's Date header. ``organisation`` is whose key it is, where that was asked and told.
    """

    exchange: Exchange
    sent: bool = True
    cause: str = ""
    lasting: bool = False
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
        return self.cause or self.exchange.error or f"status {self.http_status}"

    @property
    def session(self) -> SessionState | None:
        return self.sessions[0] if self.sessions else None
