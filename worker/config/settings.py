"""The settings of a run, the words they are written in, and the key."""

from collections.abc import Mapping, Sequence
from datetime import tzinfo
from typing import Any, Literal, TypedDict
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator

from closeout.worker.config.dialect import as_known, parse_statuses
from closeout.worker.config.failure_limit import MaxFailures, parse_max_failures
from closeout.worker.config.quiet_hours import QuietWindow, parse_quiet_hours, parse_zone
from closeout.worker.domain.session import WAITING_STATUSES
from closeout.worker.support.errors import ConfigurationError
from closeout.worker.support.suggestions import did_you_mean
from closeout.worker.support.units import parse_duration, parse_rate, parse_share

DEFAULT_BASE_URL = "https://api-sandbox.featherhq.com"
INTERNAL_SETTINGS = frozenset(
    {"rule", "max_close", "closes", "as_planned", "from_queue", "profile"}
)  # only a job or a command gives these to a run
_LOOPBACK = {"localhost", "127.0.0.1", "::1"}
# What a number of a setting is: seconds, requests a second, or a fraction. Whoever reads or shows settings goes by it.
DURATIONS = (
    "give_up_after", "timeout", "lease", "settle_for", "first_look", "none_grace", "deadline", "idle_for",
    "state_max_age", "dedupe_for", "probe_every",
)  # fmt: skip
RATES = ("org_limit", "rate", "min_rate")
SHARES = ("share", "tolerate")
_TOLD = {
    "int_parsing": "invalid whole number {given!r}",
    "int_type": "invalid whole number {given!r}",
    "int_from_float": "invalid whole number {given!r}",
    "float_parsing": "invalid number {given!r}",
    "float_type": "invalid number {given!r}",
    "bool_parsing": "{given!r} is neither true nor false",
    "bool_type": "{given!r} is neither true nor false",
    "literal_error": "invalid value {given!r}: use one of {expected}",
    "greater_than_equal": "{given!r} is too small: it must be at least {ge:,g}",
    "greater_than": "{given!r} is too small: it must be more than {gt:,g}",
    "less_than_equal": "{given!r} is too much: it must be at most {le:,g}",
}


