"""Settings from everywhere: flag, then environment, then closeout.toml, then the default."""

import os
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click

from closeout.worker.config.settings import INTERNAL_SETTINGS, Settings, checked_settings
from closeout.worker.support.errors import ConfigurationError
from closeout.worker.support.suggestions import did_you_mean, did_you_mean_file

FILE_NAME = "closeout.toml"
LOG_FORMATS = ("console", "json")
_TABLES = {"profiles", "jobs"}
_NETWORK = ("proxy", "cacert", "cert", "cert_key")
_KEYS = {"api_key_file", "api_key_command"}
_ELSEWHERE = {"ledger", *_KEYS, *_NETWORK, "log_format", "alert_url"}  # settings of the command, not of the run


@dataclass(frozen=True, slots=True)
class RawSettings:
    """What was given, by setting, and where: for the error messages."""

    values: dict[str, Any] = field(default_factory=dict)
    origins: dict[str, str] = field(default_factory=dict)


def config_path(named: str | None) -> Path | None:
    """The configuration file: the named one, else the working folder's, else the user's; None if there is none."""
    if named is not None:
        if not Path(named).is_file():
            raise ConfigurationError(f"--config: {named} does not exist{did_you_mean_file(Path(named), '.toml')}")
        return Path(named)
    base = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    for path in (Path(FILE_NAME), base / "closeout" / FILE_NAME):
        if path.is_file():
            return path
    return None


def read_config(path: Path | None, profile: str | None) -> RawSettings:
    """The settings of a configuration file: its top level, overlaid by the profile. Raises ConfigurationError."""
    if path is None:
        if profile is not None:
            raise ConfigurationError(f"--profile {profile}: there is no {FILE_NAME}")
        return RawSettings()
    _, content = read_toml(path)
    given = RawSettings()
    _take_in(given, {key: value for key, value in content.items() if key not in _TABLES}, str(path))
    if profile is not None:
        profiles = content.get("profiles", {})
        if not isinstance(profiles, dict) or not isinstance(profiles.get(profile, {}), dict):
            raise ConfigurationError(f"{path}: [profiles.{profile}] is not a table")
        if profile not in profiles:
            known = ", ".join(sorted(profiles)) or "none"
            near = did_you_mean(profile, profiles)
            raise ConfigurationError(f"{path}: there is no [profiles.{profile}]{near or f' (there are: {known})'}")
        _take_in(given, profiles[profile], f"{path}, [profiles.{profile}]")
    return given


def read_toml(path: Path) -> tuple[str, dict[str, Any]]:
    """The text of a configuration file and what it holds. Raises ConfigurationError."""
    try:
        text = path.read_text(encoding="utf-8")
        return text, tomllib.loads(text)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigurationError(f"{path}: {error}") from None


def _take_in(given: RawSettings, table: dict[str, Any], origin: str) -> None:
    known = (set(Settings.model_fields) | _ELSEWHERE) - INTERNAL_SETTINGS
    for key, value in table.items():
        name = key.replace("-", "_")
        if name not in known:
            raise ConfigurationError(f"{origin}: unknown setting {key!r}{did_you_mean(name, known)}")
        if name in _ELSEWHERE and not isinstance(value, str):
            raise ConfigurationError(f"{origin}, {key}: {value!r} is not text")
        if name == "log_format" and value not in LOG_FORMATS:
            raise ConfigurationError(f"{origin}, {key}: {value!r} is none of {', '.join(LOG_FORMATS)}")
        given.values[name] = value
        given.origins[name] = f"{origin}, {key}"


def overlay(given: RawSettings, context: click.Context, *, flags_only: bool = False) -> RawSettings:
    """Put the environment's values and the flags over what the file gave. Of the ways to the key the nearest holds."""
    values, origins, near = dict(given.values), dict(given.origins), dict.fromkeys(given.values, 0)
    for parameter in context.command.params:
        name = parameter.name or ""
        source = context.get_parameter_source(name)
        flag = source is click.core.ParameterSource.COMMANDLINE
        from_environment = source is click.core.ParameterSource.ENVIRONMENT and not flags_only
        if flag or from_environment:
            values[name] = context.params[name]
            origins[name] = parameter.opts[0] if flag else _variable_of(parameter)
            near[name] = 2 if flag else 1
    nearest = max((near[name] for name in _KEYS & values.keys()), default=0)
    for name in _KEYS & values.keys():
        if near[name] < nearest:
            del values[name]
    return RawSettings(values, origins)


def _variable_of(parameter: click.Parameter) -> str:
    """The environment variable that a value came from."""
    names = [parameter.envvar] if isinstance(parameter.envvar, str) else list(parameter.envvar or ())
    return next((name for name in names if os.environ.get(name)), parameter.opts[0])


def build_settings(given: RawSettings) -> Settings:
    """Check the settings. Raises ConfigurationError that names the setting and where it was given."""
    return checked_settings(
        {name: value for name, value in given.values.items() if name in Settings.model_fields}, given.origins
    )
