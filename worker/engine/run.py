"""A run: feed, close, verify, settle, record, all at once, with the ledger between them."""

from collections.abc import Callable, Coroutine, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import anyio

from closeout.worker.api.client import Api
from closeout.worker.config.settings import Settings
from closeout.worker.domain.item import Outcome
from closeout.worker.domain.run import Run, with_actual_state, with_elapsed
from closeout.worker.engine.leadership import keep_in_step, take_over
from closeout.worker.ledger.membership import RunEnd
from closeout.worker.ledger.protocol import Ledger
from closeout.worker.ledger.records import Counts
from closeout.worker.ledger.stores import PaceSample
from closeout.worker.policy.quota import OVER_CAP
from closeout.worker.runtime.context import Context
from closeout.worker.runtime.result import RunResult, finished_exit_code, judge_end, judge_plan
from closeout.worker.runtime.stop import Stop, watch_signals
from closeout.worker.stages.breaker_probe import BreakerProbe
from closeout.worker.stages.canary import Canary
from closeout.worker.stages.close import Closing
from closeout.worker.stages.deadline import Deadline
from closeout.worker.stages.evaluations import Settling
from closeout.worker.stages.precheck import Planning, Precheck
from closeout.worker.stages.protect import Protecting
from closeout.worker.stages.reconcile import Reconcile
from closeout.worker.support.errors import HaltError

_LOOK = 0.05  # seconds between looks whether others are still at work
Watcher = Callable[[Context], Coroutine[Any, Any, None]]
Interrupts = Callable[[Stop, anyio.CancelScope], Coroutine[Any, Any, None]]
_NOTE_EVERY = 2.0  # seconds: far more than a row costs, and soon enough for whoever watches


async def work(
    context: Context,
    feed: Watcher | None,
    watchers: Sequence[Watcher] = (),
    *,
    interrupts: Interrupts = watch_signals,
    settle_only: bool = False,
) -> RunResult:
    """Do all that is left of a run that the caller has joined; with ``settle_only``, only its evaluations.

    ``feed`` admits what is left to be admitted, or is None. ``watchers`` run beside it (a display) and are cancelled at
    the end. ``interrupts`` waits for somebody who wants the run to end, and then for one who will not wait for it.
    """
    context.progress.source_done = feed is None
    async with anyio.create_task_group() as beside:
        with anyio.CancelScope() as give_up:
            beside.start_soon(interrupts, context.stop, give_up)
            if context.crew.first:
                await _raise_cap(context)
                await _set_guards(context)
                await take_over(context)
            context.log.info("working", source=context.run.source, rate=context.settings.allowed_rate)
            for watcher in (note_paces, *watchers):
                beside.start_soon(watcher, context)
            await _stages(context, feed, settle_only=settle_only)
        ended = await _end(context, settle_only=settle_only)
        beside.cancel_scope.cancel()
    context.log.info("ended", state=ended.state, why=ended.why, exit_code=ended.exit_code)
    return ended


async def _raise_cap(context: Context) -> None:
    """A higher cap than before takes up what the lower one left out.

    The run is unfinished under its old settings until all of that is pending again: whoever resumes it then, after a
    crash, has the lower cap or raises it anew.
    """
    run, ledger = context.run, context.ledger
    if not raises_cap(run, context.settings):
        return
    await ledger.start_run(run, run.options)
    while unskipped := await ledger.unskip(run, OVER_CAP):
        context.progress.taken_up[Outcome.SKIPPED] += unskipped


def raises_cap(run: Run, settings: Settings) -> bool:
    """Whether these settings let through more sessions than those that the run has."""
    before = Settings.model_validate_json(run.options).limit
    return before is not None and (settings.limit is None or settings.limit > before)


async def _set_guards(context: Context) -> None:
    """What an earlier process let through is looked up again: the guards may be others now, or there may be none."""
    if context.settings.guarded:
        await context.ledger.park_all(context.run)
    elif context.settings.rule is None:
        while await context.ledger.unpark(context.run):
            pass


async def _stages(context: Context, feed: Watcher | None, *, settle_only: bool) -> None:
    async with anyio.create_task_group() as recording:
        with context.recorder:
            recording.start_soon(context.recorder.run)
            if context.crew.over:
                return
            async with anyio.create_task_group() as stages:
                closing = None
                if settle_only:
                    context.end_closing()
                elif context.settings.closes and isinstance(context.api, Api):
                    closing = Closing(context, context.api)
                    for stage in (closing, Protecting(context), BreakerProbe(context), Deadline(context)):
                        stages.start_soon(stage.run)
                await keep_in_step(context, closing, partial(_duties, context, feed, settle_only=settle_only))


