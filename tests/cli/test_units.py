"""The units that are printed: complete, restricted, and what systemd, cron and Kubernetes themselves take them for."""

import itertools
import re
import shlex
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import yaml  # type: ignore[import-untyped]  # its types are a package of their own; here it reads a few documents
from kubernetes_validate import ValidationError, validate  # type: ignore[import-untyped]  # it has none

from closeout.jobs.definitions.cron import Schedule, parse_cron, starts
from closeout.jobs.definitions.job import Job
from closeout.jobs.definitions.loader import read_jobs
from closeout.jobs.manifests.common import values_or_star
from closeout.jobs.manifests.crontab import print_cron
from closeout.jobs.manifests.kubernetes import print_kubernetes
from closeout.jobs.manifests.systemd import calendars, print_systemd, systemd_files
from closeout.worker.support.errors import ConfigurationError
from tests.cli.support import write_config
from tests.services import program

CONFIG = """
[profiles."team b"]
[jobs.nightly]
select.idle_for = "24h"
schedule = "30 3 * * mon-fri"
timezone = "Europe/Berlin"
catch_up = "12h"
jitter = "10m"
ping = "https://hc.example/SECRET"
webhook = "https://hooks.example/SECRET"
[jobs.by-hand]
select.expired = true
[jobs.tests]
select.session_type = "test"
schedule = "*/20 * * * 7"
profile = "team b"
"""
COMMAND = ["/opt/close out/100%/closeout"]
NIGHTLY = [
    *("sweep", "nightly", "--config", "/etc/closeout/closeout.toml"),
    *("--ledger", "/var/lib/closeout/closeout.db"),
]


def jobs(text: str = CONFIG) -> list[Job]:
    """The jobs of a file."""
    return list(read_jobs(write_config(text)).values())


def objects(text: str) -> list[dict[str, Any]]:
    """YAML documents."""
    return list(yaml.safe_load_all(text))


def lines_of(unit: str, key: str) -> list[str]:
    """What a unit says for a key, as often as it says it."""
    return [line.partition("=")[2] for line in unit.splitlines() if line.startswith(f"{key}=")]


def instants(schedule: Schedule, after: datetime, count: int) -> list[datetime]:
    """The first starts."""
    some = itertools.islice(starts(schedule, int(after.timestamp() * 1000)), count)
    return [datetime.fromtimestamp(start / 1000, UTC) for start in some]


def test_nothing_secret_is_printed() -> None:
    """Addresses to call are read from the configuration when the job runs."""
    printed = print_systemd(jobs(), COMMAND) + print_cron(jobs(), COMMAND) + print_kubernetes(jobs(), "closeout:1")
    assert "SECRET" not in printed


def test_what_systemd_is_to_be_given_is_told_for_each_key() -> None:
    """Where it belongs, and by nothing that a shell would take for something else, or remember."""
    head = print_systemd(jobs(), COMMAND).partition("\n\n")[0]
    assert "FEATHER_API_KEY=… : /etc/closeout/api-key-team-b-7fca1d.env, /etc/closeout/api-key.env" in head
    assert "echo" not in head


def test_how_late_a_night_may_be_is_written_as_people_do() -> None:
    """And not in seconds."""
    assert "catch_up = 12 h 0 min." in print_systemd(jobs(), COMMAND)


def test_a_job_without_a_schedule_has_no_unit() -> None:
    """And where no job has one there is nothing to print."""
    assert list(systemd_files(jobs(), COMMAND)) == [
        "closeout-nightly.service", "closeout-nightly.timer", "closeout-tests.service", "closeout-tests.timer",
    ]  # fmt: skip
    with pytest.raises(ConfigurationError, match="no job has a schedule"):
        print_cron(jobs("[jobs.one]\nselect.expired = true"), COMMAND)


