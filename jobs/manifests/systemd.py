"""Units for systemd: for each job a service that cannot do more than a sweep needs, and a timer."""

from collections.abc import Iterable, Sequence

from closeout.jobs.definitions.cron import CronFields
from closeout.jobs.definitions.job import Job
from closeout.jobs.manifests.common import (
    CONFIG,
    DRAIN_SECONDS,
    KEY_VARIABLE,
    LEDGER,
    Timed,
    shell_line,
    sweep_arguments,
    timed_jobs,
    values_or_star,
)
from closeout.worker.support.errors import ConfigurationError
from closeout.worker.support.units import format_duration

_FOLDER = "/etc/systemd/system"
_WEEKDAYS = ("Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat")
_HEAD = f"""\
# Units for systemd. Write each file where its heading says, then:
#   install -d -m 0700 /etc/closeout
#   install -m 0600 closeout.toml {CONFIG}
#   each of these, mode 0600, with the one line {KEY_VARIABLE}=… : KEYS
# The keys are in these files alone: an api_key_file in that closeout.toml would go before them, and is not readable.
#   systemctl daemon-reload && systemctl enable --now TIMERS
# closeout must be installed where its user can read it, so not in a home folder. The ledger belongs to that user, too:
#   systemd-run --pipe -p DynamicUser=yes -p User=closeout -p StateDirectory=closeout COMMAND runs --ledger {LEDGER}
"""
_SERVICE = """\
[Unit]
Description=closeout sweep {job}
Wants=network-online.target
After=network-online.target

[Service]
Type=oneshot
ExecStart={command}
EnvironmentFile=/etc/closeout/{key}.env
LoadCredential=closeout.toml:{config}
DynamicUser=yes
User=closeout
StateDirectory=closeout
StateDirectoryMode=0700
WorkingDirectory=%S/closeout
UMask=0077
# TERM lets what is in flight end and be recorded; only then may it be killed.
KillMode=mixed
TimeoutStartSec=infinity
TimeoutStopSec={drain}
CapabilityBoundingSet=
LockPersonality=yes
NoNewPrivileges=yes
PrivateDevices=yes
PrivateTmp=yes
PrivateUsers=yes
ProcSubset=pid
ProtectClock=yes
ProtectControlGroups=yes
ProtectHome=read-only
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectProc=invisible
ProtectSystem=strict
RemoveIPC=yes
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@privileged @resources
SystemCallErrorNumber=EPERM
"""
_TIMER = """\
[Unit]
Description=closeout sweep {job}: {cron} ({zone})

[Timer]
{calendar}
{persistent}
RandomizedDelaySec={jitter:g}
FixedRandomDelay=yes
AccuracySec=1s
Unit={name}.service

[Install]
WantedBy=timers.target
"""
_CAUGHT_UP = """\
# A missed night is made up for when the machine is back. systemd does so however late it is, not only within
# catch_up = {catch_up}.
Persistent=true"""
_LEFT = """\
# The job has catch_up = 0s: a missed night is left.
Persistent=false"""


def systemd_files(jobs: Iterable[Job], command: Sequence[str]) -> dict[str, str]:
    """The units by the name of their file. ``command`` is how closeout is called, with the whole path."""
    files: dict[str, str] = {}
    for timed in timed_jobs(jobs):
        call = [*command, *sweep_arguments(timed.job, "%d/closeout.toml")]
        files[f"{timed.name}.service"] = _SERVICE.format(
            job=timed.job.name,
            command=" ".join(map(_quoted, call)),
            key=timed.key,
            config=CONFIG,
            drain=DRAIN_SECONDS,
        )
        files[f"{timed.name}.timer"] = _timer(timed)
    return files


def print_systemd(jobs: Iterable[Job], command: Sequence[str]) -> str:
    """All units as one text, each under the name of its file."""
    timed = timed_jobs(jobs)
    head = _HEAD.replace("TIMERS", " ".join(f"{one.name}.timer" for one in timed))
    head = head.replace("KEYS", ", ".join(sorted({f"/etc/closeout/{one.key}.env" for one in timed})))
    files = systemd_files((one.job for one in timed), command)
    parts = [f"# {_FOLDER}/{name}\n{text}" for name, text in files.items()]
    return "\n".join([head.replace("COMMAND", shell_line(command)), *parts])


def _timer(timed: Timed) -> str:
    job = timed.job
    return _TIMER.format(
        job=job.name,
        name=timed.name,
        cron=timed.cron,
        zone=job.timezone,
        calendar="\n".join(f"OnCalendar={when}" for when in calendars(timed.fields, job.timezone)),
        persistent=_CAUGHT_UP.format(catch_up=format_duration(job.catch_up)) if job.catch_up else _LEFT,
        jitter=job.jitter,
    )


def calendars(fields: CronFields, zone: str) -> list[str]:
    """The calendar events of a cron expression; two where cron takes days and weekdays as alternatives."""
    weekdays = ",".join(_WEEKDAYS[day] for day in fields.weekdays) + " "
    days = values_or_star(fields.days, 31, "..")
    months = values_or_star(fields.months, 12, "..")
    hours, minutes = values_or_star(fields.hours, 24, ".."), values_or_star(fields.minutes, 60, "..")
    time = f"{hours}:{minutes}:00 {zone}"
    if len(fields.weekdays) == len(_WEEKDAYS):
        weekdays = ""
    if fields.both_days:
        return [f"{weekdays}*-{months}-{days} {time}"]
    return [f"{weekdays}*-{months}-* {time}", f"*-{months}-{days} {time}"]


def _quoted(argument: str) -> str:
    """One argument of ExecStart, in which ``%d`` stays what systemd fills in."""
    if not argument.isprintable():
        raise ConfigurationError(f"{argument!r} cannot stand in a unit")
    plain = argument if argument.startswith("%d/") else argument.replace("%", "%%")
    plain = plain.replace("\\", "\\\\").replace('"', '\\"').replace("$", "$$")
    return f'"{plain}"' if any(each in plain for each in " '\";") or not plain else plain
