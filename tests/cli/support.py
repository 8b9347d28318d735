"""What the command line's tests share: a command that does nothing but read what it was asked."""

import json
from pathlib import Path
from typing import Any

import click
from click.testing import CliRunner, Result

from closeout.jobs.config.invocation import Invocation, read_invocation
from closeout.jobs.config.options import BRAKE, CLOSE, HOST, PACE, PORTION, SETTLE, working_options

KEY = "key-0f9e8d7c6b5a"


@click.command("probe")
@working_options(CLOSE, HOST, PORTION, BRAKE, PACE, SETTLE)
@click.pass_context
def probe(context: click.Context, /, **_: Any) -> None:
    """Say as JSON what was asked."""
    invocation: Invocation = read_invocation(context)
    asked = invocation.settings.model_dump()
    asked |= {
        "key": invocation.access.key.value,
        "ledger": str(invocation.ledger),
        "flags": sorted(invocation.flags.values),
    }
    click.echo(json.dumps(asked))


def asked(*arguments: str, env: dict[str, str] | None = None) -> Result:
    """The result of the probe, with a key in the environment."""
    return CliRunner().invoke(probe, arguments, env={"CLOSEOUT_API_KEY": KEY, **(env or {})})


def settings(*arguments: str, env: dict[str, str] | None = None) -> dict[str, Any]:
    """What the probe understood."""
    result = asked(*arguments, env=env)
    assert result.exception is None, result.exception
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def refusal(*arguments: str, env: dict[str, str] | None = None) -> BaseException:
    """The error that the probe ended with."""
    result = asked(*arguments, env=env)
    assert result.exception is not None
    return result.exception


def write_config(text: str, folder: Path | None = None) -> Path:
    """A configuration file in the working folder, or in another one."""
    path = (folder or Path()) / "closeout.toml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path