class Settings(BaseModel):
    """Durations in seconds, rates in requests per second, ``share`` as a fraction of ``org_limit``.

    ``pace`` says who bears the doubt where 429s may be production's or not: "yield" gives way to it, "fair" lets up to
    ``tolerate`` of all answers be 429s before it does. Neither goes below ``min_rate`` (None: half a percent of the
    limit). ``max_failures``, ``quiet_hours`` and ``timezone`` are text as it is typed and stored; ``failure_limit``,
    ``quiet_windows`` and ``zone`` are what it means. ``canary``, ``limit`` and ``max_close`` are in sessions. ``rule``
    is that of a sweep, as JSON. ``closes`` is False for a plan; ``as_planned`` closes what one holds, if unchanged.
    ``lenient_ids``: ids that are wrapped are read, too. ``allow_empty``: a source without rows is no error.
    ``from_queue``: the run is that of a queue. ``profile`` is the one whose key it goes by, None for none.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)

    base_url: str = DEFAULT_BASE_URL
    api: Literal["1.21", "1.90"] = "1.21"
    org_limit: float = Field(100.0, gt=0)
    share: float = Field(0.5, gt=0, le=1)
    rate: float | None = Field(None, gt=0)
    pace: Literal["yield", "fair"] = "yield"
    tolerate: float = Field(0.05, gt=0, le=1)
    min_rate: float | None = Field(None, gt=0)
    concurrency: int = Field(64, ge=1, le=10_000)
    max_attempts: int = Field(8, ge=1)
    give_up_after: float = Field(600.0, gt=0)
    timeout: float = Field(30.0, gt=0)
    lease: float | None = Field(None, gt=0)
    protect: tuple[str, ...] = tuple(sorted(WAITING_STATUSES))
    only_status: tuple[str, ...] = ()
    idle_for: float | None = Field(None, gt=0)
    expired: bool = False
    state_max_age: float = Field(300.0, ge=1)
    reason: str | None = None
    allow_unknown_reason: bool = False
    id_column: str | None = None
    lenient_ids: bool = False
    allow_empty: bool = False
    settle: bool = True
    settle_for: float = Field(900.0, ge=0)
    first_look: float | None = Field(None, ge=0)
    none_grace: float = Field(15.0, ge=0)
    max_failures: str = "5%"
    canary: int | None = Field(None, ge=1)
    limit: int | None = Field(None, ge=1)
    deadline: float | None = Field(None, gt=0)
    quiet_hours: str | None = None
    timezone: str | None = None
    organisation: str = ""
    rule: str | None = None
    max_close: int | None = Field(None, ge=1)
    closes: bool = True
    as_planned: bool = False
    from_queue: bool = False
    dedupe_for: float = Field(86_400.0, ge=0)
    probe_every: float = Field(30.0, gt=0)
    profile: str | None = None

    @field_validator(*RATES, mode="before")
    @classmethod
    def _rate(cls, value: object) -> object:
        return parse_rate(value) if isinstance(value, str) else value

    @field_validator(*SHARES, mode="before")
    @classmethod
    def _share(cls, value: object) -> object:
        return parse_share(value) if isinstance(value, str) else value

    @field_validator(*DURATIONS, mode="before")
    @classmethod
    def _duration(cls, value: object) -> object:
        return parse_duration(value) if isinstance(value, str) else value

    @field_validator("protect", "only_status", mode="before")
    @classmethod
    def _protect(cls, value: object) -> object:
        if isinstance(value, list | tuple) and value and all(isinstance(name, str) for name in value):
            value = ",".join(value)  # a status that is misspelt in a list would protect nobody
        return parse_statuses(value) if isinstance(value, str) else value

    @field_validator("base_url")
    @classmethod
    def _host(cls, value: str) -> str:
        """The key travels with each request, so only over TLS, except to this machine."""
        problem = host_problem(value)
        if problem is not None:
            raise ValueError(problem)
        return value.rstrip("/")

    @field_validator("reason", "quiet_hours", "timezone")
    @classmethod
    def _no_blank(cls, value: str | None) -> str | None:
        return value.strip() or None if value is not None else None

    @field_validator("reason")
    @classmethod
    def _reason(cls, value: str | None, info: ValidationInfo) -> str | None:
        """Its case makes no difference."""
        return as_known(value, info.data["api"]) if value is not None and "api" in info.data else value

    @field_validator("max_failures", mode="before")
    @classmethod
    def _max_failures(cls, value: object) -> str:
        """A file may give a count as a number; what else it may give has no text that could be read as a limit."""
        return str(parse_max_failures(str(value)))

    @field_validator("canary", mode="before")
    @classmethod
    def _canary(cls, value: object) -> object:
        """0 takes back what a file says."""
        return None if value in ("0", 0) else value

    @field_validator("limit", mode="before")
    @classmethod
    def _limit(cls, value: object) -> object:
        """A word, as 0 might be meant as "close none"."""
        return None if value == "none" else value

    @field_validator("quiet_hours")
    @classmethod
    def _quiet_hours(cls, value: str | None) -> str | None:
        if value is not None:
            parse_quiet_hours(value)
        return value

    @field_validator("timezone")
    @classmethod
    def _timezone(cls, value: str | None) -> str | None:
        return parse_zone(value).key if value is not None else None

    @field_validator("organisation")
    @classmethod
    def _organisation(cls, value: str) -> str:
        if not value.isprintable():
            raise ValueError(f"invalid organisation {value!r}: use printable characters only")
        return value.strip()

    @property
    def host(self) -> str:
        """Whose sessions the run closes: see ``host_of``."""
        return host_of(self.base_url)

    @property
    def allowed_rate(self) -> float:
        """Requests per second that this run may send."""
        return self.rate if self.rate is not None else self.org_limit * self.share

    @property
    def guarded(self) -> bool:
        """Whether the state of each session is looked up before it is closed."""
        asked_for = self.only_status or self.idle_for is not None or self.expired
        return bool(asked_for or self.as_planned or not self.closes)

    @property
    def failure_limit(self) -> MaxFailures:
        return parse_max_failures(self.max_failures)

    @property
    def quiet_windows(self) -> tuple[QuietWindow, ...]:
        return parse_quiet_hours(self.quiet_hours) if self.quiet_hours is not None else ()

    @property
    def zone(self) -> tzinfo | None:
        """The zone of the quiet hours; None for this machine's."""
        return parse_zone(self.timezone) if self.timezone is not None else None


