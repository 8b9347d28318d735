"""What a ledger offers. It is the queue between all stages, and the record of how each session ended."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

import anyio

from closeout.worker.domain.exchange import Exchange
from closeout.worker.domain.item import Claim, ClosedItem, Record, SourceRow
from closeout.worker.domain.run import Run, Tally
from closeout.worker.ledger.lease import Terms
from closeout.worker.ledger.membership import Membership, RunEnd, WorkerRow
from closeout.worker.ledger.records import (
    ALL_ROWS,
    AttemptedEnd,
    Counts,
    Found,
    InvalidKind,
    NewRun,
    NextDue,
    PlanGroup,
    RowFilter,
)
from closeout.worker.ledger.stores import IntakeStore, MessageStore, ReportStore
from closeout.worker.pace.budget import BudgetKey, BudgetStore
from closeout.worker.support.clock import Millis


class Ledger(Protocol):
    """All methods raise LedgerError when the storage fails. What a method wrote is durable when it returns."""

    @property
    def intake(self) -> IntakeStore:
        """What queues have given to runs of this ledger."""
        ...

    @property
    def messages(self) -> MessageStore:
        """The queues that this ledger holds."""
        ...

    @property
    def reports(self) -> ReportStore:
        """How runs went over time."""
        ...

    def joined(self, run: Run, terms: Terms, *, alone: bool = False) -> AbstractAsyncContextManager[Membership]:
        """Work on the run, as one of its workers where the ledger is for several machines; ``alone``: as the only one.

        RunBusyError where another process works on it and cannot be joined. A dead one holds nothing for longer than
        its lease.
        """
        ...

    async def workers(self) -> list[WorkerRow]:
        """The processes at work on this ledger, those of the newest run first."""
        ...

    def locked(self, run: Run) -> AbstractAsyncContextManager[None]:
        """Hold the run against others; RunBusyError if one holds it or works on it. A dead holder holds nothing."""
        ...

    def job_locked(self, job: str) -> AbstractAsyncContextManager[None]:
        """Hold a job, so that no two of its runs are worked on at once; RunBusyError if another process holds it."""
        ...

    def turn(self, organisation: str, stop: anyio.Event) -> AbstractAsyncContextManager[bool]:
        """Hold the turn of one organisation, waiting for it while another does; false if ``stop`` was set meanwhile.

        It is of the caller, not of its process: two that want it in one process exclude each other, too. A dead
        holder holds nothing.
        """
        ...

    def budget(self, key: BudgetKey) -> AbstractAsyncContextManager[BudgetStore]:
        """The budget that all processes on this ledger draw from for this host and organisation."""
        ...

    async def expect_writable(self) -> None:
        """Write something that changes nothing. Raises LedgerError where that is impossible now."""
        ...

    async def create_run(self, new: NewRun, now: Millis) -> Run: ...
    async def runs(self) -> list[Run]: ...
    async def find_run(self, name: str) -> Run:
        """By name, unique prefix or ``last``. Raises RunNotFoundError."""
        ...

    async def unfinished_of(self, location: str) -> Run | None: ...
    async def clock(self) -> Callable[[], Millis]:
        """What tells the time for all that a process writes to this ledger: alike for all that work on it at once."""
        ...

    async def start_run(self, run: Run, options: str) -> None:
        """Begin or go on: what a dead process had claimed becomes in doubt; doubts and retries are due at once.

        How a run had ended is kept until something has come of that: see ``end_run``.
        """
        ...

    async def tell(self, run: Run, tally: Tally) -> None:
        """Keep what a sweep has counted."""
        ...

    async def pass_canary(self, run: Run) -> None:
        """The canary was found good, and agreed to: for the life of the run, none is needed any more."""
        ...

    async def last_exchange(self, run: Run) -> Millis | None:
        """When the last exchange of the run was; None where there was none."""
        ...

    async def end_run(self, run: Run, end: RunEnd, now: Millis) -> None:
        """The run ends so. Where nothing has come of resuming it, it is put back, and its items, as they were.

        Unless it is finished only now: that is something, too.
        """
        ...

    async def put_back(self, run: Run) -> None:
        """The same for a run that nobody works on, and that was not begun, or broke off without an end."""
        ...

    async def admit(
        self, run: Run, rows: Sequence[SourceRow], digest: str, now: Millis, *, parked: bool = False
    ) -> int:
        """Add the next rows of the source; returns how many of them were duplicates.

        ``parked``: they must be looked up before they may be closed. A row that was
        listed tells that its session was seen again: where that was parked, it is pending once more.
        """
        ...

    async def admit_within(
        self, run: Run, rows: Sequence[SourceRow], most: int, now: Millis, *, parked: bool = False
    ) -> int | None:
        """The same unless the run would then hold more than ``most`` sessions: None, and nothing was added."""
        ...

    async def see_again(self, run: Run, rows: Sequence[SourceRow]) -> None:
        """Take in that these were listed again, as ``admit`` does, and add nothing."""
        ...

    async def source_done(self, run: Run, sha256: str | None = None) -> None:
        """The source was read to its end; ``sha256`` is that of its bytes, where it has any."""
        ...

    async def claim(
        self, run: Run, limit: int, now: Millis, fresh: int | None = None, earliest: Millis | None = None
    ) -> list[Claim]:
        """Take up to ``limit`` items that are due, at most ``fresh`` of them never tried before (None: any number).

        ``earliest`` is the earliest that ``now`` may be on the API's clock (None: not known), and kept of these.

        One ledger, one session of a host, one close in flight: what another run has claimed waits while that run is at
        work. What another run has closed, found closed or has in doubt is in doubt here, too, until it was looked up.
        """
        ...

    async def look_first(self, claims: Sequence[Claim]) -> None:
        """Put claimed items off until their sessions have been looked up once more."""
        ...

    async def known_count(self, host: str, sessions: Sequence[str]) -> int:
        """How many of these sessions the runs of this ledger on that host have closed, or found closed."""
        ...

    async def reasons_of(self, run: Run, sessions: Sequence[str]) -> dict[str, tuple[int, str | None]]:
        """The line and the own reason of those of these sessions that the run holds."""
        ...

    async def parked(self, run: Run, limit: int, now: Millis) -> list[Claim]:
        """Items that are to be looked up now, before they may be closed."""
        ...

    async def unpark(self, run: Run) -> int:
        """Some of the parked items may be closed without a look; returns how many, 0 when none is left."""
        ...

    async def skip_fresh(self, run: Run, detail: str, now: Millis) -> int:
        """Give some of the items never tried the outcome ``skipped``; returns how many, 0 when none is left."""
        ...

    async def unskip(self, run: Run, detail: str) -> int:
        """Some of the items skipped with a detail that begins so are to be closed; returns how many, 0 at the end.

        As with ``retry``, they show as skipped until then.
        """
        ...

    async def attempted_open(self, run: Run) -> set[int]:
        """The items that were tried and are still to be done."""
        ...

    async def attempted_ends(self, run: Run) -> list[AttemptedEnd]:
        """How the items that were tried stand."""
        ...

    async def taken_count(self, run: Run) -> int:
        """How many items of the run have ever been tried."""
        ...

    async def release(self, claims: Sequence[Claim]) -> None: ...
    async def park(self, claims: Sequence[Claim]) -> None:
        """Put claimed items off until a listing tells of them again: see ``admit``."""
        ...

    async def parked_count(self, run: Run) -> int: ...
    async def skip_parked(self, run: Run, since: Millis, detail: str, now: Millis) -> int:
        """Skip some of the parked items that were not listed since then; returns how many, 0 at the end."""
        ...

    async def park_all(self, run: Run) -> int:
        """Park all that is pending, and forget when the rest that is open was seen; returns how many that are."""
        ...

    async def plan_groups(self, run: Run) -> list[PlanGroup]:
        """What a plan holds, by how each session stands."""
        ...

    async def open_count(self, run: Run, limit: int, by: Millis) -> int:
        """How many are to be closed or verified by then, counted no further than ``limit``; parked ones are not."""
        ...

    async def backlog(self, run: Run, limit: int, by: Millis) -> int:
        """The same with those that are to be looked up by then."""
        ...

    async def due_doubts(self, run: Run, limit: int, now: Millis) -> list[Claim]:
        """What is in doubt and to be looked up now, other than what ``due_known`` tells."""
        ...

    async def due_known(self, run: Run, limit: int) -> list[Claim]:
        """What was never tried here and is to be looked up now: another run has closed it, or found it closed."""
        ...

    async def due_settles(self, run: Run, limit: int, now: Millis, ripe: Millis) -> list[Claim]:
        """Closed sessions whose evaluations are to be looked at now; those never looked at if closed by ``ripe``."""
        ...

    async def due_settles_by_start(
        self, run: Run, limit: int, now: Millis, ripe: Millis, after: Claim | None
    ) -> list[Claim]:
        """The same by their start, those that follow ``after``: so that a batch lies close together in a listing."""
        ...

    async def due_settle_spans(self, run: Run, span: Millis, now: Millis, ripe: Millis) -> int:
        """In how many spans of time of that length they have started: how many listing pages they lie on, about."""
        ...

    async def due_settle_count(self, run: Run, limit: int, now: Millis, ripe: Millis) -> int:
        """How many these are, counted no further than ``limit``."""
        ...

    async def settles_ahead(self, run: Run, wait: Millis) -> tuple[Millis, Millis] | None:
        """When the first and the last of all looks ahead are due, a first look ``wait`` after the close."""
        ...

    async def doubt_nones(self, run: Run, age: Millis) -> int:
        """Take back verdicts of ``none`` without runs that were believed when the close was younger than ``age``."""
        ...

    async def next_due(self, run: Run) -> NextDue: ...
    async def record(self, run: Run, records: Sequence[Record], now: Millis) -> None: ...
    async def retry(self, run: Run, *, parked: bool = False) -> int:
        """Failed, rejected and not-found items are to be attempted again, or ``parked``; returns how many.

        They show as what they were until a request for them has been answered.
        """
        ...

    async def resettle(self, run: Run) -> int:
        """Look at all verdicts that are not final as if for the first time; returns how many they are."""
        ...

    async def counts(self, run: Run) -> Counts: ...
    async def counts_as_of_now(self, run: Run) -> Callable[[], Awaitable[Counts]]:
        """A function that counts what the ledger holds now, however late it is called; to be called once.

        A count of a long run takes a while, and the work must not wait for it.
        """
        ...

    async def closed_sample(self, run: Run, limit: int) -> list[ClosedItem]:
        """Up to so many of the run's closed sessions, picked at random."""
        ...

    async def closed_by_start(self, run: Run, limit: int, after: Claim | None) -> list[ClosedItem]:
        """The run's closed sessions by their start, those that follow ``after``."""
        ...

    async def invalid_kinds(self, run: Run, limit: int) -> list[InvalidKind]:
        """The most frequent kinds of invalid rows. What differs from row to row (after a colon) makes no other kind."""
        ...

    async def busy(self, run: Run) -> bool:
        """Whether a process works on the run now."""
        ...

    def results(self, run: Run, chosen: RowFilter = ALL_ROWS) -> AsyncIterator[list[tuple[object, ...]]]:
        """The rows of the view ``results`` in the order of the source, in batches, columns as in COLUMNS."""
        ...

    async def results_of(self, seqs: Sequence[int]) -> list[tuple[object, ...]]:
        """The rows of these items (``Claim.seq``), in this order."""
        ...

    async def result_of(self, run: Run, session_id: str) -> tuple[object, ...] | None: ...
    async def attempts_of(self, run: Run, session_id: str) -> list[Exchange]: ...
    async def find_session(self, session_id: str, limit: int) -> list[Found]:
        """The session in every run that holds it, the newest run first, up to so many; empty where none does."""
        ...

    async def find_invalid(self, text: str, limit: int) -> list[Found]:
        """Invalid rows of all runs whose text, as the ledger keeps it, is exactly this; newest first, up to so many."""
        ...
