"""``closeout sandbox``: the stand-in for the API, alone, on loopback."""

import os
from pathlib import Path
from typing import Any

import anyio
import click

from closeout.jobs.config.options import DEFAULT_LEDGER
from closeout.worker.export.formats import check_place
from closeout.worker.export.placement import Wanted, write_own
from closeout.worker.ledger.peek import sources_at
from closeout.worker.sandbox import FAULT_NAMES, Sandbox, SandboxConfig, describe, parse_production, serve
from closeout.worker.support.errors import ConfigurationError
from closeout.worker.support.suggestions import did_you_mean
from closeout.worker.support.units import parse_duration

_FAULTS = "\b\nFaults:\n" + "\n".join(f"  {name:<16}{what}" for name, what in FAULT_NAMES.items())


@click.command("sandbox", epilog=_FAULTS)
@click.option(
    "--port",
    type=click.IntRange(0, 65_535),
    default=8750,
    show_default=True,
    metavar="PORT",
    help="The port on 127.0.0.1; 0 for any free one.",
)
@click.option(
    "--sessions", default=1000, show_default=True, metavar="N", help="The number of active sessions at the start."
)
@click.option("--csv", "csv_path", metavar="FILE", help="Write the ids of its sessions to FILE.")
@click.option("--force", is_flag=True, help="Replace the FILE of --csv, whatever it is; never a ledger or its files.")
@click.option("--seed", default=1, show_default=True, metavar="N", help="The seed of ids, evaluations and faults.")
@click.option(
    "--limit",
    "rate_limit",
    type=int,
    metavar="N",
    help="The organisation's limit, in requests a minute.  [default: none]",
)
@click.option("--window", default="60s", show_default=True, metavar="TIME", help="The time that the limit counts by.")
@click.option(
    "--production",
    metavar="FROM-TO:RATE,…",
    help="The organisation's own traffic on the limit, in seconds after the first request, such as 0-25:60,25-50:85.",
)
@click.option("--latency", default="0s", show_default=True, metavar="TIME", help="The latency of each answer.")
@click.option(
    "--fault",
    "faults",
    multiple=True,
    metavar="NAME=SHARE",
    help="A fault of closes, such as 503=0.05; repeatable. The names are below.",
)
@click.option("--second-close", type=click.Choice(["200", "400", "409"]), default="200", show_default=True,
              help="The answer to closing a closed session.")  # fmt: skip
def command(
    port: int, sessions: int, csv_path: str | None, *, force: bool, **config: Any
) -> int:  # click's values, checked below
    """Serve the stand-in for the API on loopback until stopped: both dialects, evaluations, a rate limit and faults."""
    sandbox = Sandbox(_config(**config))
    sandbox.add_sessions(sessions)
    if csv_path is not None:
        _write_csv(sandbox, Wanted(csv_path, "--csv", force=force))
    try:
        anyio.run(
            serve,
            sandbox,
            "127.0.0.1",
            port,
            lambda url: click.echo(describe(sandbox, url, csv_path or "sessions.csv")),
        )
    except OSError as error:
        raise ConfigurationError(f"--port {port}: {error.strerror or error}") from None
    finally:
        if sandbox.production is not None:
            click.echo(f"Saw {sandbox.production.in_words()}")
    return 0


def _write_csv(sandbox: Sandbox, wanted: Wanted) -> None:
    """A file that holds the very same ids stays as it is. Raises ConfigurationError for any other.

    It knows the sources of the ledger that a command here would use without a flag.
    """
    check_place(wanted.output, wanted.option)
    path = Path(wanted.output)
    sources = sources_at(Path(os.environ.get("CLOSEOUT_LEDGER") or DEFAULT_LEDGER))
    try:
        anyio.run(write_own, path, sandbox.csv_text().encode(), wanted, sources)
    except OSError as error:
        raise wanted.refused(error.strerror or str(error)) from None


def _fault(text: str) -> tuple[str, float]:
    """A fault and its share. Raises ConfigurationError."""
    name, _, share = text.partition("=")
    try:
        return name, float(share)
    except ValueError:
        raise ConfigurationError(f"--fault {text!r}: write it like 503=0.05") from None


def _config(  # noqa: PLR0917  # one for each flag
    seed: int,
    rate_limit: int | None,
    window: str,
    production: str | None,
    latency: str,
    faults: tuple[str, ...],
    second_close: Any,
) -> SandboxConfig:
    try:
        return SandboxConfig(
            seed=seed,
            rate_limit=None if rate_limit is None else max(1, round(rate_limit * parse_duration(window) / 60)),
            rate_period=parse_duration(window),
            production=parse_production(production) if production is not None else (),
            latency=parse_duration(latency),
            close_faults=dict(map(_fault, faults)),
            second_close=second_close,
        )
    except ValueError as error:
        near = did_you_mean(str(error).rpartition(" ")[2].strip("'"), FAULT_NAMES)
        raise ConfigurationError(f"sandbox: {error}{near}") from None
