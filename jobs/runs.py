"""``closeout runs``: the runs of the ledger."""

from functools import partial
from typing import Any

import anyio
import click
from rich.console import Console

from jobs.invocation import read_ledger_path
from jobs.options import JSON, LEDGER
from worker.ledger.sqlite import SqliteLedger
from worker.report.tables import runs_json, runs_table


@click.command("runs")
@LEDGER
@JSON
@click.pass_context
def command(context: click.Context, as_json: bool, **_: Any) -> int:  # the rest is read by name
    """List the runs of the ledger, the newest first."""
    return anyio.run(partial(list_runs, read_ledger_path(context), as_json=as_json))


async def list_runs(path: object, *, as_json: bool) -> int: ...
