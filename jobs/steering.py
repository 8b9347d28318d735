"""``closeout rate``, ``pause`` and ``go``: a person's word to a run, while it runs."""

from functools import partial
from typing import Any

import anyio
import click

from jobs.invocation import read_ledger
from jobs.options import LEDGER
from jobs.running import say
from worker.budget import Budget, Decided, ruled, unruled
from worker.errors import ConfigurationError
from worker.execution import budget_key
from worker.ledger.opening import open_ledger
from worker.ledger.protocol import Ledger
from worker.models import Run
from worker.settings import Settings
from worker.units import format_rate, parse_rate

_SHARED = "it holds for every run on this ledger that talks to {host}, until the run ends"


@click.command("rate")
@click.argument("run")
@click.argument("rate", metavar="RATE")
@LEDGER
@click.pass_context
def rate(context: click.Context, /, run: str, rate: str, **_: Any) -> int:  # the rest is read by name
    """Let RUN, which is running, send at most RATE (20/s, 600/min).

    It takes effect within a second, for every run on this ledger that draws from the same budget, and never lifts
    the rate above what a run's own settings allow.
    """
    try:
        wanted = parse_rate(rate)
    except ValueError as error:
        raise ConfigurationError(f"RATE: {error}") from None
    return anyio.run(partial(steer, read_ledger(context), run, rate=wanted))


@click.command("pause")
@click.argument("run")
@LEDGER
@click.pass_context
def pause(context: click.Context, /, run: str, **_: Any) -> int:  # the rest is read by name
    """Let RUN, which is running, send nothing until ``closeout go RUN``.

    What is in flight comes back and is recorded. It holds for every run on this ledger that draws from the same budget.
    """
    return anyio.run(partial(steer, read_ledger(context), run, paused=True))


@click.command("go")
@click.argument("run")
@LEDGER
@click.pass_context
def go(context: click.Context, /, run: str, **_: Any) -> int:  # the rest is read by name
    """Take back what was said to RUN by ``closeout pause`` and ``closeout rate``."""
    return anyio.run(partial(steer, read_ledger(context), run))


async def steer(address: str, name: str, *, rate: float | None = None, paused: bool | None = None) -> int:
    """Say it to the budget of the run; with neither a rate nor a pause, take back what was said."""
    async with open_ledger(address) as ledger:
        run = await ledger.find_run(name)
        await _expect_at_work(ledger, run)
        settings = Settings.model_validate_json(run.options)
        async with ledger.budget(budget_key(settings)) as store:

            def decision(budget: Budget, _now: float) -> tuple[Budget, None]:
                if rate is None and paused is None:
                    return unruled(budget), None
                return ruled(budget, run.name, rate=rate, paused=paused), None

            decided = await store.decide(decision)
    say(f"run {run.name}: {_said(decided, settings)}")
    return 0


async def _expect_at_work(ledger: Ledger, run: Run) -> None:
    if not await ledger.busy(run):
        raise ConfigurationError(
            f"run {run.name} is not running: give --rate to `closeout resume {run.name}` instead, if it is unfinished"
        )


def _said(decided: Decided[None], settings: Settings) -> str:
    shared = _SHARED.format(host=settings.base_url)
    if decided.budget.paused:
        return f"paused; {shared} or `closeout go` takes it back"
    if decided.budget.set_rate is not None:
        return f"at most {format_rate(min(decided.budget.set_rate, settings.allowed_rate))}; {shared}"
    return f"goes on at {format_rate(settings.allowed_rate)} at most"
