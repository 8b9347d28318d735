"""The work on a PostgreSQL ledger's items: admitted, claimed, looked up and recorded."""

from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import asdict
from typing import TypeVar

from closeout.worker.domain.exchange import Exchange
from closeout.worker.domain.item import Change, Claim, Record, SourceRow
from closeout.worker.domain.run import Run
from closeout.worker.ledger.membership import LeaseLostError
from closeout.worker.ledger.postgres.claims import SKIPPED_AT_ONCE, Turn
from closeout.worker.ledger.postgres.connection import Database
from closeout.worker.ledger.postgres.membership import PostgresMembership
from closeout.worker.ledger.postgres.statements import Statements, as_json
from closeout.worker.ledger.records import NextDue
from closeout.worker.ledger.rows import (
    RUN_SHIFT,
    achieves,
    attempt_values,
    change_values,
    is_single,
    item_values,
    place_of,
    run_of,
    seqs_found_closed,
    span_of,
)
from closeout.worker.support.clock import NEVER, Millis

_T = TypeVar("_T")


class _TooManyError(Exception):
    """Takes a transaction back."""


class Work:
    """See ``protocol.Ledger`` for what each method means."""

    _database: Database
    _crews: dict[int, PostgresMembership]  # by run: a consumer of a queue works on its own, and on one that it adopts

    def _owner(self, run: int) -> int | None:
        """The number by which this process is a worker of the run; None where it is not one of those at work on it."""
        crew = self._crews.get(run)
        return None if crew is None else crew.owner

    def _holder(self, claims: Sequence[Claim]) -> int | None:
        """The same, by what was claimed: all of one run."""
        return self._owner(claims[0].seq >> RUN_SHIFT) if claims else None

    async def _changed(self, query: str, **values: object) -> int:
        return await self._database.write(lambda sql: sql.changed(query, **values))

    async def _lead(self, run: Run, work: Callable[[Statements], Awaitable[_T]]) -> _T:
        """One transaction that only the lead of a run may do. Raises LeaseLostError where that is another by now."""
        owner = self._owner(run.id)

        async def checked(sql: Statements) -> _T:
            if owner is not None and not await sql.rows("worker_leads", run=run.id, owner=owner):
                raise LeaseLostError(f"run {run.name} is led by another process now")
            return await work(sql)

        try:
            return await self._database.write(checked)
        except LeaseLostError:
            if run.id in self._crews:
                self._crews[run.id].lose()
            raise

    async def _changed_by_lead(self, run: Run, query: str, **values: object) -> int:
        return await self._lead(run, lambda sql: sql.changed(query, run=run.id, **values))

    async def _count(self, query: str, **values: object) -> int:
        return int(await self._database.read(lambda sql: sql.value(query, **values)))

    async def _claims(self, query: str, **values: object) -> list[Claim]:
        return [Claim(*row) for row in await self._database.read(lambda sql: sql.rows(query, **values))]

    # admission

    async def admit(
        self, run: Run, rows: Sequence[SourceRow], digest: str, now: Millis, *, parked: bool = False
    ) -> int:
        due = NEVER if parked else 0
        return await self._lead(run, lambda sql: _admit(sql, run, rows, digest, now, due=due))

    async def admit_within(
        self, run: Run, rows: Sequence[SourceRow], most: int, now: Millis, *, parked: bool = False
    ) -> int | None:
        due = NEVER if parked else 0
        try:
            return await self._lead(run, lambda sql: _admit(sql, run, rows, "", now, due=due, most=most))
        except _TooManyError:
            return None

    async def see_again(self, run: Run, rows: Sequence[SourceRow]) -> None:
        await self._lead(run, lambda sql: _see_again(sql, run, rows))

    # claims

    async def claim(
        self, run: Run, limit: int, now: Millis, fresh: int | None = None, earliest: Millis | None = None
    ) -> list[Claim]:
        """A worker that is taken for dead gets nothing; nothing fresh, while a cap or a canary is the lead's affair."""
        owner, crew = self._owner(run.id), self._crews.get(run.id)
        leads = crew is not None and crew.has_taken_over  # as of the time of ``fresh``

        async def work(sql: Statements) -> list[Claim]:
            if owner is not None and not await sql.rows("worker_alive", owner=owner):
                return []
            return await Turn(sql, run, owner, now, earliest, leads=leads).claim(limit, fresh)

        return await self._database.write(work)

    async def look_first(self, claims: Sequence[Claim]) -> None:
        await self._changed("look_again", seqs=[claim.seq for claim in claims], owner=self._holder(claims))

    async def known_count(self, host: str, sessions: Sequence[str]) -> int:
        return await self._count("known_count", host=host, sessions=list(sessions))

    async def reasons_of(self, run: Run, sessions: Sequence[str]) -> dict[str, tuple[int, str | None]]:
        found = await self._database.read(lambda sql: sql.rows("reasons_of", run=run.id, sessions=list(sessions)))
        return {str(session): (line, reason) for session, line, reason in found}

    async def release(self, claims: Sequence[Claim]) -> None:
        if claims:
            seqs = [claim.seq for claim in claims]
            await self._changed("release", seqs=seqs, owner=self._holder(claims))

    async def park(self, claims: Sequence[Claim]) -> None:
        seqs = [claim.seq for claim in claims]
        await self._changed("park", seqs=seqs, owner=self._holder(claims), never=NEVER)

    async def parked(self, run: Run, limit: int, now: Millis) -> list[Claim]:
        return await self._claims("parked", run=run.id, limit=limit, now=now, never=NEVER)

    async def unpark(self, run: Run) -> int:
        return await self._changed_by_lead(run, "unpark", limit=SKIPPED_AT_ONCE, never=NEVER)

    async def parked_count(self, run: Run) -> int:
        return await self._count("parked_count", run=run.id, never=NEVER)

    async def skip_parked(self, run: Run, since: Millis, detail: str, now: Millis) -> int:
        values = {"since": since, "detail": detail, "now": now, "never": NEVER, "limit": SKIPPED_AT_ONCE}
        return await self._skipped_by_lead(run, "skip_parked", **values)

    async def park_all(self, run: Run) -> int:
        return await self._changed_by_lead(run, "park_all", never=NEVER)

    async def skip_fresh(self, run: Run, detail: str, now: Millis) -> int:
        return await self._lead(run, lambda sql: Turn(sql, run, self._owner(run.id), now).skip_fresh(detail))

    async def _skipped_by_lead(self, run: Run, query: str, **values: object) -> int:
        async def work(sql: Statements) -> int:
            if skipped := await sql.changed(query, run=run.id, **values):
                await sql.rows("achieved", run=run.id)
            return skipped

        return await self._lead(run, work)

    async def unskip(self, run: Run, detail: str) -> int:
        return await self._changed("unskip", detail=detail, limit=SKIPPED_AT_ONCE, **span_of(run))

    async def attempted_open(self, run: Run) -> set[int]:
        rows = await self._database.read(lambda sql: sql.rows("attempted_open", run=run.id, never=NEVER))
        return {int(seq) for (seq,) in rows}

    async def taken_count(self, run: Run) -> int:
        return await self._count("taken_count", **span_of(run))

    async def open_count(self, run: Run, limit: int, by: Millis) -> int:
        return await self._count("open_count", run=run.id, limit=limit, by=by)

    async def backlog(self, run: Run, limit: int, by: Millis) -> int:
        return await self._count("backlog", run=run.id, limit=limit, by=by, never=NEVER)

    async def pass_canary(self, run: Run) -> None:
        await self._changed_by_lead(run, "pass_canary")

    # what is due

    async def due_doubts(self, run: Run, limit: int, now: Millis) -> list[Claim]:
        return await self._claims("due_doubts", run=run.id, limit=limit, now=now)

    async def due_known(self, run: Run, limit: int) -> list[Claim]:
        return await self._claims("due_known", run=run.id, limit=limit)

    async def due_settles(self, run: Run, limit: int, now: Millis, ripe: Millis) -> list[Claim]:
        return await self._claims("due_settles", run=run.id, limit=limit, now=now, ripe=ripe)

    async def due_settles_by_start(
        self, run: Run, limit: int, now: Millis, ripe: Millis, after: Claim | None
    ) -> list[Claim]:
        return await self._claims(
            "due_settles_by_start", run=run.id, limit=limit, now=now, ripe=ripe, **place_of(after)
        )

    async def due_settle_spans(self, run: Run, span: Millis, now: Millis, ripe: Millis) -> int:
        return await self._count("due_settle_spans", run=run.id, span=span, now=now, ripe=ripe)

    async def due_settle_count(self, run: Run, limit: int, now: Millis, ripe: Millis) -> int:
        return await self._count("due_settle_count", run=run.id, limit=limit, now=now, ripe=ripe)

    async def settles_ahead(self, run: Run, wait: Millis) -> tuple[Millis, Millis] | None:
        rows = await self._database.read(lambda sql: sql.rows("settles_ahead", run=run.id, wait=wait, never=NEVER))
        first, last = rows[0]
        return None if first is None else (first, last)

    async def doubt_nones(self, run: Run, age: Millis) -> int:
        return await self._changed("doubt_nones", age=age, **span_of(run))

    async def next_due(self, run: Run) -> NextDue:
        return NextDue(*(await self._database.read(lambda sql: sql.rows("next_due", run=run.id)))[0])

    # what came of it

    async def record(self, run: Run, records: Sequence[Record], now: Millis) -> None:
        """A few statements for the whole batch, however many records there are."""
        exchanged = [(record.exchange, record.changes) for record in records if record.exchange is not None]
        singles = [attempt_values(*pair) for pair in exchanged if is_single(*pair)]
        pages = [pair for pair in exchanged if not is_single(*pair)]
        batches = [as_json([change_values(change) for change in wave]) for wave in _waves(records)]
        found_closed, owner = seqs_found_closed(records), self._owner(run.id)

        async def work(sql: Statements) -> None:
            late = owner is not None and not await sql.rows("worker_alive", owner=owner)
            if singles:
                await sql.rows("attempts", run=run.id, attempts=as_json(singles))
            for batch in batches:
                await sql.rows("change", changes=batch, now=now, owner=owner, late=late)
            if found_closed:
                await sql.rows("closed_by", seqs=found_closed)
            for pair in pages:
                await _page(sql, run, *pair)
            if achieves(records):
                await sql.rows("achieved", run=run.id)

        if records:
            await self._database.write(work)

    async def retry(self, run: Run, *, parked: bool = False) -> int:
        async def work(sql: Statements) -> int:
            await sql.rows("items_put_back", run=run.id)
            return await sql.changed("retry", parked=parked, never=NEVER, **span_of(run))

        return await self._database.write(work)

    async def resettle(self, run: Run) -> int:
        return await self._changed("resettle", **span_of(run))


