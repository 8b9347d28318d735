"""``closeout close SOURCE``: the main job."""

from functools import partial
from typing import Any

import anyio
import anyio.to_thread
import click

from closeout.jobs.config.invocation import read_invocation
from closeout.jobs.config.options import BRAKE, CLOSE, GUARDS, HOST, OPERATIONS, PACE, PORTION, SETTLE, working_options
from closeout.jobs.runner.source_runs import close_source, plan_source


@click.command("close")
@click.argument("source", nargs=-1, required=True)
@click.option("--new-run", is_flag=True, help="Start a new run, even if a run of this source is unfinished.")
@click.option("--dry-run", is_flag=True, help="Close nothing: the same as `closeout plan`.")
@working_options(CLOSE, GUARDS, HOST, PORTION, BRAKE, PACE, SETTLE, OPERATIONS)
@click.pass_context
def command(  # the rest is read by name
    context: click.Context, /, source: tuple[str, ...], *, new_run: bool, dry_run: bool, **_: Any
) -> int:
    """Close the sessions that SOURCE lists.

    SOURCE is a list of ids, a table (CSV, TSV) or JSON, also packed (gzip, zstd, bzip2, xz, zip): one file or several
    alike, a folder of them, a pattern, or - for standard input. Its content tells what it is, not its name.
    A SOURCE whose last run is unfinished is resumed. Before anything is sent it says how it finds the ids, and on a
    terminal it asks; where more than one reading is possible it refuses.
    """
    invocation = read_invocation(context)
    if dry_run:
        return anyio.run(partial(plan_source, invocation, source))
    return anyio.run(partial(close_source, invocation, source, new_run=new_run))
