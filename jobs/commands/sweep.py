"""``closeout sweep NAME``: finds sessions by the rule of a configured job, and closes them."""

import os
from collections.abc import Sequence
from functools import partial
from typing import Any

import anyio
import click

from closeout.jobs.config.file import config_path
from closeout.jobs.config.invocation import Invocation
from closeout.jobs.config.options import BRAKE, HOST, MORE_GUARDS, OPERATIONS, PACE, PORTION, SETTLE, working_options
from closeout.jobs.definitions.job import Job
from closeout.jobs.definitions.loader import find_job
from closeout.jobs.runner.notify import tell_failure
from closeout.jobs.runner.sweep_runs import invocation_of, plan_job, sweep_job
from closeout.worker.config.network import Network, network_of
from closeout.worker.support.errors import CloseoutError


@click.command("sweep")
@click.argument("name")
@click.option("--dry-run", is_flag=True, help="Close nothing: the same as `closeout plan --job NAME`.")
@working_options(HOST, MORE_GUARDS, PORTION, BRAKE, PACE, SETTLE, OPERATIONS)
@click.pass_context
def command(context: click.Context, /, name: str, *, dry_run: bool, **_: Any) -> int:  # the rest is read by name
    """Close the sessions that the job NAME of closeout.toml chooses.

    They are listed twice: first only counted, so that more than max_close, far more than usual, or none where there
    usually are some, close nothing unless you say so (--yes, or on a terminal when asked).
    """
    job = find_job(config_path(context.params["config"]), name)
    try:
        invocation = invocation_of(context, job)
    except CloseoutError:
        if not dry_run:
            anyio.run(tell_failure, job, _network())
        raise
    if dry_run:
        return anyio.run(partial(plan_job, invocation, job.name))
    return anyio.run(partial(sweep_job, invocation, job))


def asked_for(arguments: Sequence[str], job: Job) -> Invocation:
    """What ``closeout sweep`` would be asked for with these arguments. Raises ConfigurationError."""
    with command.make_context("sweep", list(arguments)) as context:
        return invocation_of(context, job)


def _network() -> Network:
    """What the environment alone says of the way out, as the settings cannot be read; straight, where that is wrong."""
    try:
        return network_of({}, os.environ, {})
    except CloseoutError:
        return Network()
