"""What a command that takes up a run was asked for."""

import anyio
import click

from jobs.configuration import config_path, overlay, read_config, read_toml
from jobs.invocation import Invocation, read_invocation
from jobs.job_tables import known_job
from jobs.options import DEFAULT_LEDGER
from worker.ledger.opening import open_ledger


def read_invocation_for(context: click.Context, name: str) -> Invocation:
    """Gather and check what was asked of the run ``name``. Raises ConfigurationError; nothing has been sent by then.

    The run of a job goes on with the key of the job's profile, unless another profile is named: that of any other
    organisation would be refused, or know none of its sessions.
    """
    path = config_path(context.params["config"])
    if context.params["profile"] is None and path is not None and "profiles" in read_toml(path)[1]:
        ledger = overlay(read_config(path, None), context).values.get("ledger") or DEFAULT_LEDGER
        job = known_job(path, anyio.run(_job_of, ledger, name))
        context.params["profile"] = None if job is None else job.profile
    return read_invocation(context)


async def _job_of(ledger: str, name: str) -> str:
    """The name of the job that made a run; empty if none did."""
    async with open_ledger(ledger) as opened:
        return (await opened.find_run(name)).job or ""
