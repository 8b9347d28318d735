"""Jobs of several profiles in one process: what the environment says would hold for all of them alike."""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from closeout.jobs.config.credentials import VARIABLES
from closeout.jobs.config.file import read_config
from closeout.jobs.config.invocation import Invocation
from closeout.jobs.definitions.job import Job
from closeout.worker.pace.budget import budget_key
from closeout.worker.support.errors import ConfigurationError

# What tells one organisation from another, and the variables that go before the configuration file.
_HOSTS = {"base_url": ("CLOSEOUT_BASE_URL", "FEATHER_BASE_URL"), "organisation": ("CLOSEOUT_ORGANISATION",)}
_KEY_SOURCES = ("CLOSEOUT_API_KEY_FILE", "CLOSEOUT_API_KEY_COMMAND")
_OWN = {"api_key_file", "api_key_command"}


@dataclass(frozen=True, slots=True)
class Planned:
    """A job, the profile that it goes by, the arguments of the sweep that will run it, and what these ask for."""

    job: Job
    profile: str | None
    arguments: Sequence[str]
    invocation: Invocation

    @property
    def organisation(self) -> str:
        """Whose sessions it closes: jobs of one organisation have one budget, and run one at a time."""
        key = budget_key(self.invocation.settings)
        return f"{key.host} {key.organisation}"


def expect_own_profiles(planned: Sequence[Planned], config: Path) -> None:
    """Raises ConfigurationError where the environment would send the jobs of one profile to another one's organisation.

    A sweep by the rule of one organisation with the key of another would close what nobody meant.
    """
    files = {each.profile: read_config(config, each.profile).values for each in planned}
    for name, variables in _HOSTS.items():
        if len({values.get(name) for values in files.values()}) > 1 and (given := _given(variables)):
            raise ConfigurationError(f"{given} is set, and would hold for all profiles, whose {name} differ: unset it")
    file = _given(_KEY_SOURCES)
    shared = file or _given(VARIABLES)
    theirs = {each.organisation for each in planned if file or not _OWN & files[each.profile].keys()}
    if shared and len(theirs) > 1:
        raise ConfigurationError(
            f"{shared} is set, and would be the key of several organisations: unset it, and give each profile its own "
            "api_key_file or api_key_command"
        )


def _given(variables: Iterable[str]) -> str | None:
    return next((variable for variable in variables if os.environ.get(variable)), None)
