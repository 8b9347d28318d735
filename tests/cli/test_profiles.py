"""Jobs of several profiles in one scheduler: each keeps its own host, key and organisation."""

from pathlib import Path

import pytest

from closeout.jobs.commands.schedule import by_organisation, planned_sweeps
from closeout.jobs.definitions.loader import read_jobs
from closeout.jobs.scheduling.profiles import Planned
from closeout.worker.support.errors import ConfigurationError

HOSTS = """\
[profiles.one]
base_url = "http://127.0.0.1:7"
[profiles.two]
base_url = "http://127.0.0.1:8"
"""
KEYS = """\
[profiles.one]
api_key_file = "one.key"
[profiles.two]
organisation = "another"
api_key_file = "two.key"
"""
KEYLESS = "[profiles.one]\n[profiles.two]\norganisation = 'another'\n"


def planned(profiles: str, *names: str) -> list[Planned]:
    """The sweeps of one job for each of these profiles; the files of the keys are there."""
    for name in ("one", "two"):
        file = Path(f"{name}.key")
        file.write_text(f"key-of-{name}", encoding="utf-8")
        file.chmod(0o600)
    jobs = "".join(
        f'[jobs.job-{at}]\nselect = {{idle_for = "24h"}}\nschedule = "0 3 * * *"\n'
        + (f'profile = "{name}"\n' if name else "")
        for at, name in enumerate(names)
    )
    config = Path("closeout.toml")
    config.write_text(profiles + jobs, encoding="utf-8")
    return planned_sweeps(read_jobs(config).values(), config)


def test_jobs_of_one_organisation_take_turns_and_others_do_not(monkeypatch: pytest.MonkeyPatch) -> None:
    """By host and name; a job's profile holds before that of the environment, and each key is its own."""
    monkeypatch.setenv("CLOSEOUT_PROFILE", "two")
    found = planned(KEYS, "one", "two", "one", "")
    assert [each.invocation.access.key.value for each in found] == [
        "key-of-one",
        "key-of-two",
        "key-of-one",
        "key-of-two",
    ]
    turns = by_organisation(found)
    assert [[schedule.name for schedule in each] for each in turns.values()] == [["job-0", "job-2"], ["job-1", "job-3"]]


@pytest.mark.parametrize(
    ("profiles", "variable", "told"),
    [
        (HOSTS, "FEATHER_BASE_URL", "would hold for all profiles, whose base_url differ"),
        (HOSTS, "CLOSEOUT_BASE_URL", "would hold for all profiles, whose base_url differ"),
        (KEYS, "CLOSEOUT_ORGANISATION", "would hold for all profiles, whose organisation differ"),
        (KEYS, "CLOSEOUT_API_KEY_FILE", "would be the key of several organisations"),
        (KEYLESS, "FEATHER_API_KEY", "would be the key of several organisations"),
        (KEYLESS, "CLOSEOUT_API_KEY", "would be the key of several organisations"),
    ],
)
def test_the_environment_does_not_send_a_job_to_another_organisation(
    profiles: str, variable: str, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A rule of one with the key or at the host of another would close what nobody meant. One profile is as ever."""
    monkeypatch.setenv("FEATHER_API_KEY", "any")
    monkeypatch.setenv(variable, {"BASE_URL": "http://127.0.0.1:9"}.get(variable.partition("_")[2], "one.key"))
    with pytest.raises(ConfigurationError, match=f"{variable} is set, and {told}"):
        planned(profiles, "one", "two")
    assert len(planned(profiles, "one", "one")) == 2


@pytest.mark.parametrize("variable", ["FEATHER_API_KEY", "CLOSEOUT_API_KEY"])
def test_a_key_of_the_environment_may_be_that_of_one_organisation(
    variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the others have files."""
    monkeypatch.setenv(variable, "of-the-environment")
    found = planned(KEYS.replace('api_key_file = "one.key"', ""), "one", "two")
    assert [each.invocation.access.key.value for each in found] == ["of-the-environment", "key-of-two"]


def test_a_job_whose_key_is_missing_is_told_at_the_start() -> None:
    """And not at night."""
    with pytest.raises(ConfigurationError, match="no API key"):
        planned(KEYLESS, "one")
