"""Telling the outside how a job goes: a ping when it starts and ends, and a webhook with its summary.

What cannot be told stops nothing: one line says so, without the address, which is a secret.
"""

from collections.abc import Awaitable, Callable

import anyio
import anyio.to_thread
import httpx
from pydantic import SecretStr

from closeout.jobs.definitions.job import Job
from closeout.jobs.runner.terminal import say
from closeout.worker.api.tls import trusting_context
from closeout.worker.config.network import Network
from closeout.worker.config.settings import Settings
from closeout.worker.domain.item import Outcome
from closeout.worker.report.summary import summary
from closeout.worker.runtime.result import RunResult
from closeout.worker.support.errors import ConfigurationError, primary_error

_SECONDS = 10.0  # nobody waits longer for an answer
_GOOD = (0, 4)  # exit codes; verdicts that come late are no failure of a sweep


async def telling(
    job: Job | None, settings: Settings, network: Network, work: Callable[[], Awaitable[RunResult]]
) -> RunResult:
    """Do the work of a job, and tell how it goes; without a job, and of a plan, nobody is told.

    The start is told beside the work, which does not wait for it. Raises what the work raises.
    """
    if job is None or not settings.closes:
        return await work()
    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_tell_start, job, network)
            ended = await work()
    except Exception as error:
        await tell_failure(job, network)
        raise primary_error(error) from error
    await tell_end(job, ended, network)
    return ended


async def _tell_start(job: Job, network: Network) -> None:
    if job.ping is not None:
        await call(_of(job, "ping"), job.ping.start, network)


async def tell_failure(job: Job, network: Network) -> None:
    """Ping that the job has failed before it could make a summary."""
    if job.ping is not None:
        await call(_of(job, "ping"), job.ping.failure, network)


async def tell_end(job: Job, ended: RunResult, network: Network) -> None:
    """Ping how the job has ended, and send its summary."""
    async with anyio.create_task_group() as tasks:
        if job.ping is not None:
            address = job.ping.success if ended.exit_code in _GOOD else job.ping.failure
            tasks.start_soon(call, _of(job, "ping"), address, network)
        if job.webhook is not None:
            content = (
                summary(ended, ended.settings) if job.webhook.form == "json" else {"text": in_one_text(job, ended)}
            )
            tasks.start_soon(call, _of(job, "webhook"), job.webhook.url, network, content)


def in_one_text(job: Job, ended: RunResult) -> str:
    """The summary as Slack reads it."""
    outcomes = [
        f"{count:,} {outcome.value.replace('_', ' ')}"
        for outcome in Outcome
        if (count := ended.counts.outcomes.get(outcome, 0))
    ]
    none = "nothing found" if ended.state == "finished" else "nothing closed"
    text = f"closeout sweep {job.name}: {ended.state}, {', '.join(outcomes) or none} (run {ended.run.name})"
    return f"{text}: {ended.why}" if ended.why else text


def _of(job: Job, what: str) -> str:
    return f"job {job.name}: its {what}"


async def call(what: str, address: SecretStr | None, network: Network, content: object = None) -> None:
    """Call an address, once, on the way that the API is reached, and say if that fails; ``what`` is what it is told.

    There is no way to it through a SOCKS proxy: httpx raises an ImportError for one.
    """
    if address is None:
        return
    status = None
    why = f"no answer in {_SECONDS:g} s"
    with anyio.move_on_after(_SECONDS):  # of all: a trickle of an answer would outlast the time limits of its parts
        try:
            url, trusted = address.get_secret_value(), await anyio.to_thread.run_sync(trusting_context, network)
            proxy = network.proxy_for(url)
            async with httpx.AsyncClient(timeout=_SECONDS, trust_env=False, verify=trusted, proxy=proxy) as client:
                answer = await (client.get(url) if content is None else client.post(url, json=content))
                status = answer.status_code
        except (httpx.HTTPError, httpx.InvalidURL, OSError, ConfigurationError, ImportError) as error:
            why = type(error).__name__
    if status is None:
        say(f"{what} could not be sent ({why})")
    elif status >= 300:
        say(f"{what} was answered with status {status}")