async def _admit(
    sql: Statements, run: Run, rows: Sequence[SourceRow], digest: str, now: Millis, *, due: Millis, most: int = NEVER
) -> int:
    held = run_of((await sql.rows("run_locked", run=run.id))[0])
    base = (run.id << RUN_SHIFT) + held.rows_read
    values = [item_values(row, base + at, run, now, due) for at, row in enumerate(rows)]
    duplicates = len(rows) - await sql.changed("admit", rows=as_json(values))
    if duplicates < len(rows) and held.rows_read - held.duplicates + len(rows) - duplicates > most:
        raise _TooManyError
    await _see_again(sql, run, rows)
    await sql.rows("admitted", run=run.id, read=len(rows), duplicates=duplicates, digest=digest)
    return duplicates


async def _see_again(sql: Statements, run: Run, rows: Sequence[SourceRow]) -> None:
    seen = [row for row in rows if row.session_id is not None and row.seen_at is not None]
    if seen:
        at = min(row.seen_at or 0 for row in seen)
        await sql.rows("seen_again", run=run.id, sessions=[str(row.session_id) for row in seen], at=at, never=NEVER)


async def _page(sql: Statements, run: Run, exchange: Exchange, changes: tuple[Change, ...]) -> None:
    attempt = await sql.value("page", run=run.id, **asdict(exchange))
    if changes:
        await sql.rows("sightings", attempt=attempt, items=[change.seq for change in changes])


def _waves(records: Sequence[Record]) -> Iterator[list[Change]]:
    """All changes in their order, no item twice in one wave: a statement would take any one of the two."""
    wave: dict[int, Change] = {}
    for record in records:
        for change in record.changes:
            if change.seq in wave:
                yield list(wave.values())
                wave = {}
            wave[change.seq] = change
    if wave:
        yield list(wave.values())
