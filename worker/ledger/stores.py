"""What else the ledger keeps, behind one protocol each: reports, what queues have given, and messages."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from closeout.worker.domain.item import Outcome, QueuedRow
from closeout.worker.domain.run import Run
from closeout.worker.support.clock import Millis


@dataclass(frozen=True, slots=True)
class Traffic:
    """Exchanges of one kind in the span of time that begins at ``at``.

    ``throttled`` were answered with 429; ``failed`` with a 5xx or not at all. ``last`` is the number of the last one.
    """

    at: Millis
    kind: str
    count: int
    throttled: int
    failed: int
    last: int


@dataclass(frozen=True, slots=True)
class LatencyCount:
    """How many answers to one kind of request took so many milliseconds."""

    kind: str
    ms: int
    count: int


@dataclass(frozen=True, slots=True)
class Example:
    """One session of a group: what stood in the source as its id, and the line."""

    session_id: str | None
    line: int | None


@dataclass(frozen=True, slots=True)
class Cause:
    """Sessions that ended alike: their outcome, the last answer to a close, and the detail; the first and the last."""

    outcome: Outcome
    http_status: int | None
    error: str | None
    detail: str | None
    count: int
    first: Example
    last: Example


@dataclass(frozen=True, slots=True)
class PaceSample:
    """The requests per second that are allowed from an instant on; ``waiting`` is what holds all of them up, or None.

    It is one of ``paused``, ``outage``, ``throttled`` and ``quiet hours``.
    """

    at: Millis
    allowed: float
    waiting: str | None = None


class ReportStore(Protocol):
    """What a ledger keeps for reports, and tells them. None of it loads all rows of a run."""

    async def note_pace(self, run: Run, sample: PaceSample) -> None:
        """Keep the rate that is allowed from an instant on."""
        ...

    async def paces(self, run: Run) -> list[PaceSample]:
        """The rates that were noted, in the order of time."""
        ...

    async def traffic(self, run: Run, width: Millis, after: int = 0) -> list[Traffic]:
        """The exchanges of a run by span of time of that length and by kind, in this order; empty spans are left out.

        ``after``: only those whose number is above it. With several processes at work that is good enough for a
        display, but may miss what was being written at that moment.
        """
        ...

    async def latencies(self, run: Run) -> list[LatencyCount]:
        """How long answers took, by kind and milliseconds, in this order. What had no answer is not counted."""
        ...

    async def causes(self, run: Run, limit: int) -> list[Cause]:
        """The most frequent causes of all outcomes but ``pending``, and of closed ones with a detail.

        What differs from row to row in the detail of an invalid one (after a colon) makes no other cause.
        """
        ...

    async def note_made(self, run: Run, kind: str, sha256: str) -> None:
        """Keep the digest of a file that was made of a run; ``kind`` is what it holds."""
        ...

    async def has_made(self, run: Run, kind: str, sha256: str) -> bool:
        """Whether a file with this digest was made of the run."""
        ...

    async def wanting(self, run: Run, limit: int) -> list[tuple[object, ...]]:
        """Rows of the results that a person should look at, the gravest first, columns as in COLUMNS.

        That is, in this order: failed, rejected, in doubt, not found, invalid, closed with a detail, closed and not
        settled, pending.
        """
        ...


@dataclass(frozen=True, slots=True)
class TakenIn:
    """What became of messages: how many were duplicates, and how many of the others were invalid.

    ``again`` are the outcomes of rows that are open again.
    """

    duplicates: int = 0
    invalid: int = 0
    again: Mapping[Outcome, int] = field(default_factory=dict)


class IntakeStore(Protocol):
    """All methods raise LedgerError; what one wrote is durable when it returns."""

    async def take_in(
        self, run: Run, rows: Sequence[QueuedRow], since: Millis, now: Millis, *, parked: bool = False
    ) -> TakenIn:
        """Add what messages of the run's queue ask for; parked, or due at their time.

        A key that this queue has given ``since`` then, to whatever run, is a duplicate and changes nothing. Where this
        run holds the session of another key, its row is in doubt, to be looked up, if the run was done with it, and the
        new one counts as a duplicate: rows read are duplicates and rows, always. What other runs have done with a
        session counts when it is claimed.
        """
        ...

    async def forget_keys(self, before: Millis, limit: int) -> int:
        """Forget some of the keys that messages bore before then; returns how many, 0 at the end."""
        ...


@dataclass(frozen=True, slots=True)
class Delivery:
    """One message as it was given out for the so-and-so-many-th time (from 1)."""

    seq: int
    number: int
    body: bytes


@dataclass(frozen=True, slots=True)
class MessageCounts:
    """How many messages of a queue wait (delayed ones included), are held by somebody, and are dead."""

    waiting: int
    in_flight: int
    dead: int


class MessageStore(Protocol):
    """The messages in a ledger. All methods raise LedgerError; what one wrote is durable when it returns.

    A number is never given to a second message, also once the first is gone.
    """

    async def push(self, queue: str, bodies: Sequence[bytes], now: Millis) -> None: ...
    async def any_due(self, queue: str, now: Millis) -> bool:
        """Whether anything could be fetched now. Cheap: it is asked many times a second."""
        ...

    async def fetch(self, queue: str, limit: int, now: Millis, until: Millis) -> list[Delivery]:
        """Hold up to so many due messages until then; nobody else gets them before. The longest due come first."""
        ...

    async def acknowledge(self, deliveries: Sequence[Delivery]) -> None:
        """Delete them, whoever holds them now; what is gone or dead is passed over."""
        ...

    async def put_back(self, deliveries: Sequence[Delivery], due: Millis) -> None:
        """They are due then, except those that have been given out again since."""
        ...

    async def bury(self, deliveries: Sequence[Delivery], why: str, now: Millis) -> None:
        """They stay, and are never due again; what is gone is passed over."""
        ...

    async def counts(self, queue: str, now: Millis) -> MessageCounts: ...
    async def dead(self, queue: str, limit: int) -> list[tuple[bytes, str]]:
        """The newest dead messages, each with the reason."""
        ...
