"""``closeout export RUN``: the rows of a run as a file."""

from functools import partial
from typing import Any

import anyio
import click

from closeout.jobs.config.invocation import read_ledger
from closeout.jobs.config.options import FORCE, LEDGER
from closeout.jobs.runner.terminal import say
from closeout.worker.domain.run import Run
from closeout.worker.export.formats import check_place, filter_of, format_of
from closeout.worker.export.placement import Wanted, expect_free
from closeout.worker.export.run_export import export_run
from closeout.worker.ledger.open import ledger_file, open_ledger
from closeout.worker.ledger.protocol import Ledger
from closeout.worker.ledger.records import RowFilter
from closeout.worker.support.suggestions import did_you_mean
from closeout.worker.support.units import counted


@click.command("export")
@click.argument("run")
@click.option("--output", "-o", metavar="FILE", help="The file to write.  [default: standard output]")
@click.option(
    "--format", "row_format", metavar="csv|jsonl|parquet", help="The format.  [default: from the name, else csv]"
)
@click.option("--outcome", "outcomes", metavar="OUTCOMES", help="Only rows with one of these outcomes: failed,rejected")
@click.option(
    "--eval-status", "evals", metavar="VERDICTS", help="Only rows with one of these verdicts: failure,partial"
)
@FORCE
@LEDGER
@click.pass_context
def command(  # the rest is read by name
    context: click.Context, /, run: str, output: str | None, row_format: str | None, **_: Any
) -> int:
    """Write the rows of RUN, in the order of its source, as CSV, JSONL or Parquet.

    FILE appears whole, when it is complete, and only its owner can read it. A name such as rows.csv.gz or
    rows.jsonl.zst makes it a compressed one. It replaces an earlier export of RUN, and nothing else without --force.
    """
    format_of(output, row_format)
    if output is not None and output != "-":
        check_place(output, "--output")
    chosen = filter_of(context.params["outcomes"], context.params["evals"])
    wanted = Wanted(output, force=context.params["force"]) if output is not None and output != "-" else None
    return anyio.run(partial(write_run, read_ledger(context), run, wanted, row_format, chosen))


async def write_run(address: str, name: str, wanted: Wanted | None, row_format: str | None, chosen: RowFilter) -> int:
    """Write one run's rows, those that are chosen."""
    output = wanted.output if wanted is not None else None
    async with open_ledger(address) as ledger:
        run = await ledger.find_run(name)
        over = await expect_free(ledger, ledger_file(address), run, wanted) if wanted is not None else None
        count = await export_run(ledger, run, output, row_format, chosen, over)
        if not count and chosen.eval_statuses:
            say(await _nothing_found(ledger, run, chosen))
    if output is not None:
        say(f"{counted(count, 'row')} in {output}")
    return 0


async def _nothing_found(ledger: Ledger, run: Run, chosen: RowFilter) -> str:
    """The API may give verdicts that nobody here has heard of, so the ledger says which there are."""
    known = sorted(status for status in (await ledger.counts(run)).eval_status if status)
    missing = sorted(chosen.eval_statuses - set(known))
    if not missing:
        return "no row has both such an outcome and such a verdict"
    hint = did_you_mean(missing[0], known, f"; there are {', '.join(known) or 'none'}")
    return f"--eval-status: no session of run {run.name} has the verdict {', '.join(missing)}{hint}"
