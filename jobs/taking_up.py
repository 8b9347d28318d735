"""What a command that takes up a run was asked for."""

import anyio
import click

from closeout.jobs.configuration import config_path, overlay, read_config, read_toml
from closeout.jobs.invocation import Invocation, read_invocation
from closeout.jobs.options import DEFAULT_LEDGER
from closeout.worker.ledger.opening import open_ledger
from closeout.worker.settings import Settings


def read_invocation_for(context: click.Context, name: str) -> Invocation:
    """Gather and check what was asked of the run ``name``. Raises ConfigurationError; nothing has been sent by then.

    The run goes on with the key of the profile that it was begun with, unless another one is named: that of any other
    organisation would be refused, or know none of its sessions.
    """
    path = config_path(context.params["config"])
    if context.params["profile"] is None and path is not None and "profiles" in read_toml(path)[1]:
        ledger = overlay(read_config(path, None), context).values.get("ledger") or DEFAULT_LEDGER
        context.params["profile"] = anyio.run(_profile_of, ledger, name)
    return read_invocation(context)


async def _profile_of(ledger: str, name: str) -> str | None:
    """The profile that a run was begun with."""
    async with open_ledger(ledger) as opened:
        return Settings.model_validate_json((await opened.find_run(name)).options).profile
