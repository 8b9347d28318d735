"""``closeout sweep NAME``: finds sessions by the rule of a configured job, and closes them."""

from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from functools import partial
from typing import Any

import anyio
import click

from closeout.jobs.configuration import Given, config_path, overlay
from closeout.jobs.invocation import Invocation, read_invocation
from closeout.jobs.job import Job
from closeout.jobs.job_tables import find_job
from closeout.jobs.notify import tell_failure, telling
from closeout.jobs.options import BRAKE, HOST, MORE_GUARDS, OPERATIONS, PACE, PORTION, SETTLE, working_options
from closeout.jobs.running import conclude, expect_export, run_to_end
from closeout.jobs.terminal import confirm, say
from closeout.worker.clock import now_ms
from closeout.worker.context import Context
from closeout.worker.errors import CloseoutError, RunBusyError
from closeout.worker.finding import Finding, Sweep
from closeout.worker.ledger.opening import open_ledger
from closeout.worker.ledger.protocol import Ledger
from closeout.worker.ledger.records import NewRun
from closeout.worker.models import Run
from closeout.worker.pipeline import Ended
from closeout.worker.rule import night_counts, read_rule, rule_text
from closeout.worker.settings import Settings
from closeout.worker.whoami import whoami

_NIGHTS = 10  # so many earlier runs of a job say what is usual


@click.command("sweep")
@click.argument("name")
@click.option("--dry-run", is_flag=True, help="Close nothing: the same as `closeout plan --job NAME`.")
@working_options(HOST, MORE_GUARDS, PORTION, BRAKE, PACE, SETTLE, OPERATIONS)
@click.pass_context
def command(context: click.Context, /, name: str, *, dry_run: bool, **_: Any) -> int:  # the rest is read by name
    """Close the sessions that the job NAME of closeout.toml chooses.

    They are listed twice: first only counted, so that more than max_close, far more than usual, or none where there
    usually are some, close nothing unless you say so (--yes, or on a terminal when asked).
    """
    job = find_job(config_path(context.params["config"]), name)
    try:
        invocation = invocation_of(context, job)
    except CloseoutError:
        if not dry_run:
            anyio.run(tell_failure, job)
        raise
    if dry_run:
        return anyio.run(partial(plan_job, invocation, job.name))
    return anyio.run(partial(sweep_job, invocation, job))


def invocation_of(context: click.Context, job: Job) -> Invocation:
    """What a command that works on a job was asked for: the job's profile holds unless another one is named."""
    context.params["profile"] = context.params["profile"] or job.profile
    return as_job(read_invocation(context), job, overlay(Given(), context))


def asked_for(arguments: Sequence[str], job: Job) -> Invocation:
    """What ``closeout sweep`` would be asked for with these arguments. Raises ConfigurationError."""
    with command.make_context("sweep", list(arguments)) as context:
        return invocation_of(context, job)


def as_job(invocation: Invocation, job: Job, said: Given) -> Invocation:
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
            ledger = await held.enter_async_context(open_ledger(invocation.ledger, create=True))
            await held.enter_async_context(ledger.job_locked(job.name))
            await expect_export(ledger, None, invocation)
            options = invocation.settings.model_dump_json()
            new = NewRun(f"job {job.name}", options, job=job.name, made_by=whoami())
            run = await ledger.create_run(new, now_ms())
        except RunBusyError:  # the one at work tells of itself
            raise
        except Exception:
            await tell_failure(job)
            raise
        return await sweep_on(ledger, run, invocation, job)


async def plan_job(invocation: Invocation, name: str) -> int:
    """Plan what a job chooses now; returns the exit code."""
    invocation = invocation.that_plans()
    async with open_ledger(invocation.ledger, create=True) as ledger:
        await expect_export(ledger, None, invocation)
        options = invocation.settings.model_dump_json()
        new = NewRun(f"job {name}", options, job=name, made_by=whoami())
        run = await ledger.create_run(new, now_ms())
        return await conclude(ledger, await find_and_end(ledger, run, invocation), invocation)


async def sweep_on(ledger: Ledger, run: Run, invocation: Invocation, job: Job | None) -> int:
    """Begin or go on with a sweep by its stored rule: it is listed anew, and what was done stays done.

    The caller holds the job. ``job`` is what the configuration says of it now, for whom to tell; None if nothing.
    """
    ended = await telling(job, invocation.settings, partial(find_and_end, ledger, run, invocation))
    return await conclude(ledger, ended, invocation)


async def find_and_end(ledger: Ledger, run: Run, invocation: Invocation) -> Ended:
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
