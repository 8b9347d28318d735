"""``closeout work QUEUE_URL``: a long-lived consumer of a queue."""

import random
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import anyio
import click

from closeout.jobs.config.invocation import Invocation, read_invocation
from closeout.jobs.config.options import GUARDS, HOST, OPERATIONS, PACE, QUEUE, REASON, SETTLE, working_options
from closeout.jobs.runner.alerts import Alerting
from closeout.jobs.runner.listen import listening
from closeout.jobs.runner.run_to_end import conclude, expect_export, run_to_end
from closeout.jobs.runner.source_runs import expect_same_host
from closeout.jobs.runner.terminal import say
from closeout.worker.domain.run import Run
from closeout.worker.engine.adoption import adopt_orphans, runs_of_queue
from closeout.worker.engine.new_run import whoami
from closeout.worker.engine.run import Watcher
from closeout.worker.feeds.queue import take_from
from closeout.worker.ledger.protocol import Ledger
from closeout.worker.ledger.records import NewRun
from closeout.worker.queues.open import open_queue
from closeout.worker.queues.protocol import Queue
from closeout.worker.runtime.result import RunResult
from closeout.worker.runtime.stop import Alarms
from closeout.worker.support.backoff import backoff
from closeout.worker.support.clock import NEVER, now_ms
from closeout.worker.support.errors import (
    ConfigurationError,
    HaltError,
    LedgerError,
    QueueUnreachableError,
    RunBusyError,
    primary_error,
)

if TYPE_CHECKING:
    from closeout.worker.monitoring.monitor import Monitor

_WENT_WELL = 300.0  # seconds: after so long, a trouble is a new one
_ASK_AGAIN = 1.0  # seconds
_WENT_ON = (0, 1, 4)  # exit codes of a run that came to its end


@click.command("work")
@click.argument("queue_url", metavar="QUEUE_URL", envvar="CLOSEOUT_QUEUE_URL")
@click.option("--drain", is_flag=True, help="End when the queue is empty and all is settled.")
@working_options(QUEUE, REASON, GUARDS, HOST, PACE, SETTLE, OPERATIONS)
@click.pass_context
def command(context: click.Context, /, queue_url: str, *, drain: bool, **_: Any) -> int:  # the rest is read by name
    """Close the sessions that a queue gives, until stopped.

    QUEUE_URL is queue:NAME for a queue in the ledger, redis://HOST?stream=NAME&group=NAME, amqp://HOST/VHOST?queue=NAME
    or sqs://REGION/NAME; CLOSEOUT_QUEUE_URL hides its password from the list of processes. A message is a session's
    id, or {"session_id", "reason"?, "not_before"?, "key"?}.

    Too many failures, or an API out of reach, do not end it: it waits, says so, and tries one session now and then.
    """
    invocation = read_invocation(context)
    settings = invocation.settings.model_copy(update={"from_queue": True, "canary": None, "deadline": None})
    return anyio.run(partial(consume, replace(invocation, settings=settings), queue_url, drain=drain))


async def consume(invocation: Invocation, url: str, *, drain: bool) -> int:
    """Work until stopped, or until the queue is empty; returns the exit code."""
    async with listening(invocation.listen, say) as telling:
        invocation = replace(invocation, listen=None)
        if drain:
            return await _attempt(invocation, url, None, telling)
        return await _go_on_for_ever(invocation, url, telling)


async def _go_on_for_ever(invocation: Invocation, url: str, telling: "Monitor | None") -> int:
    async with Alerting(invocation.alert_url, invocation.access.network) as alerting:
        alarms, failures, begun = Alarms(alerting.tell), 0, False
        while True:
            began = anyio.current_time()
            try:
                return await _attempt(invocation, url, alarms, telling)
            except Exception as error:  # also a group of them; what may not pass is raised again
                told = primary_error(error)
                trouble = _passing(told)
                if trouble is None or (isinstance(told, LedgerError) and not begun):
                    raise
                begun = begun or isinstance(told, HaltError)
                alarms.begin("ledger" if isinstance(trouble, LedgerError) else "queue", str(trouble))
                if telling is not None:
                    telling.between = str(trouble)
            failures = failures + 1 if anyio.current_time() - began < _WENT_WELL else 1
            await anyio.sleep(backoff(failures, random.SystemRandom()))


