"""``closeout demo``: the main job from end to end, with no key and no network."""

import random
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import click

from jobs.close import close_source
from jobs.configuration import Given
from jobs.invocation import Invocation
from jobs.options import DEFAULT_LEDGER
from jobs.terminal import say
from worker.errors import ConfigurationError
from worker.logs import ConsoleStream, configure_logging
from worker.report.console import stderr_console
from worker.sandbox import Sandbox, SandboxConfig, running_sandbox
from worker.settings import Settings

_FOLDER = "closeout-demo"
_ORG_LIMIT = 300  # requests a second, of which half is used, as ever
_FAULTS = {"503": 0.02, "500": 0.01, "html_502": 0.01, "reset_before": 0.01, "reset_after": 0.01, "truncated": 0.01}


@click.command("demo")
@click.option("--folder", default=_FOLDER, show_default=True, help="Where the CSV and the ledger go.")
@click.option("--progress/--no-progress", default=None, help="Show progress.")
@click.pass_context
def command(context: click.Context, /, folder: str, **_: Any) -> int:  # the rest is read by name
    """Show the main job: a server on loopback, 1,000 sessions in a CSV, some closed, some missing, some faults.

    Nothing leaves this machine. What it wrote stays in the folder, to be looked at.
    """
    console = stderr_console()
    configure_logging(0, "console", ConsoleStream(console))
    home = Path(folder)
    try:
        home.mkdir(exist_ok=True)
    except OSError as error:
        raise ConfigurationError(f"--folder {folder}: {error.strerror or error}") from None
    for name in (DEFAULT_LEDGER, DEFAULT_LEDGER + "-wal", DEFAULT_LEDGER + "-shm"):
        (home / name).unlink(missing_ok=True)
    sandbox = Sandbox(SandboxConfig(seed=2, close_faults=_FAULTS, latency=0.03, latency_jitter=0.04))
    source = home / "sessions.csv"
    _write_sessions(sandbox, source)
    with running_sandbox(sandbox) as url:
        say(f"1,000 sessions in {source}; a stand-in for the API on {url}")
        invocation = Invocation(
            settings=Settings(base_url=url, org_limit=_ORG_LIMIT, reason="abandoned"),
            flags=Given(),
            key=sandbox.config.api_key,
            ledger=str(home / DEFAULT_LEDGER),
            progress=context.params["progress"],
            console=console,
            yes=True,
            api_gone=True,
        )
        code = anyio.run(partial(close_source, invocation, str(source), new_run=True))
    return 0 if code in (0, 1) else code


def _write_sessions(sandbox: Sandbox, path: Path) -> None:
    """950 live sessions, 40 closed before, 10 that the API does not know; and rows that people's files hold."""
    ids = sandbox.add_sessions(950) + sandbox.add_sessions(40, already_closed=True)
    ids += Sandbox(SandboxConfig(seed=99)).add_sessions(10)
    random.Random(7).shuffle(ids)  # noqa: S311  # an order, not a secret
    rows = [f"{each},customer {number}" for number, each in enumerate(ids)]
    rows[100:100] = [rows[3], "not-a-session,typo", rows[7].upper()]
    path.write_text("session_id,note\n" + "\n".join(rows) + "\n", encoding="utf-8")
