"""``closeout runs``: the runs of the ledger."""

import json
from functools import partial
from typing import Any

import anyio
import click

from closeout.jobs.config.invocation import read_ledger
from closeout.jobs.config.options import JSON, LEDGER
from closeout.jobs.runner.terminal import say
from closeout.worker.engine.inspect import as_it_is
from closeout.worker.ledger.open import open_ledger, shown_address
from closeout.worker.report.console import stdout_console
from closeout.worker.report.job_history import nights_json, nights_table
from closeout.worker.report.tables import runs_json, runs_table
from closeout.worker.support.suggestions import did_you_mean

_NIGHTS = 30  # of a job, shown unless more are asked for


@click.command("runs")
@click.option("--job", metavar="NAME", help="The run history of a job, with anomalies.")
@click.option(
    "--last", type=click.IntRange(1), metavar="N", help=f"The newest N alone.  [default: all; of a job {_NIGHTS}]"
)
@LEDGER
@JSON
@click.pass_context
def command(context: click.Context, /, job: str | None, last: int | None, *, as_json: bool, **_: Any) -> int:  # by name
    """List the runs of the ledger, the newest first."""
    return anyio.run(partial(list_runs, read_ledger(context), job, last, as_json=as_json))


async def list_runs(address: str, job: str | None, last: int | None, *, as_json: bool) -> int:
    """Print the runs, or those of one job, as a table or as JSON."""
    async with open_ledger(address) as ledger:
        every = await ledger.runs()
        chosen = [run for run in every if job is None or run.job == job]
        if job is not None and not chosen:
            near = did_you_mean(job, {run.job for run in every if run.job})
            say(f"no run of the job {job!r} in {shown_address(address)}{near}")
        shown = chosen[: last if last is not None else None if job is None else _NIGHTS]
        runs = [await as_it_is(ledger, run) for run in shown]
        counts = {run.name: await ledger.counts(run) for run in runs}
    if as_json:
        found = runs_json(runs, counts) if job is None else nights_json(runs, counts, chosen[len(runs) :])
        click.echo(json.dumps(found, ensure_ascii=False))
        return 0
    console = stdout_console()
    if job is None:
        console.print(runs_table(runs, counts))
    else:
        console.print(nights_table(runs, counts, console.width, chosen[len(runs) :]))
    if len(chosen) > len(runs):
        say(f"{len(chosen) - len(runs):,} earlier ones: --last {len(chosen)} shows them, too")
    return 0
