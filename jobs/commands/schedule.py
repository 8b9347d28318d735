"""``closeout schedule``: runs the configured jobs at their times, or prints units that do."""

import os
import signal
import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import click
from anyio.abc import TaskStatus

from closeout.jobs.commands.sweep import asked_for
from closeout.jobs.config.file import config_path, overlay, read_config
from closeout.jobs.config.invocation import PATIENCE, read_listen
from closeout.jobs.config.options import DEFAULT_LEDGER, LEDGER, LISTEN
from closeout.jobs.definitions.cron import Schedule, next_start
from closeout.jobs.definitions.job import Job
from closeout.jobs.definitions.loader import read_jobs
from closeout.jobs.manifests.common import timed_jobs
from closeout.jobs.manifests.crontab import print_cron
from closeout.jobs.manifests.kubernetes import print_kubernetes
from closeout.jobs.manifests.systemd import print_systemd
from closeout.jobs.runner.listen import listening
from closeout.jobs.runner.terminal import say
from closeout.jobs.scheduling.metrics import JobBoard
from closeout.jobs.scheduling.profiles import Planned, expect_own_profiles
from closeout.jobs.scheduling.scheduler import SchedulerDeps, run_child, run_schedule
from closeout.worker.ledger.open import open_ledger
from closeout.worker.ledger.protocol import Ledger
from closeout.worker.monitoring.listen import Address
from closeout.worker.support.clock import Millis, format_instant, now_ms
from closeout.worker.support.errors import HaltError

if TYPE_CHECKING:
    from closeout.worker.monitoring.monitor import Monitor


@click.command("schedule")
@click.option("--print", "kind", type=click.Choice(["systemd", "cron", "kubernetes"]), help="Print units, run nothing.")
@click.option("--image", default="closeout", show_default=True, help="The image that Kubernetes runs.")
@click.option(
    "--config", metavar="FILE", help="The configuration file.  [default: closeout.toml here or in the user's folder]"
)
@LEDGER
@LISTEN
@click.pass_context
def command(context: click.Context, /, kind: str | None, image: str, config: str | None, **_: Any) -> int:  # by name
    """Run the jobs of closeout.toml that have a schedule, each at its times, until stopped.

    One at a time for each organisation, and never two of the same. A night that was missed is caught up once, as the
    job's catch_up says. TERM or Ctrl-C lets the running job drain.
    """
    path = config_path(config)
    jobs = [timed.job for timed in timed_jobs(read_jobs(path).values())]
    if kind is not None:
        click.echo(_units(kind, jobs, image), nl=False)
        return 0
    given = overlay(read_config(path, None), context)
    ledger = given.values.get("ledger") or DEFAULT_LEDGER
    # Not among the arguments of the jobs: everybody on the machine sees those, and an address may hold a password.
    os.environ["CLOSEOUT_LEDGER"] = str(ledger)
    sweeps = planned_sweeps(jobs, path or Path())
    return anyio.run(partial(keep_all, sweeps, ledger, read_listen(context)))


def _units(kind: str, jobs: Sequence[Job], image: str) -> str:
    if kind == "kubernetes":
        return print_kubernetes(jobs, image)
    script = Path(sys.argv[0])
    called = [str(script.resolve())] if script.name == "closeout" else [sys.executable, "-m", "closeout"]
    return print_systemd(jobs, called) if kind == "systemd" else print_cron(jobs, called)


def planned_sweeps(jobs: Iterable[Job], config: Path) -> list[Planned]:
    """How each job will be run, as far as that can be known beforehand. Raises ConfigurationError."""
    planned = []
    for job in jobs:
        arguments = [job.name, "--config", str(config), "--no-progress"]
        arguments += ["--profile", job.profile] if job.profile is not None else []  # before the environment's
        planned.append(
            Planned(job, job.profile or os.environ.get("CLOSEOUT_PROFILE"), arguments, asked_for(arguments, job))
        )
    expect_own_profiles(planned, config)
    return planned


async def keep_all(sweeps: Sequence[Planned], address: str, listen: Address | None = None) -> int:
    """Keep the times of all jobs; returns the exit code once told to end."""
    stop, told = anyio.Event(), list[int]()
    calls = {each.job.name: each.arguments for each in sweeps}
    async with (
        listening(listen, say) as telling,
        open_ledger(address, create=True, patience=PATIENCE) as ledger,
        anyio.create_task_group() as tasks,
    ):
        await tasks.start(_watch, stop, told)
        lines = by_organisation(sweeps)
        board = JobBoard([schedule for schedules in lines.values() for schedule in schedules])
        if telling is not None:
            tasks.start_soon(_tell, telling, ledger, board, stop)
        async with anyio.create_task_group() as keepers:
            for organisation, schedules in lines.items():
                keeping = SchedulerDeps(
                    now=now_ms,
                    started=partial(last_start, ledger),
                    turn=partial(ledger.turn, organisation, stop),
                    run=partial(_sweep, calls, stop, board),
                    stop=stop,
                )
                keepers.start_soon(run_schedule, schedules, keeping)
        tasks.cancel_scope.cancel()
    return 128 + told[0]


async def _tell(telling: "Monitor", ledger: Ledger, board: JobBoard, stop: anyio.Event) -> None:
    async def goes_on() -> None:
        if stop.is_set():
            raise HaltError("draining: told to end")

    checks = {"ledger": ledger.expect_writable, "schedule": goes_on}
    await telling.watch(checks, lambda: board.samples(now_ms()))


def by_organisation(sweeps: Iterable[Planned]) -> dict[str, list[Schedule]]:
    """The times of the jobs that must not run beside each other, by host and organisation. Says when each is next."""
    found: defaultdict[str, list[Schedule]] = defaultdict(list)
    for each in sweeps:
        times = each.job.times
        if times is None:
            continue
        found[each.organisation].append(times)
        say(f"job {each.job.name}: next at {format_instant(next_start(times, now_ms()))}")
    return found


async def last_start(ledger: Ledger, name: str) -> Millis | None:
    """When a job was started last, by the schedule or by hand; None if never."""
    return max((run.created_at for run in await ledger.runs() if run.job == name), default=None)


async def _sweep(calls: Mapping[str, Sequence[str]], stop: anyio.Event, board: JobBoard, schedule: Schedule) -> None:
    say(f"job {schedule.name}: starting")
    board.started(schedule.name)
    code = await run_child([sys.executable, "-m", "closeout", "sweep", *calls[schedule.name]], stop)
    board.ended(schedule.name, code, now_ms())
    say(f"job {schedule.name}: ended with exit code {code}, next at {format_instant(next_start(schedule, now_ms()))}")


async def _watch(stop: anyio.Event, told: list[int], *, task_status: TaskStatus[None]) -> None:
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        task_status.started()
        async for number in signals:
            told.append(number)
            stop.set()
