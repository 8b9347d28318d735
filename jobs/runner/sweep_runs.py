"""Runs of a job: finding the sessions that its rule chooses, and ending them."""

from contextlib import AsyncExitStack
from dataclasses import replace
from functools import partial

import click

from closeout.jobs.config.file import RawSettings, overlay
from closeout.jobs.config.invocation import Invocation, read_invocation
from closeout.jobs.definitions.job import Job
from closeout.jobs.runner.notify import tell_failure, telling
from closeout.jobs.runner.run_to_end import conclude, expect_export, run_to_end
from closeout.jobs.runner.terminal import confirm, say
from closeout.worker.config.settings import Settings
from closeout.worker.domain.run import Run
from closeout.worker.engine.new_run import whoami
from closeout.worker.feeds.sweep import Finding, Sweep
from closeout.worker.ledger.protocol import Ledger
from closeout.worker.ledger.records import NewRun
from closeout.worker.policy.anomaly import night_counts
from closeout.worker.policy.selection import read_rule, rule_text
from closeout.worker.runtime.context import Context
from closeout.worker.runtime.result import RunResult
from closeout.worker.support.clock import now_ms
from closeout.worker.support.errors import RunBusyError

_NIGHTS = 10  # so many earlier runs of a job say what is usual


def invocation_of(context: click.Context, job: Job) -> Invocation:
    """What a command that works on a job was asked for: the job's profile holds unless another one is named."""
    context.params["profile"] = context.params["profile"] or job.profile
    return as_job(read_invocation(context), job, overlay(RawSettings(), context))


def as_job(invocation: Invocation, job: Job, said: RawSettings) -> Invocation:
    """The same with what the job says, except where a flag or the environment said otherwise."""
    own = {name: value for name, value in job.settings.items() if name not in said.values}
    protect = job.protected | frozenset(invocation.settings.protect if "protect" in said.values else ())
    kept = {"protect": tuple(sorted(protect)), "rule": rule_text(job.selection), "max_close": job.max_close}
    settings = Settings.model_validate(invocation.settings.model_dump() | own | kept)
    return replace(invocation, settings=settings)


async def sweep_job(invocation: Invocation, job: Job) -> int:
    """One run of the job; returns the exit code. Raises RunBusyError where one is at work."""
    async with AsyncExitStack() as held:
        try:
            ledger = await held.enter_async_context(invocation.open_ledger(create=True))
            await held.enter_async_context(ledger.job_locked(job.name))
            await expect_export(ledger, None, invocation)
            options = invocation.settings.model_dump_json()
            new = NewRun(f"job {job.name}", options, job=job.name, made_by=whoami())
            run = await ledger.create_run(new, now_ms())
        except RunBusyError:  # the one at work tells of itself
            raise
        except Exception:
            await tell_failure(job, invocation.access.network)
            raise
        return await sweep_on(ledger, run, invocation, job)


async def plan_job(invocation: Invocation, name: str) -> int:
    """Plan what a job chooses now; returns the exit code."""
    invocation = invocation.that_plans()
    async with invocation.open_ledger(create=True) as ledger:
        await expect_export(ledger, None, invocation)
        options = invocation.settings.model_dump_json()
        new = NewRun(f"job {name}", options, job=name, made_by=whoami())
        run = await ledger.create_run(new, now_ms())
        return await conclude(ledger, await find_and_end(ledger, run, invocation), invocation)


async def sweep_on(ledger: Ledger, run: Run, invocation: Invocation, job: Job | None) -> int:
    """Begin or go on with a sweep by its stored rule: it is listed anew, and what was done stays done.

    The caller holds the job. ``job`` is what the configuration says of it now, for whom to tell; None if nothing.
    """
    ended = await telling(
        job, invocation.settings, invocation.access.network, partial(find_and_end, ledger, run, invocation)
    )
    return await conclude(ledger, ended, invocation)


async def find_and_end(ledger: Ledger, run: Run, invocation: Invocation) -> RunResult:
    """Find and close by the rule of the run, or for a plan find alone."""
    settings = invocation.settings
    rule = read_rule(settings.rule or "")
    protected = rule.protected | frozenset(settings.protect)  # a flag may protect more, and never less
    sweep = Sweep(replace(rule, protected=protected), settings.max_close or 1, await nights(ledger, run))
    invocation = replace(invocation, settings=settings.model_copy(update={"protect": tuple(sorted(protected))}))

    async def find(context: Context) -> None:
        await Finding(context, sweep, say, partial(confirm, context, yes=invocation.yes or not settings.closes)).run()

    return await run_to_end(ledger, run, invocation, find)


async def nights(ledger: Ledger, run: Run) -> list[int]:
    """How many sessions the same job found in its last nights before this run."""
    return night_counts([each for each in await ledger.runs() if each.job == run.job and each.id < run.id])[:_NIGHTS]
