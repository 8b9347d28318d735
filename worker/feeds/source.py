"""The admitting stage: rows of the source into the ledger, in batches, while closing has begun."""

import hashlib
import threading
from collections.abc import Iterator, Sequence

import anyio.to_thread

from closeout.worker.config.dialect import as_known, reason_problem
from closeout.worker.config.settings import Settings
from closeout.worker.domain.item import SourceRow
from closeout.worker.domain.run import Run
from closeout.worker.runtime.context import Context
from closeout.worker.sources.protocol import Source
from closeout.worker.sources.session_ids import problem_row
from closeout.worker.support.errors import EmptySourceError, SourceError

_BATCH = 2_000
_CONFLICTS_TOLD = 5  # of one batch


class RowDigest:
    """A running digest of the rows read. Equal digests mean that a source, read again, began the same."""

    def __init__(self) -> None:
        self._hash = hashlib.blake2b(digest_size=16)

    def add(self, rows: Sequence[SourceRow]) -> None:
        text = "".join(f"{row.line}\t{row.session_id or row.text}\t{row.reason or ''}\n" for row in rows)
        self._hash.update(text.encode("utf-8", "surrogatepass"))

    def copy(self) -> "RowDigest":
        other = RowDigest()
        other._hash = self._hash.copy()
        return other

    @property
    def value(self) -> str:
        return self._hash.hexdigest()


def with_known_reasons(rows: list[SourceRow], settings: Settings) -> list[SourceRow]:
    """A row whose own reason must not be sent becomes a problem row."""
    if not any(row.reason for row in rows):
        return rows
    return [_checked(row, settings) for row in rows]


def _checked(row: SourceRow, settings: Settings) -> SourceRow:
    if row.reason is None or row.session_id is None:
        return row
    row.reason = as_known(row.reason, settings.api)
    problem = reason_problem(row.reason, settings.api, allow_unknown=settings.allow_unknown_reason)
    if problem is None:
        return row
    return problem_row(row.line, row.session_id, problem, row.reason)


class OpenedSource:
    """A source that has been found readable, and how far it has been read. Blocking: for worker threads.

    ``beginning`` are its first rows, and ``reading`` says how their ids are found; ``complete`` tells that these are
    all, so far as one may know before reading on; ``empty``, that it lists nothing. Raises SourceError when
    nothing at all can be read, or when it is empty, unless that is allowed.
    """

    def __init__(self, source: Source, *, allow_empty: bool = False) -> None:
        self.name = source.name
        self.location = source.location
        self.digest = RowDigest()
        self.rows = 0  # that the digest is of
        self._last: tuple[list[SourceRow], RowDigest] = ([], self.digest)  # given out, and the digest before it
        self._turn = threading.Lock()
        self._source = source
        batches = source.batches(_BATCH)
        self.empty = False
        try:
            self.beginning = next(batches, [])
        except EmptySourceError:
            if not allow_empty:
                raise
            self.beginning, self.empty = [], True
        self.reading = source.reading if not self.empty else "no rows"
        self.by_lines = source.by_lines
        self.complete = self.location is not None and len(self.beginning) < _BATCH
        self._batches = _chain(self.beginning, batches)

    @property
    def sha256(self) -> str | None:
        """Of its bytes, once they have been read to their end."""
        return self._source.sha256

    def take(self) -> list[SourceRow]:
        """The next batch; empty at the end."""
        with self._turn:
            rows = next(self._batches, [])
            self.beginning = []
            self._last = (rows, self.digest.copy())
            self._add(rows)
            return rows

    def _add(self, rows: list[SourceRow]) -> None:
        self.digest.add(rows)
        self.rows += len(rows)

    def skip(self, run: Run) -> None:
        """Pass over the rows that the run has admitted, from here on. Raises SourceError if they are not the same rows.

        The batch that was taken last is given out again, if it has not been admitted.
        """
        with self._turn:
            rows, digest = self._last
            if rows and run.rows_read < self.rows:
                self._batches = _chain(rows, self._batches)
                self.digest, self.rows = digest, self.rows - len(rows)
            self._last = ([], self.digest)
            self._pass_over(run)

    def _pass_over(self, run: Run) -> None:
        left = run.rows_read - self.rows
        while left > 0:
            batch = next(self._batches, [])
            self._add(batch[:left])
            if len(batch) > left:
                self._batches = _chain(batch[left:], self._batches)
            if not batch:
                break
            left -= min(left, len(batch))
        if left > 0 or (run.rows_read and self.digest.value != run.digest):
            raise SourceError(
                f"{self.name} has changed since run {run.name} read {run.rows_read:,} rows of it: `closeout resume "
                f"{run.name}` wants the old file; `closeout close {self.name} --new-run` starts anew with this one"
            )


