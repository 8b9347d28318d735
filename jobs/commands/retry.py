"""``closeout retry RUN``: attempts the failed, rejected and not-found sessions again."""

from functools import partial
from pathlib import Path
from typing import Any

import anyio
import click

from closeout.jobs.config.file import config_path
from closeout.jobs.config.invocation import Invocation, read_invocation_for
from closeout.jobs.config.options import BRAKE, GUARDS, OPERATIONS, PACE, SETTLE, working_options
from closeout.jobs.definitions.loader import known_job
from closeout.jobs.runner.run_to_end import conclude, expect_export, expect_no_plan, run_to_end
from closeout.jobs.runner.sweep_runs import sweep_on
from closeout.jobs.runner.terminal import say
from closeout.worker.config.settings import Settings
from closeout.worker.domain.run import Run
from closeout.worker.engine.inspect import as_it_is
from closeout.worker.engine.run import nothing_left
from closeout.worker.ledger.protocol import Ledger
from closeout.worker.runtime.result import RunResult
from closeout.worker.support.errors import ConfigurationError
from closeout.worker.support.units import counted


@click.command("retry")
@click.argument("run")
@working_options(GUARDS, BRAKE, PACE, SETTLE, OPERATIONS)
@click.pass_context
def command(context: click.Context, /, run: str, **_: Any) -> int:  # the rest is read by name
    """Attempt the failed, rejected and not-found sessions of RUN again, and what its cap lets through of the rest.

    Those of a sweep are listed again first: what its rule no longer chooses is skipped, and nothing new is taken up.
    """
    return anyio.run(partial(retry_run, read_invocation_for(context, run), run, config_path(context.params["config"])))


async def retry_run(invocation: Invocation, name: str, config: Path | None) -> int:
    """Re-open what ended badly and work on it; returns the exit code. ``config`` says whom to tell of a sweep."""
    async with invocation.open_ledger() as ledger:
        run = await as_it_is(ledger, await ledger.find_run(name))
        invocation = invocation.for_run(run)
        expect_no_plan(run)
        await expect_export(ledger, run, invocation)
        if not invocation.settings.closes:
            raise ConfigurationError(f"run {run.name} is an unfinished plan: `closeout resume` continues it")
        if invocation.settings.rule is not None and not invocation.settings.as_planned:
            async with ledger.job_locked(run.job):
                if ended := await _reopen(ledger, run, invocation.settings, parked=True):
                    return await conclude(ledger, ended, invocation)
                return await sweep_on(ledger, run, invocation, known_job(config, run.job))
        ended = await _reopen(ledger, run, invocation.settings, parked=False)
        return await conclude(ledger, ended or await run_to_end(ledger, run, invocation, None), invocation)


async def _reopen(ledger: Ledger, run: Run, settings: Settings, *, parked: bool) -> RunResult | None:
    """How the run stands, where that leaves nothing to do."""
    async with ledger.locked(run):
        count = await ledger.retry(run, parked=parked)
    say(f"run {run.name}: {counted(count, 'session')} to attempt again")
    return await nothing_left(ledger, run, settings)