def test_a_service_may_do_what_a_sweep_needs_and_no_more() -> None:
    """It runs as a user of its own, writes into its own folder, and ends what it began when it is told to stop."""
    service = systemd_files(jobs(), COMMAND)["closeout-nightly.service"]
    said = dict(line.split("=", 1) for line in service.splitlines() if "=" in line and not line.startswith("#"))
    for key, value in {
        "Type": "oneshot", "DynamicUser": "yes", "User": "closeout", "StateDirectory": "closeout", "UMask": "0077",
        "NoNewPrivileges": "yes", "ProtectSystem": "strict", "PrivateTmp": "yes", "CapabilityBoundingSet": "",
        "ProtectHome": "read-only", "RestrictNamespaces": "yes", "KillMode": "mixed", "TimeoutStartSec": "infinity",
        "EnvironmentFile": "/etc/closeout/api-key.env",
        "LoadCredential": "closeout.toml:/etc/closeout/closeout.toml",
    }.items():  # fmt: skip
        assert said[key] == value
    [command] = lines_of(service, "ExecStart")
    assert shlex.split(command.replace("%%", "%").replace("%d", "/etc/closeout")) == [*COMMAND, *NIGHTLY]


def test_a_service_has_the_key_of_its_organisation() -> None:
    """Each profile its own file."""
    assert lines_of(systemd_files(jobs(), COMMAND)["closeout-tests.service"], "EnvironmentFile") == [
        "/etc/closeout/api-key-team-b-7fca1d.env"
    ]
    assert "/etc/closeout/api-key-team-b-7fca1d.env, /etc/closeout/api-key.env" in print_systemd(jobs(), COMMAND)


def test_profiles_whose_names_are_alike_have_a_key_each() -> None:
    """A key of another organisation would close what is not asked for."""
    text = "".join(
        f'[profiles."{name}"]\n[jobs.{job}]\nprofile = "{name}"\nschedule = "0 3 * * *"\nselect.expired = true\n'
        for job, name in {"one": "prod-eu", "two": "prod.eu", "three": "prod eu"}.items()
    )
    keys = [line for name in systemd_files(jobs(text), COMMAND).values() for line in lines_of(name, "EnvironmentFile")]
    assert len(set(keys)) == len(keys) == 3
    assert "/etc/closeout/api-key-prod-eu.env" in keys


@pytest.mark.parametrize("name", ["null", "123", "yes", "1e3"])
def test_a_jobs_name_is_text_in_yaml(name: str) -> None:
    """Whatever else YAML could take it for."""
    text = f'[jobs.{name}]\nschedule = "0 3 * * *"\nselect.expired = true\n'
    claim, job = yaml.safe_load_all(print_kubernetes(jobs(text), "closeout:1"))
    assert claim["kind"] == "PersistentVolumeClaim"
    for place in (job, job["spec"]["jobTemplate"]["spec"]["template"]):
        assert place["metadata"]["labels"]["app.kubernetes.io/component"] == name


def test_a_timer_keeps_the_jobs_times_and_makes_up_for_a_missed_night_if_the_job_does() -> None:
    """With its jitter."""
    files = systemd_files(jobs(), COMMAND)
    nightly, tests = files["closeout-nightly.timer"], files["closeout-tests.timer"]
    assert lines_of(nightly, "OnCalendar") == ["Mon,Tue,Wed,Thu,Fri *-*-* 3:30:00 Europe/Berlin"]
    assert (lines_of(nightly, "Persistent"), lines_of(nightly, "RandomizedDelaySec")) == (["true"], ["600"])
    assert lines_of(nightly, "Unit") == ["closeout-nightly.service"]
    assert lines_of(nightly, "WantedBy") == ["timers.target"]
    assert lines_of(tests, "Persistent") == ["true"], "a day is made up for unless the job says otherwise"
    left = jobs(CONFIG.replace('"12h"', '"0s"'))
    assert lines_of(systemd_files(left, COMMAND)["closeout-nightly.timer"], "Persistent") == ["false"]


