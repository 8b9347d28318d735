"""``closeout plan SOURCE``: looks everything up, closes nothing, and says what closing would do."""

from functools import partial
from typing import Any

import anyio
import click

from closeout.jobs.config.file import config_path
from closeout.jobs.config.invocation import read_invocation
from closeout.jobs.config.options import BRAKE, CLOSE, GUARDS, HOST, PACE, PORTION, SETTLE, working_options
from closeout.jobs.definitions.loader import find_job
from closeout.jobs.runner.source_runs import plan_source
from closeout.jobs.runner.sweep_runs import invocation_of, plan_job


@click.command("plan")
@click.argument("source", nargs=-1)
@click.option("--job", metavar="NAME", help="Plan what this job of closeout.toml would close, instead of a SOURCE.")
@working_options(CLOSE, GUARDS, HOST, PORTION, BRAKE, PACE, SETTLE)
@click.pass_context
def command(context: click.Context, /, source: tuple[str, ...], job: str | None, **_: Any) -> int:  # the rest: by name
    """Look up each session that SOURCE lists, or that a job chooses, and close none.

    Prints how many would be closed, what would be skipped and why, how long it would take and what it would set off.
    `closeout apply RUN` closes exactly these. Exit code 1 if some are invalid or do not exist.
    """
    if bool(source) == (job is not None):
        raise click.UsageError("name either a SOURCE or, with --job, a job of closeout.toml")
    if source:
        return anyio.run(partial(plan_source, read_invocation(context), source))
    found = find_job(config_path(context.params["config"]), job or "")
    return anyio.run(partial(plan_job, invocation_of(context, found), found.name))
