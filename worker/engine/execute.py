"""One run from its lock to its end: what it needs is opened, and closed again when it has ended."""

import random
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from functools import partial

from closeout.worker.api.client import Endpoint, ReadingApi, open_api, open_reading_api
from closeout.worker.config.access import Access
from closeout.worker.config.settings import Settings
from closeout.worker.domain.run import Run
from closeout.worker.engine.build import build_context
from closeout.worker.engine.run import Interrupts, Watcher, work
from closeout.worker.ledger.lease import terms_of
from closeout.worker.ledger.protocol import Ledger
from closeout.worker.pace.budget import BudgetStore, budget_key, unruled
from closeout.worker.runtime.context import Context
from closeout.worker.runtime.progress import Progress
from closeout.worker.runtime.result import RunResult
from closeout.worker.runtime.snapshot import REQUEST_WINDOW, Rate
from closeout.worker.runtime.stop import Alarms, Stop, watch_signals
from closeout.worker.support.clock import now_ms
from closeout.worker.support.errors import CloseoutError, ConfigurationError, HaltError, primary_error

# What each process of a run goes by as it is told itself.
_OWN = (
    "concurrency",
    "timeout",
    "lease",
    "give_up_after",
    "org_limit",
    "share",
    "rate",
    "pace",
    "tolerate",
    "min_rate",
    "quiet_hours",
    "timezone",
)


async def _alone(_run: Run) -> Sequence[Watcher]:
    return ()


async def _yes(_context: Context, _told: str) -> bool:
    return True


async def execute(  # what is worked on, by what right, and what feeds it
    ledger: Ledger,
    run: Run,
    settings: Settings,
    access: Access,
    feed: Watcher | None,
    *,
    begun: Callable[[Run], Awaitable[Sequence[Watcher]]] = _alone,
    approve: Callable[[Context, str], Awaitable[bool]] = _yes,
    interrupts: Interrupts = watch_signals,
    settle_only: bool = False,
    alarms: Alarms | None = None,
) -> RunResult:
    """Join the run, or hold it where one process at a time works on one, and work until it ends.

    ``begun`` is called with the run once it is held, and says what is to run beside the work; ``approve`` whether to
    go on after the canary; ``feed``, ``interrupts`` and ``settle_only`` are those of ``run.work``.
    Work without an end has ``alarms``.

    Raises RunBusyError with nothing sent, and HaltError where the run broke off and can be resumed.
    """
    endpoint = Endpoint.of(settings, access)
    budget = ledger.budget(budget_key(settings))
    now = await ledger.clock()
    opened: AbstractAsyncContextManager[ReadingApi] = open_api(endpoint, now)
    if not settings.closes:
        opened = open_reading_api(endpoint, now)
    async with budget as store:
        await _forget_the_dead(ledger, store)  # what is said to the run once it is held is said to this process
        terms = terms_of(settings.lease, settings.timeout, settings.give_up_after)
        alone = settle_only or not settings.closes or settings.from_queue  # each consumer of a queue has its own run
        async with ledger.joined(run, terms, alone=alone) as crew, opened as api:
            await crew.ready()
            current = await ledger.find_run(run.name)
            settings = settings if crew.first else as_begun(settings, current)
            progress = Progress(rows_read=current.rows_read, duplicates=current.duplicates)
            rng, sent = random.SystemRandom(), Rate(REQUEST_WINDOW)
            context = build_context(current, settings, ledger, api, store, Stop(), progress, rng, now, crew, now_ms)
            crew.rate = lambda: sent.seen(progress.clock(), progress.exchanges.total())
            context.approve = partial(approve, context)
            context.alarms = context.gate.alarms = alarms
            try:
                beside = await begun(current)
                return await work(context, feed, beside, interrupts=interrupts, settle_only=settle_only)
            except* CloseoutError as errors:
                first = primary_error(errors)
                raise HaltError(f"{first}; run {run.name} can be resumed") from first


def as_begun(own: Settings, run: Run) -> Settings:
    """The settings of a process that joins a run: those the run was begun with, but its own pace and patience.

    Raises ConfigurationError for one that would draw from another budget.
    """
    begun = Settings.model_validate_json(run.options)
    if budget_key(begun) != budget_key(own):
        raise ConfigurationError(
            f"run {run.name} is running on {begun.base_url} for organisation {begun.organisation!r}: "
            "--base-url and --organisation must be the same"
        )
    return begun.model_copy(update={name: getattr(own, name) for name in _OWN})


async def _forget_the_dead(ledger: Ledger, store: BudgetStore) -> None:
    """What a person said to a run that no process holds any more counts no longer."""
    said_to = (await store.decide(lambda budget, _: (budget, budget.set_by))).value
    if said_to is None:
        return
    if not any([await ledger.busy(each) for each in await ledger.runs() if each.name == said_to]):
        await store.decide(lambda budget, _: (unruled(budget) if budget.set_by == said_to else budget, None))
