"""The ``[jobs.NAME]`` tables of closeout.toml; each mistake is one line that names file, line and key."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from closeout.jobs.config.file import FILE_NAME, read_toml
from closeout.jobs.definitions.job import Job, Ping, Select, Webhook, contradiction
from closeout.jobs.definitions.toml_position import line_of
from closeout.worker.config.dialect import as_known, reason_problem
from closeout.worker.config.quiet_hours import parse_zone
from closeout.worker.config.settings import Settings
from closeout.worker.support.errors import ConfigurationError
from closeout.worker.support.suggestions import did_you_mean

_INNER: Mapping[str, type[BaseModel]] = {"select": Select, "ping": Ping, "webhook": Webhook}
_HOMES: Mapping[str, type[BaseModel]] = {"the job itself": Job, **_INNER}
_MISSING = {"select": 'which sessions, such as select = {idle_for = "24h"}', "url": "the address to call"}
_PERSONAL = {"metadata", "subject", "summary", "context_variables"}


def read_jobs(path: Path | None) -> dict[str, Job]:
    """All jobs of a configuration file, in its order. Raises ConfigurationError for the first mistake in any."""
    if path is None:
        return {}
    text, content = read_toml(path)
    tables = content.get("jobs", {})
    if not isinstance(tables, dict):
        raise _JobFile(path, text, content).mistake(("jobs",), "not a table: write [jobs.NAME]")
    file = _JobFile(path, text, content)
    return {name: file.job(name, table) for name, table in tables.items()}


def find_job(path: Path | None, name: str) -> Job:
    """One job of the file, by its name. Raises ConfigurationError; mistakes in other jobs do not matter."""
    if path is None:
        raise ConfigurationError(f"job {name}: there is no {FILE_NAME}; write [jobs.{name}] into one")
    text, content = read_toml(path)
    tables = content.get("jobs", {})
    if not isinstance(tables, dict) or name not in tables:
        names = sorted(tables) if isinstance(tables, dict) else []
        hint = did_you_mean(name, names, f"; there are: {', '.join(names) or 'none'}")
        raise ConfigurationError(f"{path}: there is no [jobs.{name}]{hint}")
    return _JobFile(path, text, content).job(name, tables[name])


def known_job(path: Path | None, name: str) -> Job | None:
    """The same; None where the file does not hold it any more, or holds it wrongly."""
    try:
        return find_job(path, name)
    except ConfigurationError:
        return None


@dataclass(frozen=True, slots=True)
class _JobFile:
    """A configuration file that jobs are read from."""

    path: Path
    text: str
    content: Mapping[str, Any]

    def job(self, name: str, table: object) -> Job:
        if not isinstance(table, dict):
            raise self.mistake(("jobs", name), f"not a table: write [jobs.{name}]")
        plain = self._plain(table, ("jobs", name))
        for key in _INNER.keys() & plain.keys():
            if isinstance(plain[key], dict):
                plain[key] = self._plain(plain[key], ("jobs", name, key))
        if "name" in plain:
            raise self.mistake(("jobs", name, "name"), "a job's name is that of its table")
        try:
            job = Job(**{"timezone": self._zone(plain.get("profile")), **plain, "name": name})
        except ValidationError as error:
            raise self._first(name, error.errors(include_url=False, include_input=False)) from None
        self._check(job)
        return job

    def _plain(self, table: Mapping[str, Any], path: tuple[str, ...]) -> dict[str, Any]:
        """The same with ``_`` for each ``-`` in its keys."""
        plain: dict[str, Any] = {}
        for key, value in table.items():
            name = key.replace("-", "_")
            if name in plain:
                raise self.mistake((*path, key), "this key is given twice, with - and with _")
            plain[name] = value
        return plain

    def _setting(self, name: str, profile: object) -> Any:  # what a file holds is of any type
        """What the profile says, else the top level."""
        profiles = self.content.get("profiles")
        chosen = profiles.get(profile) if isinstance(profiles, dict) and isinstance(profile, str) else None
        return chosen[name] if isinstance(chosen, dict) and name in chosen else self.content.get(name)

    def _zone(self, profile: object) -> str:
        """The zone of a job that names none: the settings', if it is one, else UTC."""
        name = self._setting("timezone", profile)
        try:
            return parse_zone(name).key if isinstance(name, str) else "UTC"
        except ValueError:
            return "UTC"  # the settings are read before anything runs, and that is where this mistake is told

    def _check(self, job: Job) -> None:
        """What a job says must agree with itself and with the rest of the file."""
        wrong = contradiction(job)
        if wrong is not None:
            raise self.mistake(("jobs", job.name, *wrong[0]), wrong[1])
        profiles = self.content.get("profiles", {})
        if job.profile is not None and not (isinstance(profiles, dict) and job.profile in profiles):
            known = ", ".join(sorted(profiles)) if isinstance(profiles, dict) else ""
            message = f"there is no [profiles.{job.profile}] (there are: {known or 'none'})"
            raise self.mistake(("jobs", job.name, "profile"), message)
        dialect = self._setting("api", job.profile)
        unknown = self._setting("allow_unknown_reason", job.profile) is True
        dialect = dialect if dialect in ("1.21", "1.90") else "1.21"
        reason = as_known(job.reason, dialect) if job.reason is not None else None
        problem = reason_problem(reason, dialect, allow_unknown=unknown) if reason is not None else None
        if problem is not None:
            raise self.mistake(("jobs", job.name, "reason"), problem)

    def _first(self, name: str, details: Sequence[ErrorDetails]) -> ConfigurationError:
        """The first mistake in the file; what is missing comes last, since it may only be written wrongly."""
        mistakes = []
        for detail in details:
            path = ("jobs", name, *(str(part) for part in detail["loc"] if part != "name"))
            mistakes.append((detail["type"] == "missing", self._line(path), path, _message(path[2:], detail)))
        _, line, path, message = min(mistakes)
        return self._error(line, path, message)

    def _line(self, path: Sequence[str]) -> int:
        """Where the path stands, or what would hold it."""
        for length in range(len(path), 0, -1):
            line = line_of(self.text, path[:length])
            if line is not None:
                return line
        return 1

    def mistake(self, path: tuple[str, ...], message: str) -> ConfigurationError:
        """The error that tells a mistake at this path."""
        return self._error(self._line(path), path, message)

    def _error(self, line: int, path: Sequence[str], message: str) -> ConfigurationError:
        table = f"[{'.'.join(path[:2])}]" if len(path) > 1 else "[jobs]"
        key = f" {'.'.join(path[2:])}" if len(path) > 2 else ""
        return ConfigurationError(f"{self.path}, line {line}, {table}{key}: {message}")


def _message(keys: Sequence[str], detail: ErrorDetails) -> str:
    """What is wrong, in words for the one who wrote the file."""
    kind = detail["type"]
    if kind == "missing":
        return f"it is missing; write {_MISSING[keys[-1]]}"
    if kind == "extra_forbidden":
        return f"unknown key{_hint(keys)}"
    if kind in {"model_type", "model_attributes_type"}:
        return "not a table"
    return detail["msg"].removeprefix("Value error, ").replace("Input should be", "it must be")


def _hint(keys: Sequence[str]) -> str:
    *outer, key = keys
    if key in _PERSONAL:
        return ": it may hold personal data, so no rule looks at it"
    known = set(_INNER[outer[0]].model_fields if outer else Job.model_fields) - {"name"}
    if meant := did_you_mean(key, known):
        return meant
    for home, model in _HOMES.items():
        if key in model.model_fields and home not in outer:
            return f": it belongs into {home}"
    if key in Settings.model_fields:
        return ": it is a setting: write it at the top of the file, or into the job's profile"
    return f": the keys are {', '.join(sorted(known))}"