def checked_settings(values: Mapping[str, Any], origins: Mapping[str, str] | None = None) -> Settings:
    """Settings of what was given. Raises ConfigurationError that names the setting, or where it came from."""
    try:
        return Settings(**values)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        name = str(first["loc"][0]) if first["loc"] else "settings"
        message = _in_words(first["type"], first.get("input"), first.get("ctx", {})) or first["msg"]
        message = message.removeprefix("Value error, ")
        raise ConfigurationError(f"{(origins or {}).get(name, name)}: {message}") from None


def _in_words(kind: str, given: object, limits: Mapping[str, Any]) -> str | None:
    """What a person reads of a number or a choice that cannot be; None where the message says it well."""
    return _TOLD[kind].format(given=given, **limits) if kind in _TOLD else None


def host_of(address: str) -> str:
    """The host that an address names, written in one way: in small letters, without a port that is the usual one."""
    parts = urlsplit(address)
    name = (parts.hostname or "").rstrip(".")
    name = f"[{name}]" if ":" in name else name
    usual = parts.port is None or (parts.scheme, parts.port) in {("https", 443), ("http", 80)}
    return name if usual else f"{name}:{parts.port}"


def host_problem(address: str) -> str | None:
    """Why an address is not one to send the key to, or None. Never repeats what may be a password."""
    try:
        parts = urlsplit(address)
        known = parts.scheme in {"https", "http"} and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        known = False
    if not known or not address.isascii() or not address.isprintable() or " " in address:
        return "no address of a host: write it like https://api.example.com"
    if parts.username or parts.password:
        return "an address with a user name or password is not accepted: the API wants a key"
    if parts.query or parts.fragment:
        return "the address must not hold a query or fragment"
    if parts.scheme == "http" and parts.hostname not in _LOOPBACK:
        return f"http://{parts.hostname} would send the key unencrypted: use https"
    return None


class SettingsGiven(TypedDict, total=False):
    """What ``Settings`` means by these names. As text a rate is like "40/s", a duration like "10m", a share "50%"."""

    base_url: str
    api: Literal["1.21", "1.90"]
    org_limit: float | str
    share: float | str
    rate: float | str | None
    pace: Literal["yield", "fair"]
    tolerate: float | str
    min_rate: float | str | None
    concurrency: int
    max_attempts: int
    give_up_after: float | str
    timeout: float | str
    lease: float | str | None
    protect: Sequence[str] | str
    only_status: Sequence[str] | str
    idle_for: float | str | None
    expired: bool
    state_max_age: float | str
    reason: str | None
    allow_unknown_reason: bool
    settle: bool
    settle_for: float | str
    first_look: float | str | None
    none_grace: float | str
    max_failures: int | str
    canary: int | None
    limit: int | None
    deadline: float | str | None
    quiet_hours: str | None
    timezone: str | None
    organisation: str


def settings_of(given: SettingsGiven, stored: Settings | None = None) -> Settings:
    """The settings, over those of a stored run. Raises ConfigurationError that names what is wrong."""
    values: Mapping[str, Any] = dict(given)
    known = set(Settings.model_fields) - INTERNAL_SETTINGS
    for name in values:
        if name not in known:
            raise ConfigurationError(f"unknown setting {name!r}{did_you_mean(name, known)}")
    return checked_settings({**(stored.model_dump() if stored else {}), **values})
