"""Telling the outside how a job goes: a ping when it starts and ends, and a webhook with its summary.

What cannot be told stops nothing: one line says so, without the address, which is a secret.
"""

import httpx
from pydantic import SecretStr

from jobs.job import Job
from jobs.running import say
from worker.models import Outcome
from worker.pipeline import Ended
from worker.report.summary import summary
from worker.settings import Settings

_SECONDS = 10.0  # nobody waits longer for an answer
_GOOD = (0, 4)  # exit codes; verdicts that come late are no failure of a sweep


async def tell_start(job: Job) -> None:
    """Ping that the job begins."""
    if job.ping is not None:
        await _call(job, "ping", job.ping.start)


async def tell_failure(job: Job) -> None:
    """Ping that the job has failed before it could make a summary."""
    if job.ping is not None:
        await _call(job, "ping", job.ping.failure)


async def tell_end(job: Job, ended: Ended, settings: Settings) -> None:
    """Ping how the job has ended, and send its summary."""
    if job.ping is not None:
        await _call(job, "ping", job.ping.success if ended.exit_code in _GOOD else job.ping.failure)
    if job.webhook is not None:
        content = summary(ended, settings) if job.webhook.form == "json" else {"text": in_one_text(job, ended)}
        await _call(job, "webhook", job.webhook.url, content)


def in_one_text(job: Job, ended: Ended) -> str:
    """The summary as Slack reads it."""
    outcomes = [
        f"{count:,} {outcome.value.replace('_', ' ')}"
        for outcome in Outcome
        if (count := ended.counts.outcomes.get(outcome, 0))
    ]
    text = f"closeout sweep {job.name}: {ended.state}, {', '.join(outcomes) or 'nothing found'} (run {ended.run.name})"
    return f"{text}: {ended.why}" if ended.why else text


async def _call(job: Job, what: str, address: SecretStr | None, content: object = None) -> None:
    if address is None:
        return
    try:
        async with httpx.AsyncClient(timeout=_SECONDS, trust_env=False) as client:
            url = address.get_secret_value()
            answer = await (client.get(url) if content is None else client.post(url, json=content))
    except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
        say(f"job {job.name}: its {what} could not be sent ({type(error).__name__})")
        return
    if answer.status_code >= 300:
        say(f"job {job.name}: its {what} was answered with status {answer.status_code}")
