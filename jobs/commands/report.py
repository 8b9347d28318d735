"""``closeout report RUN``: a page or a text about one run, or about two beside each other."""

import sys
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import click

from closeout.jobs.config.invocation import read_ledger
from closeout.jobs.config.options import FORCE, LEDGER
from closeout.worker.engine.inspect import as_it_is
from closeout.worker.export.formats import check_place
from closeout.worker.export.placement import Wanted, expect_free, written
from closeout.worker.ledger.open import ledger_file, open_ledger
from closeout.worker.report.run_report import ROWS_SHOWN, RunReport, read_run_report
from closeout.worker.support.clock import now_ms
from closeout.worker.support.errors import ConfigurationError

_FORMATS = {"html": (".html", ".htm"), "markdown": (".md", ".markdown")}


@click.command("report")
@click.argument("runs", nargs=-1, required=True, metavar="RUN")
@click.option("--output", "-o", metavar="FILE", help="The file to write.  [default: standard output]")
@click.option(
    "--format",
    "page_format",
    metavar="html|markdown",
    help="The format.  [default: from the name, else html; on a terminal markdown]",
)
@click.option("--compare", is_flag=True, help="Compare two runs: give both, the earlier one first.")
@FORCE
@LEDGER
@click.pass_context
def command(  # the rest is read by name
    context: click.Context,
    /,
    runs: tuple[str, ...],
    output: str | None,
    page_format: str | None,
    *,
    compare: bool,
    force: bool,
    **_: Any,
) -> int:
    """Report on RUN as one page: the request, how each session ended, how fast, and what went wrong.

    The page needs no network and no other file: it is there to be mailed and to be kept. As markdown it fits a chat
    or a ticket. FILE replaces an earlier report of RUN, and nothing else without --force.
    """
    wanted = 2 if compare else 1
    if len(runs) != wanted:
        raise ConfigurationError("--compare wants two runs" if compare else "one RUN; two only with --compare")
    seen = sys.stdout.isatty() and output in (None, "-")
    chosen = page_format_of(output, page_format, seen=seen)
    if output is not None and output != "-":
        check_place(output, "--output")
    named = Wanted(output, kind="report", force=force) if output is not None and output != "-" else None
    return anyio.run(partial(write_report, read_ledger(context), runs, named, chosen))


def page_format_of(output: str | None, page_format: str | None, *, seen: bool = False) -> str:
    """The format that was asked for, else the one the file's name ends in, else HTML. Raises ConfigurationError.

    Where it is ``seen`` on a terminal, it is markdown unless HTML was asked for: a page would be 30 kB of tags there.
    """
    if page_format is not None:
        if page_format not in _FORMATS:
            raise ConfigurationError(f"--format {page_format!r} is not possible: choose html or markdown")
        return page_format
    if seen:
        return "markdown"
    ending = Path(output).suffix.lower() if output is not None else ""
    found = next((name for name, endings in _FORMATS.items() if ending in endings), None)
    if found is None and ending:
        raise ConfigurationError(
            f"the name {output!r} does not tell a format: let it end in .html or .md, or give --format"
        )
    return found or "html"


async def write_report(address: str, names: tuple[str, ...], wanted: Wanted | None, page_format: str) -> int:
    """Write the report of one run, or of two."""
    now = now_ms()
    shown = ROWS_SHOWN if len(names) == 1 and page_format == "html" else 0
    async with open_ledger(address) as ledger:
        runs = [await as_it_is(ledger, await ledger.find_run(name)) for name in names]
        over = await expect_free(ledger, ledger_file(address), runs[0], wanted) if wanted is not None else None
        stories = [await read_run_report(ledger, run, now, shown) for run in runs]
        pieces = _pieces(stories, page_format, now)
        if wanted is None:
            sys.stdout.writelines(pieces)
        else:
            note = partial(ledger.reports.note_made, runs[0], wanted.kind)
            async with written(Path(wanted.output), over, note) as out:
                out.writelines(piece.encode() for piece in pieces)
    return 0


def _pieces(stories: list[RunReport], page_format: str, now: int) -> Iterable[str]:
    from closeout.worker.report.html import html_comparison, html_report  # noqa: PLC0415  # markdown needs no templates
    from closeout.worker.report.markdown import markdown_comparison, markdown_report  # noqa: PLC0415  # nor HTML this

    first, *others = stories
    if others:
        (second,) = others
        return html_comparison(first, second, now) if page_format == "html" else [markdown_comparison(first, second)]
    return html_report(first, now) if page_format == "html" else [markdown_report(first)]
