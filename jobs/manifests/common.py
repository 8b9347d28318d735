"""What the units of all kinds have in common: which jobs they are for, and the command that each one runs."""

import hashlib
import re
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from closeout.jobs.definitions.cron import CronFields, parse_cron
from closeout.jobs.definitions.job import Job
from closeout.worker.support.errors import ConfigurationError

CONFIG, LEDGER, STATE = "/etc/closeout/closeout.toml", "/var/lib/closeout/closeout.db", "/var/lib/closeout"
KEY_VARIABLE = "FEATHER_API_KEY"
_STRANGE = re.compile(r"[^A-Za-z0-9_-]", re.ASCII)
DRAIN_SECONDS = 120  # a request may take its time limit, then what it brought is recorded


@dataclass(frozen=True, slots=True)
class Timed:
    """A job with its times."""

    job: Job
    cron: str
    fields: CronFields

    @property
    def name(self) -> str:
        """The name of its units."""
        return f"closeout-{self.job.name}"

    @property
    def key(self) -> str:
        """What the key of its organisation is filed under: each profile has its own, however alike their names are."""
        profile = self.job.profile
        if profile is None:
            return "api-key"
        plain = _STRANGE.sub("-", profile)
        told_apart = "" if plain == profile else f"-{hashlib.blake2b(profile.encode(), digest_size=3).hexdigest()}"
        return f"api-key-{plain}{told_apart}"


def timed_jobs(jobs: Iterable[Job]) -> list[Timed]:
    """Those that have a schedule. Raises ConfigurationError if there are none."""
    found = [Timed(job, job.schedule, parse_cron(job.schedule)) for job in jobs if job.schedule is not None]
    if not found:
        raise ConfigurationError('no job has a schedule: write one into its table, such as schedule = "0 3 * * *"')
    return found


def sweep_arguments(job: Job, config: str = CONFIG) -> list[str]:
    """What is asked of closeout. Not ``--yes``: where nobody is there to answer, what is not as usual must halt."""
    return ["sweep", job.name, "--config", config, "--ledger", LEDGER]


def values_or_star(values: Sequence[int], count: int, to: str) -> str:
    """``1,5-7`` of rising values, where ``to`` joins the ends of a span; ``*`` if they are all that there are."""
    if len(values) == count:
        return "*"
    runs: list[list[int]] = []
    for value in values:
        if runs and runs[-1][-1] == value - 1:
            runs[-1].append(value)
        else:
            runs.append([value])
    return ",".join(f"{run[0]}{to}{run[-1]}" if len(run) > 1 else str(run[0]) for run in runs)


def shell_line(arguments: Iterable[str]) -> str:
    """A command as a shell reads it."""
    return shlex.join(arguments)
