"""Keeping the times of the jobs: each is started when it is due, one at a time for each organisation."""

import os
import signal
import subprocess
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass

import anyio
from anyio.abc import Process

from closeout.jobs.definitions.cron import Schedule, due, next_start
from closeout.worker.support.clock import Millis

_NAP: Millis = 30_000  # a clock that is set, or a machine that slept, is noticed after so long


@dataclass(frozen=True, slots=True)
class SchedulerDeps:
    """What the times are kept with.

    ``started`` gives when a job of that name was started last, as the ledger knows it; ``run`` starts a job and waits
    until it has ended. ``turn`` is held meanwhile: another one that keeps the same jobs waits for it, and then finds
    them started. Once ``stop`` is set no job is started any more.
    """

    now: Callable[[], Millis]
    started: Callable[[str], Awaitable[Millis | None]]
    turn: Callable[[], AbstractAsyncContextManager[bool]]
    run: Callable[[Schedule], Awaitable[None]]
    stop: anyio.Event


async def run_schedule(schedules: Sequence[Schedule], keeping: SchedulerDeps) -> None:
    """Start the jobs at their times until told to stop; returns when those that run have ended."""
    async with anyio.create_task_group() as tasks:
        for schedule in schedules:
            tasks.start_soon(_keep_one, schedule, keeping)


async def _keep_one(schedule: Schedule, keeping: SchedulerDeps) -> None:
    began = keeping.now()  # a job that was never started has missed nothing before
    made: Millis | None = None  # a job that ended before the ledger knew of it is not started again for the same time
    while not keeping.stop.is_set():
        last = _later(made, await keeping.started(schedule.name))
        start = due(schedule, began if last is None else last, keeping.now())
        if start is None:
            pause = min(next_start(schedule, keeping.now()) - keeping.now(), _NAP)
            with anyio.move_on_after(max(pause, 1) / 1000):
                await keeping.stop.wait()
            continue
        async with keeping.turn() as held:
            last = await keeping.started(schedule.name)
            if held and (last is None or last < start):
                await keeping.run(schedule)
        made = start


def _later(one: Millis | None, other: Millis | None) -> Millis | None:
    return max((each for each in (one, other) if each is not None), default=None)


async def run_child(command: Sequence[str], stop: anyio.Event) -> int:
    """Run a command to its end and give its exit code; once ``stop`` is set it gets TERM, and its time to drain.

    It is in a session of its own: a Ctrl-C at the terminal would reach it as well as us, and two signals mean that it
    must not drain. Where we listen, it cannot.
    """
    environment = {name: value for name, value in os.environ.items() if name != "CLOSEOUT_LISTEN"}
    process = await anyio.open_process(
        command, stdin=subprocess.DEVNULL, stdout=None, stderr=None, start_new_session=True, env=environment
    )
    async with process, anyio.create_task_group() as tasks:
        tasks.start_soon(_pass_on, process, stop)
        code = await process.wait()
        tasks.cancel_scope.cancel()
    return code


async def _pass_on(process: Process, stop: anyio.Event) -> None:
    await stop.wait()
    process.send_signal(signal.SIGTERM)
