"""``closeout export RUN``: the rows of a run as a file."""

from functools import partial
from typing import Any

import anyio
import click

from jobs.invocation import read_ledger
from jobs.options import LEDGER
from jobs.running import say
from worker.ledger.opening import open_ledger
from worker.report.export import export_run, format_of


@click.command("export")
@click.argument("run")
@click.option("--output", "-o", metavar="FILE", help="The file to write.  [default: standard output]")
@click.option("--format", "row_format", metavar="csv|jsonl", help="The format.  [default: from the name, else csv]")
@LEDGER
@click.pass_context
def command(
    context: click.Context, /, run: str, output: str | None, row_format: str | None, **_: Any
) -> int:  # by name
    """Write the rows of RUN, in the order of its source, as CSV or JSONL."""
    format_of(output, row_format)
    return anyio.run(partial(write_run, read_ledger(context), run, output, row_format))


async def write_run(address: str, name: str, output: str | None, row_format: str | None) -> int:
    """Write one run's rows."""
    async with open_ledger(address) as ledger:
        count = await export_run(ledger, await ledger.find_run(name), output, row_format)
    if output is not None:
        say(f"{count:,} rows in {output}")
    return 0
