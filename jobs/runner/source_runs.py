"""Runs on a file or standard input: what is expected of it, and closing or planning it."""

import hashlib
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import anyio
import anyio.to_thread

from closeout.jobs.config.invocation import Invocation
from closeout.jobs.runner.run_to_end import conclude, expect_export, reading, run_to_end
from closeout.jobs.runner.terminal import ask, keyboard
from closeout.worker.config.settings import Settings
from closeout.worker.domain.run import LOCATIONS_APART, Run
from closeout.worker.engine.new_run import whoami
from closeout.worker.feeds.source import OpenedSource
from closeout.worker.ledger.open import on_postgres
from closeout.worker.ledger.protocol import Ledger
from closeout.worker.ledger.records import NewRun
from closeout.worker.pace.allowance import Allowance
from closeout.worker.pace.forecast import estimate_sessions, forecast, in_words
from closeout.worker.runtime.result import RunResult
from closeout.worker.sources import open_source
from closeout.worker.support.clock import now_ms
from closeout.worker.support.errors import ConfigurationError, EmptySourceError, RunBusyError
from closeout.worker.support.units import counted

_CHUNK = 1 << 20
_ASK_AGAIN = 0.05  # seconds; to make a run takes no longer


@dataclass(frozen=True, slots=True)
class Expected:
    """How many sessions a source holds, as far as its beginning tells; ``estimated``: it was not read to its end.

    ``listed`` are these before a cap has cut them.
    """

    sessions: int
    estimated: bool
    listed: int

    def __str__(self) -> str:
        return f"some {self.sessions:,} sessions" if self.estimated else counted(self.sessions, "session")


def expected_of(opened: OpenedSource, settings: Settings) -> Expected | None:
    """How many sessions are to be closed; None where that cannot be guessed. Blocking."""
    rows = len(_sessions_of(opened))
    complete = opened.complete and _is_file(opened)
    sessions = rows if complete else _estimated(opened, rows)
    if sessions is not None and settings.limit is not None and settings.limit < sessions:
        return Expected(settings.limit, estimated=False, listed=sessions)
    return Expected(sessions, not complete, sessions) if sessions is not None else None


async def forecast_from(
    opened: OpenedSource, expected: Expected | None, settings: Settings, ledger: Ledger
) -> str | None:
    """The forecast in one line; None where the size of the source cannot be guessed."""
    beginning = sorted(_sessions_of(opened))
    if expected is None or not expected.sessions or not beginning:
        return None
    share = await ledger.known_count(settings.host, beginning) / len(beginning)
    known = round(share * expected.listed)
    new = expected.listed - known if settings.limit is None else min(settings.limit, expected.listed - known)
    allowance = Allowance(settings.allowed_rate, settings.org_limit, settings.quiet_windows, settings.zone)
    estimated = expected.estimated
    told = forecast(new + known, allowance, now_ms(), settles=settings.settle, estimated=estimated, known=known)
    return in_words(told, allowance)


def _sessions_of(opened: OpenedSource) -> set[str]:
    return {row.session_id for row in opened.beginning if row.session_id is not None}


def _is_file(opened: OpenedSource) -> bool:
    """A named pipe has a location, too, and must not be opened again."""
    return opened.location is not None and all(Path(path).is_file() for path in opened.location.split(LOCATIONS_APART))


def _estimated(opened: OpenedSource, rows: int) -> int | None:
    """As many more rows as the rest of the file is longer than its beginning."""
    if opened.location is None or not opened.by_lines or not Path(opened.location).is_file():
        return None
    lines = opened.beginning[-1].line
    with open(opened.location, "rb") as file:  # a location is text, as the ledger keeps it
        read = 0
        while lines > 0 and (chunk := file.read(_CHUNK)):
            found = chunk.count(b"\n")
            if found >= lines:
                read += len(chunk) - len(chunk.split(b"\n", lines)[-1])
            else:
                read += len(chunk)
            lines -= found
        size = file.seek(0, 2)
    return estimate_sessions(rows, read, size)


async def close_source(invocation: Invocation, source: Sequence[str], *, new_run: bool) -> int:
    """Close all that the source lists; returns the exit code. Raises SourceError with nothing sent."""
    opened = await _opened(source, invocation.settings)
    expected = await anyio.to_thread.run_sync(expected_of, opened, invocation.settings)
    if invocation.export is not None:
        async with invocation.open_ledger(create=True) as ledger:
            unfinished = None if new_run else await _unfinished(ledger, opened.location)
            await expect_export(ledger, unfinished, invocation, opened.location)
    await _expect_consent(invocation, opened, expected)
    async with invocation.open_ledger(create=True) as ledger:
        async with _one_at_a_time(ledger, opened.location):
            unfinished = None if new_run else await _unfinished(ledger, opened.location)
            if unfinished is None:
                told = await forecast_from(opened, expected, invocation.settings, ledger)
                run = await ledger.create_run(run_of_source(opened, invocation.settings), now_ms())
        if unfinished is None:
            lines = [reading_of(opened), *([f"forecast: {told}"] if told else [])]
            ended = await run_to_end(ledger, run, invocation, reading(opened), told=lines)
        else:
            ended = await _go_on(ledger, unfinished, invocation, opened)
        return await conclude(ledger, ended, invocation)


async def _expect_consent(invocation: Invocation, opened: OpenedSource, expected: Expected | None) -> None:
    """A person on a terminal agrees to close what the source lists, as it is read. Raises ConfigurationError."""
    with keyboard(stdin_is_read=opened.location is None) as typed_at:
        if invocation.yes or typed_at is None or opened.empty:
            return
        facts = (reading_of(opened), _what_is_closed(invocation.settings, expected))
        if not await ask("Close them?", *facts, typed_at=typed_at):
            raise ConfigurationError(f"{opened.name} was not closed: nothing was sent")


