"""Closing sessions from within a program: the run that ``closeout close`` makes, without a command line.

Nothing is printed, no signal is caught, no logging is set up: what there is to log goes to the logger ``closeout``.
"""

import inspect
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Unpack

import anyio

from closeout.worker.config.access import Access, check_key
from closeout.worker.config.dialect import check_reason
from closeout.worker.config.network import network_of
from closeout.worker.config.settings import Settings, SettingsGiven, settings_of
from closeout.worker.domain.item import Outcome
from closeout.worker.domain.run import Run, RunState
from closeout.worker.engine.execute import execute
from closeout.worker.engine.new_run import whoami
from closeout.worker.engine.run import Watcher
from closeout.worker.export.result_row import ResultRow, record_of
from closeout.worker.feeds.iterable import Streaming
from closeout.worker.ledger.open import open_ledger
from closeout.worker.ledger.protocol import Ledger
from closeout.worker.ledger.records import NewRun, RowFilter
from closeout.worker.report.summary import summary
from closeout.worker.runtime.cancellation import Caller, draining
from closeout.worker.runtime.context import Context
from closeout.worker.runtime.result import RunResult
from closeout.worker.runtime.snapshot import Meter, Snapshot
from closeout.worker.sources.iterables import Ids, given_rows
from closeout.worker.support.clock import now_ms
from closeout.worker.support.errors import ConfigurationError, SourceError, primary_error

Address = str | os.PathLike[str]
OnProgress = Callable[[Snapshot], Awaitable[None] | None]


@dataclass(frozen=True, slots=True)
class CloseResult:
    """How a run stands at its end.

    ``exit_code`` is that of the command: 0 where all is well, 1 where some are not found, invalid, rejected or failed,
    3 where the run halted, 4 where some verdicts were not final in time. ``outcomes`` has all nine; ``eval_status``
    counts the verdicts of closed sessions, of which ``unsettled`` are not final. ``summary`` is the document of
    ``--json``.
    """

    run: str
    state: RunState
    why: str | None
    exit_code: int
    rows_read: int
    duplicates: int
    outcomes: Mapping[Outcome, int]
    eval_status: Mapping[str, int]
    unsettled: int
    seconds: float
    summary: Mapping[str, object]
    ledger: str = field(repr=False)  # an address may hold a password

    async def rows(
        self, *, outcomes: Iterable[Outcome | str] = (), eval_statuses: Iterable[str] = ()
    ) -> AsyncIterator[ResultRow]:
        """The rows of the run in the order of the ids, as the ledger holds them now; of those outcomes and verdicts.

        They are read as they are asked for, never all at once. Raises LedgerError, and ValueError for no outcome.
        """
        chosen = RowFilter(frozenset(map(Outcome, outcomes)), frozenset(eval_statuses))
        async with open_ledger(self.ledger) as ledger:
            run = await ledger.find_run(self.run)
            async for batch in ledger.results(run, chosen):
                for row in batch:
                    yield record_of(row)


async def close_sessions(
    ids: Ids,
    *,
    api_key: str,
    ledger: Address = "closeout.db",
    on_progress: OnProgress | None = None,
    progress_every: float = 1.0,
    source: str = "a program",
    **settings: Unpack[SettingsGiven],
) -> CloseResult:
    """Close these sessions, each as ``closeout close`` does, and wait for their verdicts.

    ``ids`` is an iterable or an asynchronous one; ``source`` is what `closeout runs` calls it. ``on_progress`` is
    called with a Snapshot every so many seconds and once at the end, and may be a coroutine function; what it raises
    ends the run in good order and is raised here. A cancellation sends nothing new, waits for what is in flight,
    records it, and goes on its way; a second one gives up on what is in flight. ``resume_run`` goes on after either.

    Raises ConfigurationError with nothing sent, SourceError where ``ids`` raised an error, HaltError where the run
    broke off; all are CloseoutErrors. A run that halts (too many failures, a refused key) is a result with that state.
    """
    given = settings_of(settings)
    check_reason(given.reason, given.api, allow_unknown=given.allow_unknown_reason)
    access, streaming = _access(api_key), Streaming(given_rows(ids))

    async def new(opened: Ledger) -> tuple[Run, Settings]:
        made = NewRun(source, given.model_dump_json(), made_by=whoami())
        return await opened.create_run(made, now_ms()), given

    address = os.fspath(ledger)
    ended = await _to_its_end(address, new, access, streaming.run, on_progress, progress_every, create=True)
    if streaming.error is not None:
        told = f"the session ids broke off ({type(streaming.error).__name__}); run {ended.run.name} holds those before"
        raise SourceError(told) from streaming.error
    return _result(ended, address)


