"""The container file and the examples of deploy/: what they call exists, and what Kubernetes takes them for."""

import os
import re
import shlex
from pathlib import Path
from typing import Any
from unittest import mock

import click
import pytest
import yaml  # type: ignore[import-untyped]  # its types are a package of their own; here it reads a few documents

from closeout.jobs.cli import cli
from closeout.jobs.manifests.common import DRAIN_SECONDS
from tests.services import missing

ROOT = Path(__file__).parents[2]
COMPOSE = yaml.safe_load((ROOT / "deploy" / "compose.yaml").read_text(encoding="utf-8"))
OBJECTS = list(yaml.safe_load_all((ROOT / "deploy" / "kubernetes.yaml").read_text(encoding="utf-8")))
CONTAINERFILE = (ROOT / "Containerfile").read_text(encoding="utf-8")


def instructions() -> list[tuple[str, str]]:
    """Those of the container file, each with what it says on one line."""
    text = re.sub(r"^#.*\n", "", CONTAINERFILE, flags=re.MULTILINE)
    lines = re.sub(r"\\\n\s*", "", text).splitlines()
    return [(name, rest) for name, _, rest in (line.partition(" ") for line in lines if line)]


def last_stage() -> dict[str, str]:
    """The last instruction of each name in the stage that becomes the image."""
    found = instructions()
    begins = max(number for number, (name, _) in enumerate(found) if name == "FROM")
    return dict(found[begins:])


def understood(words: list[str], environment: dict[str, str]) -> None:
    """Fail unless the command line takes these words, and has a flag for each variable that is named like one."""
    command = cli.get_command(click.Context(cli), words[0])
    assert command is not None
    with mock.patch.dict(os.environ, environment), command.make_context(words[0], list(words[1:])):
        pass
    variables = {name for one in command.params for name in _names(one.envvar)}
    ours = {name for name in environment if name.startswith("CLOSEOUT_")} - {"CLOSEOUT_API_KEY"}
    assert ours <= variables


def _names(variables: Any) -> list[str]:
    return [variables] if isinstance(variables, str) else list(variables or ())


def container() -> dict[str, Any]:
    """The container of the Deployment."""
    (deployment,) = (one for one in OBJECTS if one["kind"] == "Deployment")
    (found,) = deployment["spec"]["template"]["spec"]["containers"]
    assert isinstance(found, dict)
    return found


def test_the_image_runs_closeout_as_nobody_in_particular() -> None:
    """On a base that is pinned, from packages that are pinned by hash; TERM drains."""
    said = last_stage()
    assert re.fullmatch(r"\d+:\d+", said["USER"])
    assert said["ENTRYPOINT"] == '["closeout"]'
    assert said["STOPSIGNAL"] == "SIGTERM"
    assert ("ARG", "PYTHON=3.11.14-slim-bookworm") in instructions()
    assert {rest.split()[0] for name, rest in instructions() if name == "FROM"} == {
        "docker.io/library/python:${PYTHON}"
    }
    installs = [rest for name, rest in instructions() if name == "RUN" and "pip install" in rest]
    assert all("--require-hashes" in one or "--no-deps" in one for one in installs)


def test_the_build_copies_what_is_there_and_nothing_else_reaches_it() -> None:
    """A ledger or a key that lies in the folder stays out of the image."""
    copied = [word for name, rest in instructions() if name == "COPY" and "--from" not in rest
              for word in shlex.split(rest)[:-1]]  # fmt: skip
    ignore = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert all((ROOT / one).exists() for one in copied)
    assert next(line for line in ignore if not line.startswith("#")) == "*"
    assert {line[1:] for line in ignore if line.startswith("!")} == set(copied)


def test_the_packages_of_the_image_are_those_of_its_extra() -> None:
    """Each pinned with its hashes, in the versions that are tested."""
    pin = re.compile(r"^([a-z0-9._-]+)==(\S+)", re.MULTILINE)
    image = dict(pin.findall((ROOT / "requirements-image.txt").read_text(encoding="utf-8")))
    tested = dict(pin.findall((ROOT / "requirements-dev.txt").read_text(encoding="utf-8")))
    assert image.items() <= tested.items()
    assert {"aio-pika", "aiobotocore", "prometheus-client", "psycopg", "pyarrow", "redis"} <= set(image)
    assert not {"pytest", "keyring", "moto"} & set(image)


def test_compose_calls_what_there_is() -> None:
    """With images that are pinned, secrets from the environment alone, and time to drain."""
    services = COMPOSE["services"]
    work = services["work"]
    understood(work["command"], work["environment"])
    assert (ROOT / "deploy" / work["build"]["context"] / work["build"]["dockerfile"]).is_file()
    assert all(re.fullmatch(r"\S+:[\w.-]+", one["image"]) for one in services.values())
    assert all(one["image"].split(":")[1] != "latest" for name, one in services.items() if name != "work")
    secrets = [value for one in services.values() for name, value in one.get("environment", {}).items()
               if name.endswith(("KEY", "PASSWORD"))]  # fmt: skip
    assert len(secrets) == 3
    assert all(re.fullmatch(r"\$\{[A-Z_]+:\?[^}]+\}", one) for one in secrets)
    assert work["stop_grace_period"] == f"{DRAIN_SECONDS // 60}m"
    assert work["read_only"]
    assert work["cap_drop"] == ["ALL"]
    assert {mount.split(":")[0] for one in services.values() for mount in one["volumes"]} == set(COMPOSE["volumes"])


def test_the_pods_call_what_there_is() -> None:
    """As the user of the image; the key and all that holds a password come from a secret."""
    found = container()
    environment = {one["name"]: one for one in found["env"]}
    understood(found["args"], dict.fromkeys(environment, "something"))
    secret = {name for name, one in environment.items() if "valueFrom" in one}
    assert secret == {"FEATHER_API_KEY", "CLOSEOUT_QUEUE_URL", "CLOSEOUT_LEDGER"}
    assert found["securityContext"]["readOnlyRootFilesystem"]
    (port,) = found["ports"]
    assert found["args"][found["args"].index("--listen") + 1].endswith(f":{port['containerPort']}")
    assert found["livenessProbe"]["httpGet"]["path"] == found["startupProbe"]["httpGet"]["path"] == "/healthz"
    assert found["readinessProbe"]["httpGet"]["path"] == "/readyz"
    (deployment,) = (one for one in OBJECTS if one["kind"] == "Deployment")
    pod = deployment["spec"]["template"]["spec"]
    assert pod["terminationGracePeriodSeconds"] >= DRAIN_SECONDS
    assert f"{pod['securityContext']['runAsUser']}:{pod['securityContext']['runAsGroup']}" == last_stage()["USER"]
    (budget,) = (one for one in OBJECTS if one["kind"] == "PodDisruptionBudget")
    assert budget["spec"]["selector"] == deployment["spec"]["selector"]
    assert (
        deployment["spec"]["selector"]["matchLabels"].items()
        <= deployment["spec"]["template"]["metadata"]["labels"].items()
    )


@pytest.mark.parametrize("number", range(len(OBJECTS)), ids=[one["kind"] for one in OBJECTS])
def test_kubernetes_knows_each_object(number: int) -> None:
    """By its own schema, with no field that it would ignore."""
    try:
        import kubernetes_validate  # type: ignore[import-untyped]  # noqa: PLC0415  # slow to load; it has no types
    except ImportError:
        missing("kubernetes-validate")
    kubernetes_validate.validate(OBJECTS[number], "1.30", strict=True)