def test_systemd_takes_the_units(tmp_path: Path) -> None:
    """All of them, without a word."""
    analyze = program("systemd-analyze")
    command = tmp_path / "close out%d"
    command.write_text("#!/bin/sh\n")
    command.chmod(0o755)
    paths = []
    for name, text in systemd_files(jobs(), [str(command)]).items():
        paths.append(tmp_path / name)
        paths[-1].write_text(text)
    done = subprocess.run([analyze, "verify", *paths], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


@pytest.mark.parametrize(
    "cron",
    [
        "30 3 * * *", "0 3 * * mon-fri", "*/20 1-5,23 * * *", "5 0 1,15 * *", "5 0 1,15 * sun", "0 12 */2 * mon",
        "0 0 29 2 *", "7,8,9 */6 * jan-mar,dec *", "0 4 * * 0-7",
    ],
)  # fmt: skip
def test_systemd_means_the_same_times(cron: str) -> None:
    """As we do, one by one."""
    analyze = program("systemd-analyze")
    began = datetime(2026, 1, 30, 11, tzinfo=UTC)
    ours = instants(Schedule("one", cron, ZoneInfo("Asia/Kolkata")), began, 12)
    theirs: set[datetime] = set()
    for calendar in calendars(parse_cron(cron), "Asia/Kolkata"):
        at = f"--base-time={began:%Y-%m-%d %H:%M:%S} UTC"
        call = [analyze, "calendar", "--iterations=12", at, calendar]
        said = subprocess.run(call, capture_output=True, text=True, check=True, env={"TZ": "UTC"}).stdout
        found = re.findall(r"(?:Next elapse|Iter\. #\d+): \w+ (\S+ \S+) UTC", said)
        theirs |= {datetime.fromisoformat(f"{text}+00:00") for text in found}
    assert sorted(theirs)[:12] == ours


def test_a_crontab_has_a_line_for_each_job_and_tells_what_cron_cannot() -> None:
    """The zone and the key of each; a ``%`` would end the command, and a second start of one job finds the lock."""
    printed = print_cron(jobs(), COMMAND)
    lines = [line for line in printed.splitlines() if line and not line.startswith("#")]
    assert [line for line in lines if not line[0].isdigit() and line[0] != "*"] == [
        "CRON_TZ=Europe/Berlin", "CLOSEOUT_API_KEY_FILE=/etc/closeout/api-key", "CRON_TZ=UTC",
        "CLOSEOUT_API_KEY_FILE=/etc/closeout/api-key-team-b-7fca1d",
    ]  # fmt: skip
    assert lines[2].startswith(
        "30 3 * * mon-fri flock --nonblock --conflict-exit-code 5 /var/lib/closeout/nightly.lock"
    )
    assert not re.search(r"(?<!\\)%", lines[2])
    arguments = shlex.split(lines[2].replace("\\%", "%"))
    assert arguments[-len(NIGHTLY) - 1 :] == [*COMMAND, *NIGHTLY]
    assert lines[5].startswith("*/20 * * * 7 flock")
    for word in ("CRON_TZ", "Debian", "no missed night", "jitter"):
        assert word in printed


def cron_job() -> dict[str, Any]:
    """The first CronJob."""
    [_, nightly, _] = objects(print_kubernetes(jobs(), "registry.example/closeout:1"))
    return nightly


def test_a_cron_job_never_runs_twice_at_once_and_is_not_tried_again_blindly() -> None:
    """In the job's own zone; late by as much as it makes up for."""
    found = cron_job()
    assert (found["apiVersion"], found["kind"], found["metadata"]["name"]) == (
        "batch/v1", "CronJob", "closeout-nightly",
    )  # fmt: skip
    spec = found["spec"]
    assert (spec["schedule"], spec["timeZone"]) == ("30 3 * * 1-5", "Europe/Berlin")
    assert (spec["concurrencyPolicy"], spec["startingDeadlineSeconds"]) == ("Forbid", 43_200)
    assert spec["jobTemplate"]["spec"]["backoffLimit"] == 0
    assert spec["jobTemplate"]["spec"]["template"]["spec"]["restartPolicy"] == "Never"


def test_a_pod_may_do_what_a_sweep_needs_and_no_more() -> None:
    """It writes to the ledger's volume and to nothing else; the key comes from a secret."""
    pod = cron_job()["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    [container] = pod["containers"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]},
    }  # fmt: skip
    assert container["image"] == "registry.example/closeout:1"
    assert [*container["command"], *container["args"]] == ["closeout", *NIGHTLY]
    assert container["env"] == [
        {"name": "FEATHER_API_KEY", "valueFrom": {"secretKeyRef": {"name": "closeout", "key": "api-key"}}}
    ]
    assert set(container["resources"]) == {"requests", "limits"}
    mounts = {mount["name"]: mount for mount in container["volumeMounts"]}
    assert NIGHTLY[-1].startswith(mounts["ledger"]["mountPath"] + "/")
    assert NIGHTLY[3].startswith(mounts["config"]["mountPath"] + "/")
    assert mounts["config"]["readOnly"]
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    assert set(mounts) == set(volumes)
    claim, *_ = objects(print_kubernetes(jobs(), "closeout:1"))
    assert claim["kind"] == "PersistentVolumeClaim"
    assert volumes["ledger"]["persistentVolumeClaim"] == {"claimName": claim["metadata"]["name"]}
    assert volumes["config"]["secret"] == {"secretName": "closeout-config", "defaultMode": 0o440}


def test_each_profile_has_its_own_key_in_the_secret() -> None:
    """By a name that a secret may have."""
    printed = print_kubernetes(jobs(), "closeout:1")
    *_, tests = objects(printed)
    [container] = tests["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    assert container["env"][0]["valueFrom"]["secretKeyRef"]["key"] == "api-key-team-b-7fca1d"
    assert tests["spec"]["schedule"] == "0,20,40 * * * 0"
    assert '--from-literal=api-key="…" --from-literal=api-key-team-b-7fca1d="…"' in printed


@pytest.mark.parametrize("version", ["1.27", "1.37"])  # the first that knows time zones, and the newest here
def test_kubernetes_knows_every_field(version: str) -> None:
    """Its own schema, which takes nothing unknown, takes the objects; and it does find what is written wrongly."""
    for each in objects(print_kubernetes(jobs(), "closeout:1")):
        assert validate(each, version, strict=True).startswith(version)
        with pytest.raises(ValidationError):
            validate(each | {"spec": each["spec"] | {"concurencyPolicy": "Forbid"}}, version, strict=True)


def test_what_kubernetes_would_take_for_another_time_is_refused() -> None:
    """It takes every second day or Monday, where every other cron takes every second day that is a Monday."""
    text = CONFIG.replace("*/20 * * * 7", "0 12 */2 * mon")
    with pytest.raises(ConfigurationError, match="job tests: Kubernetes takes"):
        print_kubernetes(jobs(text), "closeout:1")
    either = objects(print_kubernetes(jobs(CONFIG.replace("*/20 * * * 7", "0 12 1,15 * mon")), "closeout:1"))
    assert either[2]["spec"]["schedule"] == "0 12 1,15 * 1"
    with pytest.raises(ConfigurationError, match="--image"):
        print_kubernetes(jobs(), "two words")


@pytest.mark.parametrize(
    ("values", "expected"), [((1,), "1"), ((1, 2), "1-2"), ((0, 2, 3, 4, 9), "0,2-4,9"), (tuple(range(10)), "*")]
)
def test_values_are_short(values: tuple[int, ...], expected: str) -> None:
    """Spans and a star."""
    assert values_or_star(values, 10, "-") == expected
