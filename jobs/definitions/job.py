"""A sweep job of the configuration: what it chooses, what it protects, when it runs and whom it tells."""

import re
from datetime import UTC, datetime, time, timedelta, tzinfo
from typing import Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

from closeout.jobs.config.credentials import below, read_address
from closeout.jobs.definitions.cron import Schedule, parse_cron
from closeout.jobs.definitions.values import Moment, read_moment, read_span, read_statuses, read_table
from closeout.worker.config.failure_limit import parse_max_failures
from closeout.worker.config.quiet_hours import parse_zone
from closeout.worker.policy.selection import SWEEP_PROTECTED, Age, Bound, Selection
from closeout.worker.support.clock import Millis

_DEFAULT_STATUSES = ("active", "paused")
_MAX_CLOSE = 10_000
_DAY = 86_400.0
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?", re.ASCII)


class _Table(BaseModel):
    """A table of the file: nothing unknown in it, and nothing that is not what it looks like."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, arbitrary_types_allowed=True)


class Select(_Table):
    """Which sessions a job chooses: those that meet all that is given.

    ``status`` is None where the file names none. Dates without a time are the beginning of that day, and those without
    a zone are the job's. ``idle_for`` is in seconds.
    """

    status: tuple[str, ...] | None = None
    channel: str | None = None
    priority: Literal["low", "normal", "high", "urgent"] | None = None
    session_type: Literal["live", "test", "simulation"] | None = None
    assistant: str | None = None
    end_user: str | None = None
    text: str | None = None
    started_after: Moment | None = None
    started_before: Moment | None = None
    idle_for: float | None = None
    expired: bool = False

    @field_validator("status", mode="before")
    @classmethod
    def _status(cls, value: object) -> tuple[str, ...]:
        names = read_statuses(value)
        if not names:
            raise ValueError("no status is named: leave the key out for active and paused sessions")
        return names

    @field_validator("channel", "text")
    @classmethod
    def _word(cls, value: str) -> str:
        if not value:
            raise ValueError("it must not be empty")
        return value

    @field_validator("assistant", "end_user")
    @classmethod
    def _uuid(cls, value: str) -> str:
        try:
            return str(UUID(value))
        except ValueError:
            raise ValueError("not a UUID") from None

    @field_validator("started_after", "started_before", mode="before")
    @classmethod
    def _moment(cls, value: object) -> Moment:
        return read_moment(value)

    @field_validator("idle_for", mode="before")
    @classmethod
    def _idle_for(cls, value: object) -> float:
        seconds = read_span(value)
        if not seconds:
            raise ValueError("it must be above zero")
        return seconds

    @model_validator(mode="after")
    def _chooses(self) -> "Select":
        """A rule that chose all active sessions would end every conversation that is going on."""
        if not any(value for name, value in self if name != "status"):
            raise ValueError('the status alone would end what is going on: choose further, such as idle_for = "24h"')
        return self


class Ping(_Table):
    """Addresses that are called when a job starts and when it has ended; they are secrets."""

    start: SecretStr | None = None
    success: SecretStr | None = None
    failure: SecretStr | None = None

    @field_validator("start", "success", "failure", mode="before")
    @classmethod
    def _address(cls, value: object) -> SecretStr:
        return SecretStr(read_address(value))


class Webhook(_Table):
    """Where the summary of each run is sent: as JSON, or as one text in the form that Slack reads."""

    url: SecretStr
    form: Literal["json", "slack"] = "json"

    @field_validator("url", mode="before")
    @classmethod
    def _address(cls, value: object) -> SecretStr:
        return SecretStr(read_address(value))


class Job(_Table):
    """One sweep job. ``catch_up`` and ``jitter`` are in seconds, ``max_close`` in sessions.

    Where ``reason``, ``max_failures`` and ``settle`` are None, it is as the settings say. ``protect`` is what the file
    says; what holds is ``protected``. A ``catch_up`` of 0 leaves a missed night.
    """

    name: str
    select: Select
    protect: tuple[str, ...] | None = None
    reason: str | None = None
    max_close: int = Field(_MAX_CLOSE, ge=1)
    max_failures: str | None = None
    settle: bool | None = None
    schedule: str | None = None
    timezone: str = "UTC"
    profile: str | None = None
    catch_up: float = _DAY / 2
    jitter: float = 0.0
    ping: Ping | None = None
    webhook: Webhook | None = None

    @field_validator("name")
    @classmethod
    def _printable_anywhere(cls, value: str) -> str:
        """It becomes part of the names of units, which are strict."""
        if not _NAME.fullmatch(value):
            raise ValueError("a job's name is up to 40 of a-z, 0-9 and -, with no - at its ends")
        return value

    @field_validator("protect", mode="before")
    @classmethod
    def _protect(cls, value: object) -> tuple[str, ...]:
        return () if value == "none" else read_statuses(value)

    @field_validator("max_failures", mode="before")
    @classmethod
    def _max_failures(cls, value: object) -> str:
        return str(parse_max_failures(str(value)))

    @field_validator("schedule")
    @classmethod
    def _schedule(cls, value: str) -> str:
        parse_cron(value)
        return " ".join(value.split())

    @field_validator("timezone")
    @classmethod
    def _timezone(cls, value: str) -> str:
        return parse_zone(value).key

    @field_validator("catch_up", mode="before")
    @classmethod
    def _catch_up(cls, value: object) -> float:
        return read_span(value, most="7d")

    @field_validator("jitter", mode="before")
    @classmethod
    def _jitter(cls, value: object) -> float:
        return read_span(value, most="24h")

    @field_validator("ping", mode="before")
    @classmethod
    def _ping(cls, value: object) -> object:
        """One address stands for three, in the way of healthchecks.io: ``/start``, itself and ``/fail``."""
        if not isinstance(value, str):
            return read_table(value, 'an address, or {start = "…", success = "…", failure = "…"}')
        address = read_address(value)
        return {"start": below(address, "start"), "success": address, "failure": below(address, "fail")}

    @field_validator("webhook", mode="before")
    @classmethod
    def _webhook(cls, value: object) -> object:
        return (
            {"url": value}
            if isinstance(value, str)
            else read_table(value, 'an address, or {url = "…", form = "slack"}')
        )

    @property
    def zone(self) -> tzinfo:
        return parse_zone(self.timezone)

    @property
    def protected(self) -> frozenset[str]:
        """What the job never closes.

        Of what sweeps protect, a status is closed only if ``protect`` is given without it *and* ``select.status`` names
        it: neither an empty ``protect`` nor a list of statuses alone reaches a session that a person is waiting in.
        """
        if self.protect is None:
            return SWEEP_PROTECTED
        return frozenset(self.protect) | (SWEEP_PROTECTED - frozenset(self.select.status or ()))

    @property
    def selection(self) -> Selection:
        """What the job chooses, in the terms of the engine."""
        select, protected = self.select, self.protected
        return Selection(
            statuses=select.status or tuple(name for name in _DEFAULT_STATUSES if name not in protected),
            protected=protected,
            channel=select.channel,
            priority=select.priority,
            session_type=select.session_type,
            assistant=select.assistant,
            end_user=select.end_user,
            text=select.text,
            started_after=_bound(select.started_after, self.zone),
            started_before=_bound(select.started_before, self.zone),
            idle_for=_millis(select.idle_for) if select.idle_for is not None else None,
            expired=select.expired,
        )

    @property
    def times(self) -> Schedule | None:
        """When the job runs; None for one that only runs when it is told to."""
        if self.schedule is None:
            return None
        return Schedule(self.name, self.schedule, self.zone, _millis(self.jitter), _millis(self.catch_up))

    @property
    def settings(self) -> dict[str, object]:
        """The settings of a run that the job gives, by name."""
        given = {"reason": self.reason, "max_failures": self.max_failures, "settle": self.settle}
        return {name: value for name, value in given.items() if value is not None}


def contradiction(job: Job) -> tuple[tuple[str, ...], str] | None:
    """What in a job cannot be meant, and the key that it is about; None if all is well."""
    selection = job.selection
    for status in selection.statuses:
        if status in selection.protected:
            lift = (
                "protect names it"
                if job.protect is not None
                else "to close such sessions, write a protect without it, too"
            )
            return ("select", "status"), f"{status} is protected: {lift}"
    if not selection.statuses:
        return ("protect",), "nothing is left to close: active and paused are protected, and select names no status"
    after, before = selection.started_after, selection.started_before
    ages = isinstance(after, Age) and isinstance(before, Age) and after.ms < before.ms
    dates = isinstance(after, int) and isinstance(before, int) and after > before
    if ages or dates:
        return ("select", "started_before"), "nothing starts both before that and after started_after"
    return None


def _bound(moment: Moment | None, zone: tzinfo) -> Bound | None:
    if moment is None or isinstance(moment, Age):
        return moment
    instant = moment if isinstance(moment, datetime) else datetime.combine(moment, time())
    if instant.tzinfo is None:
        instant = instant.replace(tzinfo=zone)
    return (instant - _EPOCH) // _MILLISECOND


def _millis(seconds: float) -> Millis:
    return round(seconds * 1000)
