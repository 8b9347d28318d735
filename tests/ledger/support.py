"""What the ledger's tests share: rows, exchanges and changes, and the ledgers under test."""

from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

from closeout.worker.domain.exchange import Exchange, Kind
from closeout.worker.domain.item import Change, Claim, Outcome, Record, SourceRow
from closeout.worker.domain.run import Run
from closeout.worker.domain.session import EvalSummary, SessionState
from closeout.worker.ledger.postgres.ledger import PostgresLedger
from closeout.worker.ledger.protocol import Ledger
from closeout.worker.ledger.records import COLUMNS, NewRun
from closeout.worker.ledger.sqlite.ledger import SqliteLedger
from closeout.worker.support.clock import Millis
from tests.postgres.databases import url_of

NOW: Millis = 1_772_445_600_000
DAY: Millis = 86_400_000
Opener = Callable[[Path], AbstractAsyncContextManager[Ledger]]


@asynccontextmanager
async def _open_sqlite(folder: Path) -> AsyncIterator[Ledger]:
    async with SqliteLedger.open(folder / "ledger.db", create=True) as ledger:
        yield ledger


@asynccontextmanager
async def _open_postgres(folder: Path) -> AsyncIterator[Ledger]:
    async with PostgresLedger.open(url_of(folder), create=True) as ledger:
        yield ledger


# Every implementation of the protocol, by name: the contract is tested against each.
IMPLEMENTATIONS: dict[str, Opener] = {"sqlite": _open_sqlite, "postgres": _open_postgres}


def session_id(number: int) -> str:
    """The UUID of session number so-and-so."""
    return f"0190c1f2-0000-7000-8000-{number:012x}"


def rows(numbers: Iterable[int], first_line: int = 2) -> list[SourceRow]:
    """Rows that name these sessions, one a line."""
    return [SourceRow(line, session_id(number)) for line, number in enumerate(numbers, first_line)]


def bad_row(line: int, text: str = "typo") -> SourceRow:
    """A row that names no session."""
    return SourceRow(line, None, None, text, "not a UUID")


def exchange(kind: Kind = "close", status: int | None = 200, at: Millis = NOW, error: str | None = None) -> Exchange:
    """One exchange of 12 ms."""
    return Exchange(at, kind, status, error, 12)


def closed(number: int = 1, *, status: str = "closed", evals: EvalSummary | None = None) -> SessionState:
    """A closed session's state."""
    found = evals or EvalSummary("success", 9, 8, 1, 0, 4, 3, 1, 0)
    return SessionState(session_id(number), status, found, started_at=NOW - DAY, closed_at=NOW + 5)


def changed(claim: Claim, outcome: Outcome | None, **values: object) -> Record:
    """The record of a close, or without an outcome of a read, that changed one item."""
    kind: Kind = "close" if outcome is not None else "read"
    return Record(exchange(kind), (Change(claim.seq, outcome, **values),))  # type: ignore[arg-type]  # named by each test


async def a_run(ledger: Ledger, numbers: Iterable[int] = (), **new: str) -> Run:
    """A started run with these sessions admitted."""
    run = await ledger.create_run(NewRun(**{"source": "rows.csv", "options": "{}", **new}), NOW)
    await ledger.start_run(run, "{}")
    admitted = rows(numbers)
    if admitted:
        await ledger.admit(run, admitted, "digest", NOW)
    return run


async def claim_all(ledger: Ledger, run: Run, now: Millis = NOW) -> list[Claim]:
    """All that can be claimed now."""
    return await ledger.claim(run, 10_000, now)


async def results_of(ledger: Ledger, run: Run) -> list[dict[str, object]]:
    """All rows of the results, by column."""
    return [dict(zip(COLUMNS, row, strict=True)) async for batch in ledger.results(run) for row in batch]


async def outcomes_of(ledger: Ledger, run: Run) -> dict[str, int]:
    """How many rows have each outcome, those with none left out."""
    counts = await ledger.counts(run)
    return {outcome.value: count for outcome, count in counts.outcomes.items() if count}