def _what_is_closed(settings: Settings, expected: Expected | None) -> str:
    many = str(expected) if expected is not None else "as many sessions as the pipe gives"
    known = {"profile": settings.profile, "organisation": settings.organisation}
    whose = ", ".join(f"{name} {value}" for name, value in known.items() if value)
    return f"{many} to close on {settings.base_url}{f' ({whose})' if whose else ''}, which cannot be undone"


def reading_of(opened: OpenedSource) -> str:
    """How a source is read, in one line."""
    return f"{opened.name}: {opened.reading}"


@asynccontextmanager
async def _one_at_a_time(ledger: Ledger, location: str | None) -> AsyncIterator[None]:
    """Of several processes that begin with the same file at once, one makes the run and the others find it."""
    async with AsyncExitStack() as held:
        while location is not None:
            try:
                await held.enter_async_context(ledger.job_locked(f"source {location}"))
                break
            except RunBusyError:
                await anyio.sleep(_ASK_AGAIN)
        yield


async def _unfinished(ledger: Ledger, location: str | None) -> Run | None:
    found = await ledger.unfinished_of(location) if location is not None else None
    if found is not None and not Settings.model_validate_json(found.options).closes:
        return None  # a plan that was not made to its end
    return found


async def plan_source(invocation: Invocation, source: Sequence[str]) -> int:
    """Plan all that the source lists; returns the exit code. Raises SourceError with nothing sent."""
    invocation = invocation.that_plans()
    opened = await _opened(source, invocation.settings)
    async with invocation.open_ledger(create=True) as ledger:
        await expect_export(ledger, None, invocation, opened.location)
        run = await ledger.create_run(run_of_source(opened, invocation.settings), now_ms())
        ended = await run_to_end(ledger, run, invocation, reading(opened), told=[reading_of(opened)])
        return await conclude(ledger, ended, invocation)


def open_rows(source: str | Sequence[str], id_column: str | None, *, lenient: bool) -> OpenedSource:
    """Open files, or standard input; ``lenient``: with ids that are wrapped. Blocking."""
    return OpenedSource(open_source(source, id_column=id_column, lenient=lenient))


def open_as_set(source: str | Sequence[str], settings: Settings) -> OpenedSource:
    """Open files, or standard input, to be read as the settings of a run say. Blocking."""
    opened = open_source(source, id_column=settings.id_column, lenient=settings.lenient_ids)
    try:
        return OpenedSource(opened, allow_empty=settings.allow_empty)
    except EmptySourceError as error:
        raise EmptySourceError(f"{error} (--allow-empty: that is no error)") from error


async def _opened(source: Sequence[str], settings: Settings) -> OpenedSource:
    return await anyio.to_thread.run_sync(open_as_set, source, settings, abandon_on_cancel=True)


def run_of_source(opened: OpenedSource, settings: Settings) -> NewRun:
    """A run of a source, with these settings."""
    return NewRun(
        source=opened.name,
        options=settings.model_dump_json(),
        location=opened.location,
        source_stat=source_stat(opened.location),
        made_by=whoami(),
        reading=opened.reading,
    )


def source_stat(location: str | None) -> str | None:
    """Size and time of change of a file: while they are the same, so is the file. Of several files, their digest."""
    if location is None:
        return None
    stats = [Path(path).stat() for path in location.split(LOCATIONS_APART)]
    told = [f"{stat.st_size}:{stat.st_mtime_ns}" for stat in stats]
    return told[0] if len(told) == 1 else hashlib.sha256(" ".join(told).encode()).hexdigest()


async def _go_on(ledger: Ledger, run: Run, invocation: Invocation, opened: OpenedSource) -> RunResult:
    expect_same_host(run, invocation.settings)
    same_file = run.source_stat == source_stat(opened.location)
    if same_file:
        _expect_same_reading(run, opened)
    others = sum(worker.run == run.name for worker in await ledger.workers())
    doing = f"joining {others} on it" if others and on_postgres(invocation.ledger) else "resuming it"
    told = f"{opened.name} has an unfinished run, {run.name}: {doing} (--new-run starts anew)"
    unchanged = run.source_done and same_file
    if not unchanged:
        await anyio.to_thread.run_sync(opened.skip, run)
    lines = [told, reading_of(opened)]
    return await run_to_end(ledger, run, invocation, reading(None if unchanged else opened), told=lines)


def _expect_same_reading(run: Run, opened: OpenedSource) -> None:
    """What a run still has to close are ids as it has read them. Raises ConfigurationError where others are meant."""
    if run.reading not in (None, opened.reading):
        raise ConfigurationError(
            f"{opened.name} has an unfinished run, {run.name}, which reads it otherwise ({run.reading}): "
            f"`closeout resume {run.name}` continues it, --new-run starts a new run"
        )


def expect_same_host(run: Run, settings: Settings) -> None:
    """A run belongs to one host, and one organisation. Raises ConfigurationError otherwise."""
    stored = Settings.model_validate_json(run.options)
    if (stored.base_url, stored.api) != (settings.base_url, settings.api):
        raise ConfigurationError(
            f"--base-url: run {run.name} was begun against {stored.base_url} (API {stored.api}), not "
            f"{settings.base_url} (API {settings.api}): use the same, or --new-run"
        )
    if stored.profile not in (None, settings.profile):
        raise ConfigurationError(
            f"--profile: run {run.name} was begun with --profile {stored.profile}: use the same, or --new-run"
        )