def _chain(rest: list[SourceRow], batches: Iterator[list[SourceRow]]) -> Iterator[list[SourceRow]]:
    if rest:
        yield rest
    yield from batches


async def admit_source(context: Context, source: OpenedSource) -> None:
    """Admit all that is left of a source, in the course of a run."""
    await Admission(context, source).run()


class Admission:
    """Reads an opened source in a worker thread and admits what it yields."""

    def __init__(self, context: Context, source: OpenedSource) -> None:
        self._context = context
        self._source = source

    async def run(self) -> None:
        """Admit until the source ends or the run stops."""
        context = self._context
        await self._catch_up()
        while not context.stop.requested and not context.last_call.requested:
            rows: list[SourceRow] | None = None
            with context.stop.interruptible(), context.last_call.interruptible():
                # A read that a stop has to leave behind (an idle pipe) takes with it only rows that nobody has seen.
                rows = await anyio.to_thread.run_sync(self._source.take, abandon_on_cancel=True)
            if rows is None:
                return
            if not rows:
                await end_of_source(context, self._source.sha256)
                return
            await admit_rows(context, rows, self._source.digest)

    async def _catch_up(self) -> None:
        """Pass over what another process has admitted since this one has joined it."""
        run = await self._context.ledger.find_run(self._context.run.name)
        if run.rows_read > self._source.rows:
            self._context.progress.rows_read, self._context.progress.duplicates = run.rows_read, run.duplicates
        await anyio.to_thread.run_sync(self._source.skip, run, abandon_on_cancel=True)


async def admit_rows(context: Context, rows: list[SourceRow], digest: RowDigest) -> None:
    """Admit one batch; the digest is that of all rows up to its end."""
    checked = with_known_reasons(rows, context.settings)
    parked = context.settings.guarded
    duplicates = await context.ledger.admit(context.run, checked, digest.value, context.now(), parked=parked)
    context.progress.admitted(checked, duplicates)
    context.stir()
    if duplicates and any(row.reason for row in checked):
        await _tell_of_conflicts(context, checked)


async def _tell_of_conflicts(context: Context, rows: list[SourceRow]) -> None:
    """The first row of a session holds: say where a later one asks for another reason."""
    sessions = [row.session_id for row in rows if row.session_id is not None]
    held = await context.ledger.reasons_of(context.run, sessions)
    default = context.settings.reason
    found = [(row, *held[row.session_id]) for row in rows if row.session_id in held]
    differing = [(row, line, reason) for row, line, reason in found if (row.reason or default) != (reason or default)]
    for row, line, reason in differing[:_CONFLICTS_TOLD]:
        context.log.warning(
            "a duplicate has another reason: the first row holds",
            session=row.session_id, line=row.line, reason=row.reason, first_line=line, first_reason=reason,
        )  # fmt: skip
    if len(differing) > _CONFLICTS_TOLD:
        context.log.warning("more duplicates have another reason", count=len(differing) - _CONFLICTS_TOLD)


async def end_of_source(context: Context, sha256: str | None = None) -> None:
    """There is nothing more to admit."""
    await context.ledger.source_done(context.run, sha256)
    context.progress.source_done = True
    context.stir()
    context.log.info("source read to its end", rows=context.progress.rows_read)
