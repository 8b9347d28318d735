"""``closeout settle [RUN]``: looks again at evaluations that were not final."""

from dataclasses import replace
from functools import partial
from typing import Any

import anyio
import click

from closeout.jobs.config.invocation import Invocation, read_invocation, read_invocation_for
from closeout.jobs.config.options import LOOKS, PACE, working_options
from closeout.jobs.runner.run_to_end import conclude, expect_export, print_json, run_to_end
from closeout.jobs.runner.terminal import say
from closeout.worker.domain.run import Run
from closeout.worker.engine.inspect import as_it_is
from closeout.worker.engine.run import as_it_stands
from closeout.worker.ledger.protocol import Ledger
from closeout.worker.support.units import counted


@click.command("settle")
@click.argument("run", required=False)
@working_options(PACE, LOOKS)
@click.pass_context
def command(context: click.Context, /, run: str | None, **_: Any) -> int:  # the rest is read by name
    """Fetch again the evaluations of RUN that were not final; without RUN, those of all finished runs.

    With --json it prints one line for each run; where there was nothing to look at, one for each finished run.
    """
    return anyio.run(partial(settle_runs, read_invocation_for(context, run) if run else read_invocation(context), run))


async def settle_runs(invocation: Invocation, name: str | None) -> int:
    """Settle one run or all finished ones that need it; returns the highest exit code.

    Where none of them needs it, the summary of each is printed as JSON all the same, if that was asked for.
    """
    async with invocation.open_ledger() as ledger:
        named = [await ledger.find_run(name)] if name else await ledger.runs()
        found = [await as_it_is(ledger, run) for run in named]
        runs = [run for run in found if name or run.state == "finished"]
        codes = []
        for run in runs:
            if name or await _unsettled(ledger, run):
                codes.append(await _settle(ledger, run, invocation))
            if codes and codes[-1] not in (0, 1, 4):
                break  # stopped or halted: what stopped this run is true of the next one
        if not codes:
            say("every evaluation of every finished run is settled")
            await _tell_as_they_are(ledger, runs, invocation)
        return max(codes, default=0)


async def _unsettled(ledger: Ledger, run: Run) -> bool:
    return (await ledger.counts(run)).unsettled > 0


async def _tell_as_they_are(ledger: Ledger, runs: list[Run], invocation: Invocation) -> None:
    if invocation.as_json:
        for run in runs:
            print_json(replace(await as_it_stands(ledger, run), exit_code=0))


async def _settle(ledger: Ledger, run: Run, invocation: Invocation) -> int:
    """Only evaluations: what is pending or in doubt is left for ``resume``."""
    await expect_export(ledger, run, invocation)
    own = invocation.for_run(run)
    own = replace(own, settings=own.settings.model_copy(update={"settle": True}))  # also of a run with --no-settle
    async with ledger.locked(run):
        count = await ledger.resettle(run)
    say(f"run {run.name}: {counted(count, 'evaluation')} to look at")
    if count:
        return await conclude(ledger, await run_to_end(ledger, run, own, None, settle_only=True), own)
    return await conclude(ledger, await as_it_stands(ledger, run), own)