async def resume_run(
    run: str = "last",
    *,
    api_key: str,
    ledger: Address = "closeout.db",
    on_progress: OnProgress | None = None,
    progress_every: float = 1.0,
    **settings: Unpack[SettingsGiven],
) -> CloseResult:
    """Go on with a run of ``close_sessions``: with its settings, except where one is given, and the ids it has read.

    Raises RunNotFoundError and RunBusyError besides what ``close_sessions`` raises.
    """
    access = _access(api_key)

    async def known(opened: Ledger) -> tuple[Run, Settings]:
        found = await opened.find_run(run)
        return found, _gone_on_with(found, settings)

    address = os.fspath(ledger)
    ended = await _to_its_end(address, known, access, None, on_progress, progress_every)
    return _result(ended, address)


def _gone_on_with(run: Run, settings: SettingsGiven) -> Settings:
    """The settings of a run that is gone on with. Raises ConfigurationError."""
    stored = Settings.model_validate_json(run.options)
    given = settings_of(settings, stored)
    if not given.closes or given.rule is not None or given.from_queue:
        raise ConfigurationError(f"run {run.name} is a plan, a sweep or a queue's: use the command line to continue it")
    if (given.base_url, given.api) != (stored.base_url, stored.api):
        raise ConfigurationError(
            f"base_url: run {run.name} was begun against {stored.base_url} (API {stored.api}), and a run has one host"
        )
    check_reason(given.reason, given.api, allow_unknown=given.allow_unknown_reason)
    return given


def _access(api_key: str) -> Access:
    """With the network that the environment describes. Raises ConfigurationError."""
    return Access(check_key(api_key, "api_key"), network_of({}, os.environ, {}))


async def _to_its_end(  # noqa: PLR0917  # a run, by what right, what feeds it, who is told
    address: str,
    begin: Callable[[Ledger], Awaitable[tuple[Run, Settings]]],
    access: Access,
    feed: Watcher | None,
    on_progress: OnProgress | None,
    every: float,
    *,
    create: bool = False,
) -> RunResult:
    """All of it where no cancellation reaches: a native one comes through a shield, into the middle of a statement."""
    telling = _Telling(on_progress, every) if on_progress is not None else None

    async def begun(_: Run) -> Sequence[Watcher]:
        return [telling.run] if telling is not None else []

    async def whole(caller: Caller) -> RunResult:
        async with open_ledger(address, create=create) as ledger:
            run, settings = await begin(ledger)
            ended = await execute(ledger, run, settings, access, feed, begun=begun, interrupts=caller.interrupts)
        return ended

    try:
        done = await draining(whole)
    except ExceptionGroup as errors:
        raise primary_error(errors) from errors
    if telling is not None:
        await telling.at_the_end()
    return done


class _Telling:
    """Tells a program how the run stands."""

    def __init__(self, on_progress: OnProgress, every: float) -> None:
        self._on_progress = on_progress
        self._every = every
        self._meter: Meter | None = None
        self._error: Exception | None = None

    async def run(self, context: Context) -> None:
        self._meter = Meter(context)
        while self._error is None:
            try:
                await self._tell(self._meter)
            except Exception as error:  # the program's own; the run is not to break off in the middle for it
                self._error = error
                context.stop.request("interrupted", f"its caller failed with {type(error).__name__}", 130)
            await anyio.sleep(self._every)

    async def at_the_end(self) -> None:
        if self._error is not None:
            raise self._error
        if self._meter is not None:
            await self._tell(self._meter)

    async def _tell(self, meter: Meter) -> None:
        answer = self._on_progress(meter.take())
        if inspect.isawaitable(answer):
            await answer


def _result(ended: RunResult, ledger: str) -> CloseResult:
    run, counts = ended.run, ended.counts
    return CloseResult(
        run=run.name,
        state=ended.state,
        why=ended.why,
        exit_code=ended.exit_code,
        rows_read=run.rows_read,
        duplicates=run.duplicates,
        outcomes=counts.outcomes,
        eval_status=counts.eval_status,
        unsettled=counts.unsettled,
        seconds=run.seconds,
        summary=summary(ended, ended.settings),
        ledger=ledger,
    )
