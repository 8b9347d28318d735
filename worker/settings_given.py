"""Settings as a program gives them: by name, as numbers or as the text that a flag takes."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypedDict

from closeout.worker.errors import ConfigurationError
from closeout.worker.near import did_you_mean
from closeout.worker.settings import OF_RUNS, Settings, checked_settings


class SettingsGiven(TypedDict, total=False):
    """What ``Settings`` means by these names. As text a rate is like "40/s", a duration like "10m", a share "50%"."""

    base_url: str
    api: Literal["1.21", "1.90"]
    org_limit: float | str
    share: float | str
    rate: float | str | None
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
    known = set(Settings.model_fields) - OF_RUNS
    for name in values:
        if name not in known:
            raise ConfigurationError(f"unknown setting {name!r}{did_you_mean(name, known)}")
    return checked_settings({**(stored.model_dump() if stored else {}), **values})
