"""``closeout apply RUN``: closes exactly what a plan holds."""

from dataclasses import replace
from functools import partial
from typing import Any

import anyio
import click

from closeout.jobs.config.invocation import Invocation, read_invocation_for
from closeout.jobs.config.options import BRAKE, GUARDS, OPERATIONS, PACE, PORTION, SETTLE, working_options
from closeout.jobs.runner.run_to_end import conclude, expect_export, run_to_end
from closeout.jobs.runner.terminal import ask, say, somebody_is_there
from closeout.worker.config.settings import Settings
from closeout.worker.domain.item import Outcome
from closeout.worker.domain.run import Run
from closeout.worker.engine.inspect import as_it_is
from closeout.worker.support.clock import now_ms
from closeout.worker.support.errors import ConfigurationError
from closeout.worker.support.units import counted, format_duration, parse_duration

_TYPED_BACK = 1_000  # from so many on, the number is to be typed


@click.command("apply")
@click.argument("run")
@click.option("--max-age", default="24h", show_default=True, metavar="TIME", help="Refuse a plan that is older.")
@working_options(GUARDS, PORTION, BRAKE, PACE, SETTLE, OPERATIONS)
@click.pass_context
def command(context: click.Context, /, run: str, max_age: str, **_: Any) -> int:  # the rest is read by name
    """Close what the plan RUN holds; what has changed since is skipped.

    Each session is looked up again before its close. On a terminal it asks first, elsewhere it needs --yes.
    """
    try:
        seconds = parse_duration(max_age)
    except ValueError as error:
        raise ConfigurationError(f"--max-age: {error}") from None
    return anyio.run(partial(apply_run, read_invocation_for(context, run), run, seconds))


async def apply_run(invocation: Invocation, name: str, max_age: float) -> int:
    """Close what a plan holds; returns the exit code. Raises ConfigurationError with nothing sent."""
    async with invocation.open_ledger() as ledger:
        run = await as_it_is(ledger, await ledger.find_run(name))
        _expect_fresh_plan(run, max_age)
        await expect_export(ledger, run, invocation)
        count = (await ledger.counts(run)).outcomes[Outcome.PENDING]
        invocation = invocation.for_run(run)
        applied = invocation.settings.model_copy(update={"closes": True, "as_planned": True})
        invocation = replace(invocation, settings=applied)
        if count:
            await _expect_consent(run, min(count, applied.limit or count), applied.base_url, yes=invocation.yes)
        async with ledger.locked(run):
            await ledger.resettle(run)
        ended = await run_to_end(ledger, run, invocation, None)
        return await conclude(ledger, ended, invocation)


def _expect_fresh_plan(run: Run, max_age: float) -> None:
    if run.state != "planned" and not Settings.model_validate_json(run.options).closes:
        raise ConfigurationError(
            f"the plan {run.name} was not made to its end: `closeout resume {run.name}` looks up the rest"
        )
    if run.state != "planned":
        how = "is not a plan, or was applied already" if run.state == "finished" else f"is {run.state}"
        raise ConfigurationError(f"run {run.name} {how}: `closeout plan` makes one, `closeout resume` continues a run")
    age = (now_ms() - run.created_at) / 1000
    if age > max_age:
        raise ConfigurationError(
            f"plan {run.name} is {format_duration(age)} old, --max-age is {format_duration(max_age)}: make a new one"
        )


async def _expect_consent(run: Run, count: int, host: str, *, yes: bool) -> None:
    """A person agrees, by the number itself where many are to be closed. Raises ConfigurationError."""
    told = f"plan {run.name}: {counted(count, 'session')} to close on {host}, which cannot be undone"
    if yes:
        say(told)
        return
    if not somebody_is_there():
        say(told)
        raise ConfigurationError("not a terminal: pass --yes to apply without confirmation")
    if count < _TYPED_BACK:
        agreed = await ask("Close them?", told)
    else:
        agreed = await ask("Type their number to close them", told, number=count)
    if not agreed:
        raise ConfigurationError(f"the plan {run.name} was not applied: nothing was sent")
