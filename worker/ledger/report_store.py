"""What a ledger tells to reports: how a run went over time, how long answers took, why sessions were not closed."""

from dataclasses import dataclass
from typing import Protocol

from closeout.worker.models import Millis, Outcome, Run


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
