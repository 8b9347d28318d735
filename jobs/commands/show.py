"""``closeout show [RUN]``: one run, or what happened to one session of it, or of all runs."""

import json
from functools import partial
from typing import Any

import anyio
import click
from rich.console import Group

from closeout.jobs.config.invocation import read_ledger
from closeout.jobs.config.options import JSON, LEDGER
from closeout.jobs.runner.run_to_end import facts_of_plan
from closeout.jobs.runner.terminal import say
from closeout.worker.config.settings import Settings
from closeout.worker.domain.run import Run
from closeout.worker.engine.inspect import as_it_is, find_anywhere
from closeout.worker.ledger.open import open_ledger, shown_address
from closeout.worker.ledger.protocol import Ledger
from closeout.worker.ledger.records import Found
from closeout.worker.report.console import stdout_console
from closeout.worker.report.formatting import command as to_type
from closeout.worker.report.formatting import fact, width_of
from closeout.worker.report.pace_now import pace_now
from closeout.worker.report.summary import INVALID_KINDS_NAMED, command_lines, ways_on
from closeout.worker.report.tables import attempts_table, found_table, run_details, run_json, session_json
from closeout.worker.sources import normalise_id, shown
from closeout.worker.support.errors import ConfigurationError

_MOST = 100  # rows of one session, or of one invalid text, that are shown


@click.command("show")
@click.argument("run", required=False)
@click.option("--session", metavar="ID", help="Show this session (or invalid row), with every exchange about it.")
@LEDGER
@JSON
@click.pass_context
def command(  # the rest is read by name
    context: click.Context, /, run: str | None, session: str | None, *, as_json: bool, **_: Any
) -> int:
    """Show RUN: the request, how it ended, what is left to do.

    With --session alone: what happened to that session in any run of the ledger.
    """
    address = read_ledger(context)
    if session is not None:
        return anyio.run(partial(show_session, address, run, session, as_json=as_json))
    if run is None:
        raise click.UsageError("Name a run (`last` is the newest), or a session with --session.", context)
    return anyio.run(partial(show_run, address, run, as_json=as_json))


async def show_run(address: str, name: str, *, as_json: bool) -> int:
    """Print one run."""
    async with open_ledger(address) as ledger:
        run = await as_it_is(ledger, await ledger.find_run(name))
        counts = await ledger.counts(run)
        invalid = await ledger.invalid_kinds(run, INVALID_KINDS_NAMED)
        settings = Settings.model_validate_json(run.options)
        more = await facts_of_plan(ledger, run, settings)
        if (case := await pace_now(ledger, run, settings)) is not None:
            more = [*more, fact("pace", case.words, "yellow"), fact("", case.choice, "dim")]
    if as_json:
        click.echo(json.dumps(run_json(run, counts, settings), ensure_ascii=False))
    else:
        console = stdout_console()
        text = run_details(run, counts, settings, invalid, more, width=width_of(console))
        commands = [] if run.state == "running" else ways_on(run, run.state, counts)
        if commands:
            text.append("\n").append_text(
                command_lines(to_type(*words, ledger=shown_address(address)) for words in commands)
            )
        console.print(text, soft_wrap=True, end="")
    return 0


async def show_session(address: str, name: str | None, session: str, *, as_json: bool) -> int:
    """Print one session, or one invalid row, of a run or of all of them, and its exchanges.

    Raises ConfigurationError where there is none.
    """
    async with open_ledger(address) as ledger:
        run = None if name is None else await ledger.find_run(name)
        found = await (find_anywhere(ledger, session, _MOST) if run is None else _find_in(ledger, run, session))
    if not found:
        where = f"any run of {shown_address(address)}" if run is None else f"run {run.name}"
        raise ConfigurationError(f"--session: no session or invalid row {shown(session, 50)!r} in {where}")
    if len(found) >= _MOST:
        say(f"only the newest {_MOST} are shown")
    if as_json:
        documents = [session_json(one.row, one.exchanges) for one in found]
        if run is not None and len(documents) > 1:
            say(f"{len(documents):,} rows of run {run.name} read so, and the last is printed: leave RUN out for each")
        click.echo(json.dumps(documents if run is None else documents[0], ensure_ascii=False))
        return 0
    tables = [attempts_table(one.row, one.exchanges) if run is not None else found_table(one) for one in found]
    stdout_console().print(Group(*tables))
    return 0


async def _find_in(ledger: Ledger, run: Run, session: str) -> list[Found]:
    session_id = normalise_id(session)
    row = await ledger.result_of(run, session_id) if session_id is not None else None
    if session_id is not None and row is not None:
        return [Found(run, row, tuple(await ledger.attempts_of(run, session_id)))]
    return [one for one in await ledger.find_invalid(shown(session), _MOST) if one.run.id == run.id]
