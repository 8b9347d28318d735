"""``closeout rate``, ``pause`` and ``go``: a person's word to a run, while it runs."""

from collections.abc import Callable
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
from closeout.worker.support.units import parse_rate, parse_share


@click.command("rate")
@click.argument("run")
@click.argument("rate", metavar="[RATE]", required=False)
@click.option("--pace", type=click.Choice(["yield", "fair"]), help="Give way to production, or bear 429s first.")
@click.option("--tolerate", metavar="PERCENT", help="The share of 429s that changes nothing with fair.  [default: 5%]")
@click.option("--min-rate", metavar="RATE", help="Never go slower.")
@LEDGER
@click.pass_context
def rate(context: click.Context, /, run: str, **_: Any) -> int:  # the rest is read by name
    """Limit RUN to RATE (20/s, 600/min) while it runs, or change how it gives way to production.

    It takes effect within a second, for every run on this ledger that draws from the same budget, and never lifts
    the rate above what a run's own settings allow.
    """
    return anyio.run(partial(say_to, read_ledger(context), run, _word(context)))


def _word(context: click.Context) -> Word:
    """What the flags say. Raises ConfigurationError."""
    rate, pace, tolerate, floor = (context.params[name] for name in ("rate", "pace", "tolerate", "min_rate"))
    if rate is pace is tolerate is floor is None:
        raise click.UsageError("Name a RATE such as 20/s, or --pace, --tolerate or --min-rate.", context)
    if tolerate is not None and pace != "fair":
        raise ConfigurationError("--tolerate: goes with --pace fair")
    tolerated = {"yield": 0.0, "fair": _read("--tolerate", parse_share, tolerate or "5%"), None: None}[pace]
    return Word(_read("RATE", parse_rate, rate), None, tolerated, _read("--min-rate", parse_rate, floor))


def _read(name: str, parse: Callable[[str], float], text: str | None) -> float | None:
    try:
        return None if text is None else parse(text)
    except ValueError as error:
        raise ConfigurationError(f"{name}: {error}") from None


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