async def _duties(context: Context, feed: Watcher | None, *, settle_only: bool) -> None:
    """What one process alone does for a run: it has begun, in this process or another."""
    async with anyio.create_task_group() as duties:
        duties.start_soon(Settling(context, alone=settle_only).run)
        if settle_only:
            return
        if feed is not None:
            duties.start_soon(feed, context)
        if not (context.settings.closes and isinstance(context.api, Api)):
            for run in (Precheck(context).run, Planning(context).run, Deadline(context).run):
                duties.start_soon(run)
            return
        for stage in (Precheck, Reconcile, Canary):
            duties.start_soon(stage(context).run)


async def _end(context: Context, *, settle_only: bool) -> RunResult:
    """Settling alone finds out how the run stands, and leaves it in the state in which it was."""
    if context.crew.over:
        return await _ended_by_another(context)
    counts = await context.ledger.counts(context.run)
    source_done = (await context.ledger.find_run(context.run.name)).source_done
    settles = settle_only or context.settings.settle
    state, why, exit_code = judge_end(counts, context.stop, context.last_call, source_done=source_done, settles=settles)
    if not context.settings.closes and context.stop.state is None:
        left = await context.ledger.parked_count(context.run)
        state, why, exit_code = judge_plan(counts, context.last_call, left, source_done=source_done)
    before = with_actual_state(context.run)
    if settle_only:
        state, why = before.state, before.why
    pace, seconds = context.gate.pace, context.progress.seconds - context.led_from
    ended = await context.crew.leave(RunEnd(state, why, seconds, {**pace.waited, **pace.slower}), context.now())
    await (pace.leave(context.run.name) if ended else pace.give_back())
    run = await context.ledger.find_run(context.run.name)
    told = context.stop.why or why  # also why settling alone broke off, which the ledger does not keep
    if ended and before.ended_at is not None and (run.state, run.ended_at) == (before.state, before.ended_at):
        return RunResult(run, state, told, counts, exit_code, kept=True)
    if context.stop.state == "interrupted":
        run = with_elapsed(run, context.now())  # others may go on with it
        return RunResult(replace(run, state=state, why=why), state, why, counts, exit_code)
    if not ended or (run.state != state and not settle_only):
        return await _ended_by_another(context)
    if await _others_left(context):
        run, counts = await _found(context)
        exit_code = finished_exit_code(counts, settles=settles) if state == "finished" else exit_code
    return RunResult(run, state, told, counts, exit_code)


async def _ended_by_another(context: Context) -> RunResult:
    """As the ledger says: all processes of a run end alike."""
    await context.crew.leave(RunEnd("interrupted", None, 0.0), context.now())
    await context.gate.pace.give_back()
    await _others_left(context)
    run, counts = await _found(context)
    if run.state == "running":  # by others, who took this process for dead
        run = replace(run, state="interrupted", why="lease expired (no heartbeat); other workers continue")
    settles = context.settings.settle
    code = finished_exit_code(counts, settles=settles) if run.state == "finished" else HaltError.exit_code
    return RunResult(run, run.state, run.why, counts, code, by_another=context.stop.state != "interrupted")


async def _others_left(context: Context) -> bool:
    """Wait for the last answers that others record; whether there was anybody. A person need not wait for them."""
    waited = False
    while context.stop.state != "interrupted" and await context.crew.others():
        if not waited:
            context.log.info("waiting for the other processes of the run to leave it")
        waited = True
        await anyio.sleep(_LOOK)
    return waited


async def _found(context: Context) -> tuple[Run, Counts]:
    return await context.ledger.find_run(context.run.name), await context.ledger.counts(context.run)


async def nothing_left(ledger: Ledger, run: Run, settings: Settings) -> RunResult | None:
    """How a finished run stands of which nothing is left to do with these settings; None where something is."""
    ended = await as_it_stands(ledger, run)
    if run.state != "finished" or raises_cap(run, settings) or (settings.settle and ended.counts.unsettled):
        return None
    return None if ended.exit_code == HaltError.exit_code else ended


async def as_it_stands(ledger: Ledger, run: Run) -> RunResult:
    """A run that nobody works on."""
    counts = await ledger.counts(run)
    settles = Settings.model_validate_json(run.options).settle
    _, _, exit_code = judge_end(counts, Stop(), Stop(), source_done=run.source_done, settles=settles)
    return RunResult(run, run.state, run.why, counts, exit_code, kept=True)


async def note_paces(context: Context) -> None:
    """Look every few seconds, until cancelled, and note what is not as it was."""
    noted: PaceSample | None = None
    while True:
        pace = context.gate.pace
        if noted is not None and (case := pace.case) is not None:
            pace.slower[case.kind] += _NOTE_EVERY
        sample = PaceSample(context.now(), round(pace.rate, 1), pace.cause)
        if noted is None or (noted.allowed, noted.waiting) != (sample.allowed, sample.waiting):
            await context.ledger.reports.note_pace(context.run, sample)
            noted = sample
        await anyio.sleep(_NOTE_EVERY)
