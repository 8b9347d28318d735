"""Working on one run from its lock to its summary: what close, resume, retry, settle and demo have in common."""

import json
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread
import click

from closeout.jobs.config.invocation import Invocation
from closeout.jobs.runner.listen import listening
from closeout.jobs.runner.terminal import approve, say
from closeout.worker.config.settings import Settings
from closeout.worker.domain.run import Run
from closeout.worker.engine.execute import execute
from closeout.worker.engine.run import Watcher
from closeout.worker.export.partial import Following
from closeout.worker.export.parts import can_follow, remove_part
from closeout.worker.export.placement import Signature, Wanted, expect_free
from closeout.worker.export.run_export import export_run
from closeout.worker.feeds.source import OpenedSource, admit_source
from closeout.worker.ledger.open import ledger_file, open_ledger, shown_address
from closeout.worker.ledger.protocol import Ledger
from closeout.worker.ledger.records import Counts
from closeout.worker.report.console import stdout_console
from closeout.worker.report.formatting import Fact
from closeout.worker.report.live_display import show_display, show_lines
from closeout.worker.report.plan_summary import plan_facts
from closeout.worker.report.summary import INVALID_KINDS_NAMED, print_summary, summary
from closeout.worker.runtime.context import Context
from closeout.worker.runtime.result import RunResult
from closeout.worker.runtime.stop import Alarms
from closeout.worker.support.clock import now_ms
from closeout.worker.support.errors import CloseoutError
from closeout.worker.support.units import format_rate

if TYPE_CHECKING:
    from closeout.worker.monitoring.monitor import Monitor
from closeout.worker.support.errors import ConfigurationError


async def run_to_end(
    ledger: Ledger,
    run: Run,
    invocation: Invocation,
    feed: Watcher | None,
    *,
    settle_only: bool = False,
    told: Sequence[str] = (),
    alarms: Alarms | None = None,
    beside: Sequence[Watcher] = (),
) -> RunResult:
    """Hold the run's lock and work until it ends. Raises RunBusyError, with nothing sent.

    ``told`` are more lines for the person, once the run is held; ``alarms`` is that of work without an end; ``beside``
    runs beside it.
    """
    settings = invocation.settings
    doing = "settling" if settle_only else "closing" if settings.closes else "planning, and closing nothing,"

    async def begun(telling: "Monitor | None", current: Run) -> list[Watcher]:
        say(f"run {run.name}: {doing} on {settings.base_url}, at {format_rate(settings.allowed_rate)} at most")
        for line in told:
            say(line)
        listened = [telling.watch_run] if telling is not None else []
        return [*await watchers(invocation, ledger, current), *listened, *beside]

    agreed = partial(approve, asks=not invocation.yes)
    async with listening(invocation.listen, say) as telling:
        begin = partial(begun, telling)
        try:
            return await execute(
                ledger,
                run,
                settings,
                invocation.access,
                feed,
                begun=begin,
                approve=agreed,
                settle_only=settle_only,
                alarms=alarms,
            )
        except BaseException:
            await _put_back(ledger, run)
            raise


async def _put_back(ledger: Ledger, run: Run) -> None:
    """A run that broke off before it could end, and of which nothing has come, is as it was."""
    with anyio.CancelScope(shield=True), suppress(CloseoutError):
        if not await ledger.busy(run):
            await ledger.put_back(run)


def reading(source: OpenedSource | None) -> Watcher | None:
    """What feeds a run from a source."""
    return None if source is None else partial(admit_source, source=source)


async def watchers(invocation: Invocation, ledger: Ledger, run: Run) -> list[Watcher]:
    """What runs beside the work: a display or plain lines, the export, and for a resumed run the counts of before."""
    chosen: list[Watcher] = []
    console = invocation.console
    if invocation.progress is not False:
        live = console.is_terminal and not console.is_dumb_terminal
        chosen.append(partial(show_display, console=console) if live else show_lines)
    if invocation.export is not None and can_follow(invocation.export):
        chosen.append(Following(invocation.export, partial(open_ledger, invocation.ledger)).run)
    if run.rows_read:
        chosen.append(partial(count_before, count=await ledger.counts_as_of_now(run)))
    return chosen


async def count_before(context: Context, count: Callable[[], Awaitable[Counts]]) -> None:
    """Fill in what earlier processes did, for the display; the work does not wait for it."""
    context.progress.before = await count()


async def conclude(ledger: Ledger, ended: RunResult, invocation: Invocation) -> int:
    """Write the export, print the summary; returns the exit code."""
    unwritten = await _export(ledger, ended.run, invocation)
    if invocation.as_json:
        print_json(ended)
    else:
        invalid = await ledger.invalid_kinds(ended.run, INVALID_KINDS_NAMED)
        more = await facts_of_plan(ledger, ended.run, ended.settings)
        ledger_name, gone = shown_address(invocation.ledger), invocation.api_gone
        print_summary(stdout_console(), ended, ended.settings, ledger_name, invalid, more, api_gone=gone)
    if ended.kept and ended.state != ended.run.state:
        say(f"nothing has come of it: run {ended.run.name} stays {ended.run.state}, as it was before")
    if unwritten is not None:
        said = str(unwritten).removeprefix("--export ")
        say(f"--export: {said}; the ledger has the rows: `closeout export {ended.run.name}` writes them elsewhere")
    return ended.exit_code or int(unwritten is not None)


async def _export(ledger: Ledger, run: Run, invocation: Invocation) -> CloseoutError | None:
    """The file that was asked for, or why it could not be written: the summary is to be seen all the same."""
    if invocation.export is None:
        return None
    try:
        over = await expect_export(ledger, run, invocation)
        await export_run(ledger, run, invocation.export, None, over=over)
    except CloseoutError as error:
        return error
    await anyio.to_thread.run_sync(remove_part, invocation.export, run)
    return None


async def expect_export(
    ledger: Ledger, run: Run | None, invocation: Invocation, source: str | None = None
) -> Signature | None:
    """What stands where the export is to be written, and may be replaced by that of this run; None: nothing does.

    ``source`` is that of a run that is not made yet (None). To be asked before anything is sent, and once more when it
    is written. Raises ConfigurationError where it must not be replaced.
    """
    if invocation.export is None or invocation.export == "-":
        return None
    wanted = Wanted(invocation.export, "--export", force=invocation.force)
    return await expect_free(ledger, ledger_file(invocation.ledger), run, wanted, [source])


async def facts_of_plan(ledger: Ledger, run: Run, settings: Settings) -> list[Fact]:
    """What a plan holds, in lines; none of a run that is no plan."""
    return plan_facts(await ledger.plan_groups(run), settings, now_ms()) if run.state == "planned" else []


def print_json(ended: RunResult) -> None:
    """Print the summary as one line of JSON."""
    click.echo(json.dumps(summary(ended, ended.settings), ensure_ascii=False))


def expect_no_plan(run: Run) -> None:
    """A plan is applied and not gone on with. Raises ConfigurationError."""
    if run.state == "planned":
        raise ConfigurationError(f"run {run.name} is a plan: `closeout apply {run.name}` closes what it holds")
