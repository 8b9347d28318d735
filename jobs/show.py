"""``closeout show RUN``: one run, or what happened to one session of it."""

import json
from functools import partial
from typing import Any

import anyio
import click

from jobs.invocation import read_ledger
from jobs.options import JSON, LEDGER
from jobs.running import facts_of_plan
from jobs.runs import as_it_is
from worker.errors import ConfigurationError
from worker.ledger.opening import open_ledger
from worker.models import Run
from worker.report.console import stdout_console
from worker.report.summary import INVALID_KINDS_NAMED
from worker.report.tables import attempts_table, run_details, run_json, session_json
from worker.settings import Settings
from worker.sources import normalise_id


@click.command("show")
@click.argument("run")
@click.option("--session", metavar="ID", help="Show this session, with every exchange about it.")
@LEDGER
@JSON
@click.pass_context
def command(context: click.Context, /, run: str, session: str | None, as_json: bool, **_: Any) -> int:  # rest: by name
    """Show RUN: what was asked, how it ended, what is left to do."""
    address = read_ledger(context)
    if session is None:
        return anyio.run(partial(show_run, address, run, as_json=as_json))
    return anyio.run(partial(show_session, address, run, session, as_json=as_json))


async def show_run(address: str, name: str, *, as_json: bool) -> int:
    """Print one run."""
    async with open_ledger(address) as ledger:
        run = await as_it_is(ledger, await ledger.find_run(name))
        counts = await ledger.counts(run)
        invalid = await ledger.invalid_kinds(run, INVALID_KINDS_NAMED)
        settings = Settings.model_validate_json(run.options)
        more = await facts_of_plan(ledger, run, settings)
    if as_json:
        click.echo(json.dumps(run_json(run, counts, settings), ensure_ascii=False))
    else:
        stdout_console().print(run_details(run, counts, settings, invalid, more), soft_wrap=True)
    return 0


async def show_session(address: str, name: str, session: str, *, as_json: bool) -> int:
    """Print one session of a run and its exchanges. Raises ConfigurationError where the run has no such session."""
    session_id = normalise_id(session)
    if session_id is None:
        raise ConfigurationError(f"--session: {session[:50]!r} is not a UUID")
    async with open_ledger(address) as ledger:
        run: Run = await ledger.find_run(name)
        row = await ledger.result_of(run, session_id)
        exchanges = await ledger.attempts_of(run, session_id)
    if row is None:
        raise ConfigurationError(f"--session: run {run.name} has no session {session_id}")
    if as_json:
        click.echo(json.dumps(session_json(row, exchanges), ensure_ascii=False))
    else:
        stdout_console().print(attempts_table(row, exchanges))
    return 0
