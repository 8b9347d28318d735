"""Lines for a crontab."""

from collections.abc import Iterable, Sequence

from closeout.jobs.definitions.job import Job
from closeout.jobs.manifests.common import CONFIG, LEDGER, STATE, Timed, shell_line, sweep_arguments, timed_jobs
from closeout.worker.support.errors import ConfigurationError

_HEAD = f"""\
# Lines for `crontab -e` of the user that closeout runs as. Before:
#   the configuration is {CONFIG}, the API key is in the file that is named below; both of that user, mode 0600
#   the ledger is {LEDGER}; {STATE} belongs to that user, mode 0700
# A line holds for the zone that CRON_TZ names above it. That is known to cronie (Fedora, Red Hat, Arch) and to nobody
# else: Debian's and Ubuntu's cron goes by the machine's own zone, so there the machine must be in that zone.
# cron makes up for no missed night and knows no jitter; `closeout schedule` and systemd's timers do.
"""


def print_cron(jobs: Iterable[Job], command: Sequence[str]) -> str:
    """One line for each job. ``command`` is how closeout is called, with the whole path."""
    lines = [_HEAD]
    given: dict[str, str] = {}
    for timed in sorted(timed_jobs(jobs), key=lambda one: (one.job.timezone, one.key)):
        wanted = {"CRON_TZ": timed.job.timezone, "CLOSEOUT_API_KEY_FILE": f"/etc/closeout/{timed.key}"}
        lines += [f"{name}={value}" for name, value in wanted.items() if given.get(name) != value]
        lines.append(_line(timed, command))
        given = wanted
    return "\n".join(lines) + "\n"


def _line(timed: Timed, command: Sequence[str]) -> str:
    """The lock keeps a job that takes longer than a day from being started twice; a ``%`` would end the command."""
    lock = ["flock", "--nonblock", "--conflict-exit-code", "5", f"{STATE}/{timed.job.name}.lock"]
    call = shell_line([*lock, *command, *sweep_arguments(timed.job)])
    if not call.isprintable():
        raise ConfigurationError(f"{call!r} cannot stand in a crontab")
    return f"{timed.cron} {call.replace('%', chr(92) + '%')}"
