"""``closeout rate``, ``pause`` and ``go``: a person's word to a run, while it runs."""

from functools import partial
from typing import Any

import anyio
import click

from closeout.jobs.config.invocation import read_ledger
from closeout.jobs.config.options import LEDGER
from closeout.jobs.runner.terminal import say
from closeout.worker.engine.control import steer
from closeout.worker.ledger.open import open_ledger
from closeout.worker.pace.budget import Word
from closeout.worker.support.errors import ConfigurationError
from closeout.worker.support.units import parse_rate


@click.command("rate")
@click.argument("run")
@click.argument("rate", metavar="RATE")
@LEDGER
@click.pass_context
def rate(context: click.Context, /, run: str, rate: str, **_: Any) -> int:  # the rest is read by name
    """Limit RUN to RATE (20/s, 600/min) while it runs.

    It takes effect within a second, for every run on this ledger that draws from the same budget, and never lifts
    the rate above what a run's own settings allow.
    """
    try:
        wanted = parse_rate(rate)
    except ValueError as error:
        raise ConfigurationError(f"RATE: {error}") from None
    return anyio.run(partial(say_to, read_ledger(context), run, Word(rate=wanted)))


@click.command("pause")
@click.argument("run")
@LEDGER
@click.pass_context
def pause(context: click.Context, /, run: str, **_: Any) -> int:  # the rest is read by name
    """Hold RUN: send nothing until `closeout go RUN`.

    What is in flight comes back and is recorded. It holds for every run on this ledger that draws from the same budget.
    """
    return anyio.run(partial(say_to, read_ledger(context), run, Word(paused=True)))


@click.command("go")
@click.argument("run")
@LEDGER
@click.pass_context
def go(context: click.Context, /, run: str, **_: Any) -> int:  # the rest is read by name
    """Undo `closeout pause` and `closeout rate` for RUN."""
    return anyio.run(partial(say_to, read_ledger(context), run, None))


async def say_to(address: str, name: str, word: Word | None) -> int:
    """Say it to a run; without a word, take back what was said."""
    async with open_ledger(address) as ledger:
        say(await steer(ledger, await ledger.find_run(name), word))
    return 0