def _passing(error: BaseException) -> BaseException | None:
    """The trouble of the ledger or the queue that may pass, and broke off the work."""
    cause = error.__cause__ if isinstance(error, HaltError) else error
    return cause if isinstance(cause, LedgerError | QueueUnreachableError) else None


async def _attempt(invocation: Invocation, url: str, alarms: Alarms | None, telling: "Monitor | None") -> int:
    """Work once: what broke off can be gone on with, from the ledger."""
    async with (
        invocation.open_ledger(create=True) as ledger,
        open_queue(url, ledger.messages) as queue,
    ):
        if alarms is not None:
            alarms.end("ledger", "the ledger can be used again")
            alarms.end("queue", f"{queue.name} answers again")
        beside: list[Watcher] = []
        if alarms is not None:
            beside.append(partial(adopt_orphans, access=invocation.access, say=say))
        if telling is not None:
            beside.append(partial(telling.watch_run, queue=queue))
        left = [run for run in await runs_of_queue(ledger, queue.name) if _on_this_host(run, invocation)]
        ended = await _work(ledger, queue, invocation, left, alarms=alarms, beside=beside)
        code = await conclude(ledger, ended, invocation)
        return code if alarms is not None else await _drain_older(ledger, left, invocation, code)


async def _work(
    ledger: Ledger,
    queue: Queue,
    invocation: Invocation,
    left: list[Run],
    *,
    alarms: Alarms | None,
    beside: Sequence[Watcher],
) -> RunResult:
    """Go on with the newest of the queue's unfinished runs that nobody else works on, else with a new one.

    What it has tried is gone from ``left``.
    """
    feed = partial(take_from, queue=queue, drain=alarms is None)
    await expect_export(ledger, left[0] if left else None, invocation)
    while True:
        run = left.pop(0) if left else await _new_run(ledger, queue, invocation)
        try:
            ended = await run_to_end(ledger, run, invocation, feed, alarms=alarms, beside=beside)
            if alarms is None or not ended.by_another:
                return ended
        except RunBusyError:  # somebody else may be quicker, also with what is made here
            continue
        except Exception as error:  # also a group of them
            if not _taken_over(primary_error(error)):
                raise
        say(f"run {run.name} was taken over by another consumer meanwhile: going on with one of its own")


async def _drain_older(ledger: Ledger, left: Sequence[Run], invocation: Invocation, code: int) -> int:
    """Close what older runs of the queue still hold, left there by consumers that died; returns the highest exit code.

    What somebody else works on is waited for. With a cap nothing more is taken up: it is said which run holds what.
    """
    codes = [code]
    for run in left:
        if codes[-1] not in _WENT_ON:
            break  # stopped or halted: what stopped this run is true of the next one
        await _not_worked_on(ledger, run)
        if await ledger.busy(run):
            continue
        if invocation.settings.limit is not None:
            say(f"run {run.name} of this queue is not finished: `closeout resume {run.name}` closes what it holds")
            codes.append(HaltError.exit_code)
            continue
        say(f"run {run.name} of this queue was left unfinished: closing what it holds")
        with suppress(RunBusyError):
            await ledger.source_done(run)
            ended = await run_to_end(ledger, run, replace(invocation, export=None), None)
            codes.append(await conclude(ledger, ended, replace(invocation, export=None)))
    return max(codes)


async def _not_worked_on(ledger: Ledger, run: Run) -> None:
    """Wait while another consumer has sessions of a run to close. A dead one is busy until its lease ends."""
    told = False
    while await ledger.open_count(run, 1, NEVER - 1) and await ledger.busy(run):
        if not told:
            say(f"run {run.name} of this queue is worked on by another process: waiting for what it holds")
            told = True
        await anyio.sleep(_ASK_AGAIN)


def _taken_over(error: BaseException) -> bool:
    """Whether this process was not heard of for longer than its lease, and another one holds its run by now."""
    return isinstance(error, HaltError) and isinstance(error.__cause__, RunBusyError)


async def _new_run(ledger: Ledger, queue: Queue, invocation: Invocation) -> Run:
    options = invocation.settings.model_dump_json()
    return await ledger.create_run(NewRun(queue.name, options, location=queue.name, made_by=whoami()), now_ms())


def _on_this_host(run: Run, invocation: Invocation) -> bool:
    try:
        expect_same_host(run, invocation.settings)
    except ConfigurationError:
        say(
            f"run {run.name} of this queue is of another host: it is left alone, and `closeout export {run.name} "
            "--outcome pending` has what it did not close"
        )
        return False
    return True
