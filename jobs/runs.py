"""``closeout runs``: the runs of the ledger."""

import json
from functools import partial
from typing import Any

import anyio
import click

from jobs.invocation import read_ledger
from jobs.options import JSON, LEDGER
from jobs.running import say
from worker.clock import now_ms
from worker.ledger.opening import open_ledger
from worker.ledger.protocol import Ledger
from worker.models import Run, as_found, worked_until
from worker.near import did_you_mean
from worker.report.console import stdout_console
from worker.report.nights import nights_table
from worker.report.tables import runs_json, runs_table


@click.command("runs")
@click.option("--job", metavar="NAME", help="Those of one job, night by night, with what was unusual.")
@LEDGER
@JSON
@click.pass_context
def command(context: click.Context, /, job: str | None, *, as_json: bool, **_: Any) -> int:  # the rest is read by name
    """List the runs of the ledger, the newest first."""
    return anyio.run(partial(list_runs, read_ledger(context), job, as_json=as_json))


async def list_runs(address: str, job: str | None, *, as_json: bool) -> int:
    """Print the runs, or those of one job, as a table or as JSON."""
    async with open_ledger(address) as ledger:
        every = await ledger.runs()
        chosen = [run for run in every if job is None or run.job == job]
        if job is not None and not chosen:
            say(f"no run of the job {job!r} in {address}{did_you_mean(job, {run.job for run in every if run.job})}")
        runs = [await as_it_is(ledger, run) for run in chosen]
        counts = {run.name: await ledger.counts(run) for run in runs}
    if as_json:
        click.echo(json.dumps(runs_json(runs, counts), ensure_ascii=False))
    else:
        stdout_console().print(runs_table(runs, counts) if job is None else nights_table(runs, counts))
    return 0


async def as_it_is(ledger: Ledger, run: Run) -> Run:
    """A run that its process left as running, and that nobody holds, was interrupted."""
    if run.state == "running" and await ledger.busy(run):
        return worked_until(run, now_ms())
    return as_found(worked_until(run, await ledger.last_exchange(run)))
