"""``closeout resume RUN``: resumes an unfinished run."""

from functools import partial
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import click

from closeout.jobs.config.file import config_path
from closeout.jobs.config.invocation import Invocation, read_invocation_for
from closeout.jobs.config.options import BRAKE, GUARDS, OPERATIONS, PACE, PORTION, SETTLE, working_options
from closeout.jobs.definitions.loader import known_job
from closeout.jobs.runner.run_to_end import conclude, expect_export, expect_no_plan, reading, run_to_end
from closeout.jobs.runner.source_runs import open_as_set, reading_of
from closeout.jobs.runner.sweep_runs import sweep_on
from closeout.jobs.runner.terminal import say
from closeout.worker.domain.run import Run
from closeout.worker.engine.inspect import as_it_is
from closeout.worker.engine.run import nothing_left
from closeout.worker.feeds.source import OpenedSource


@click.command("resume")
@click.argument("run")
@click.option("--source", help="Where the rest of the source is now, if it was moved (- for standard input).")
@working_options(GUARDS, PORTION, BRAKE, PACE, SETTLE, OPERATIONS)
@click.pass_context
def command(context: click.Context, /, run: str, source: str | None, **_: Any) -> int:  # the rest is read by name
    """Resume RUN: what was sent and not recorded is looked up first; what is done stays done.

    Host, dialect, reason and pace are those of the run; flags override the pace and the settling.
    """
    config = config_path(context.params["config"])
    return anyio.run(partial(resume_run, read_invocation_for(context, run), run, source, config))


async def resume_run(invocation: Invocation, name: str, source: str | None, config: Path | None) -> int:
    """Do what is left of a run; returns the exit code. ``config`` says whom to tell of a sweep."""
    async with invocation.open_ledger() as ledger:
        run = await as_it_is(ledger, await ledger.find_run(name))
        invocation = invocation.for_run(run)
        expect_no_plan(run)
        await expect_export(ledger, run, invocation, source)
        if ended := await nothing_left(ledger, run, invocation.settings):
            say(f"run {run.name} is finished: there is nothing left to do")
            return await conclude(ledger, ended, invocation)
        if invocation.settings.rule is not None and not invocation.settings.as_planned:
            async with ledger.job_locked(run.job):
                return await sweep_on(ledger, run, invocation, known_job(config, run.job))
        if invocation.settings.from_queue:
            say(f"going on with what run {run.name} has taken from {run.source}: `closeout work` takes more")
            await ledger.source_done(run)
            run = await ledger.find_run(run.name)
        opened = await anyio.to_thread.run_sync(
            rest_of_source, run, source or run.location, invocation, abandon_on_cancel=True
        )
        if opened is None and not run.source_done:
            say(f"the rest of {run.source} cannot be read again: going on with the {run.rows_read:,} rows read of it")
        told = [reading_of(opened)] if opened is not None else []
        ended = await run_to_end(ledger, run, invocation, reading(opened), told=told)
        return await conclude(ledger, ended, invocation)


def rest_of_source(run: Run, location: str | None, invocation: Invocation) -> OpenedSource | None:
    """The source, opened where the run left it; None when there is nothing to read. Raises SourceError."""
    if run.source_done or location is None:
        return None
    opened = open_as_set(location, invocation.settings)
    opened.skip(run)
    return opened
