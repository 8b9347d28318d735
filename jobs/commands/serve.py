"""``closeout serve``: the live page, on loopback."""

import secrets
from functools import partial
from typing import Any

import anyio
import click

from closeout.jobs.config.invocation import read_ledger
from closeout.jobs.config.options import LEDGER
from closeout.worker.ledger.open import check_address
from closeout.worker.support.errors import ConfigurationError
from closeout.worker.web.app import Site, serving


@click.command("serve")
@click.option(
    "--port", default=8760, show_default=True, metavar="PORT", help="The port on 127.0.0.1; 0 for any free one."
)
@click.option(
    "--allow-control", is_flag=True, help="Let whoever has the printed address pause runs and change their rate."
)
@LEDGER
@click.pass_context
def command(context: click.Context, /, port: int, *, allow_control: bool, **_: Any) -> int:  # the rest is read by name
    """Show the runs of the ledger live in a browser on this machine, until stopped.

    Whoever is logged in on this machine can read the page; nobody else can reach it.
    """
    site = Site(check_address(read_ledger(context)), secrets.token_urlsafe(24) if allow_control else None)
    try:
        return anyio.run(partial(serve_site, site, port))
    except OSError as error:
        raise ConfigurationError(f"--port {port}: {error.strerror or error}") from None


async def serve_site(site: Site, port: int) -> int:
    """Serve until the process is stopped; the address goes to standard output."""
    async with serving(site, port) as address:
        click.echo(address if site.token is None else f"{address}#token={site.token}")
        await anyio.sleep_forever()
    return 0
