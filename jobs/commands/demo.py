"""``closeout demo``: the main job from end to end, with no key and no network."""

import random
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import anyio
import click

from closeout.jobs.config.file import RawSettings
from closeout.jobs.config.invocation import Invocation
from closeout.jobs.config.options import DEFAULT_LEDGER
from closeout.jobs.runner.source_runs import close_source
from closeout.jobs.runner.terminal import say
from closeout.worker.config.access import Access, ApiKey
from closeout.worker.config.settings import Settings
from closeout.worker.export.placement import Wanted, write_own
from closeout.worker.ledger.peek import runs_alone
from closeout.worker.ledger.sqlite.locks import is_locked
from closeout.worker.report.console import stderr_console
from closeout.worker.sandbox import Sandbox, SandboxConfig, running_sandbox
from closeout.worker.support.errors import ConfigurationError
from closeout.worker.support.log import ConsoleStream, configure_logging

_FOLDER = "closeout-demo"
_REASON = "abandoned"
_ORG_LIMIT = 300  # requests a second, of which half is used, as ever
_FAULTS = {"503": 0.02, "500": 0.01, "html_502": 0.01, "reset_before": 0.01, "reset_after": 0.01, "truncated": 0.01}


@click.command("demo")
@click.option("--folder", default=_FOLDER, show_default=True, help="Where the CSV and the ledger go.")
@click.option("--progress/--no-progress", default=None, help="Show progress.")
@click.pass_context
def command(context: click.Context, /, folder: str, **_: Any) -> int:  # the rest is read by name
    """Show the main job: a server on loopback, 1,000 sessions in a CSV, some closed, some missing, some faults.

    Nothing leaves this machine. What it wrote stays in the folder, to be looked at; the next demo there replaces that,
    and nothing else.
    """
    console = stderr_console()
    configure_logging(0, "console", ConsoleStream(console))
    home = Path(folder)
    try:
        home.mkdir(exist_ok=True)
    except OSError as error:
        raise ConfigurationError(f"--folder {folder}: {error.strerror or error}") from None
    sandbox = Sandbox(SandboxConfig(seed=2, close_faults=_FAULTS, latency=0.03, latency_jitter=0.04))
    source = home / "sessions.csv"
    sessions = _sessions(sandbox)
    _make_room(home, source, sessions)
    anyio.run(write_own, source, sessions.encode(), Wanted(str(source), "--folder"))
    with running_sandbox(sandbox) as url:
        say(f"1,000 sessions in {source}; a stand-in for the API on {url}")
        invocation = Invocation(
            settings=Settings(base_url=url, org_limit=_ORG_LIMIT, reason=_REASON),
            flags=RawSettings(),
            access=Access(ApiKey(sandbox.config.api_key, "the demo")),
            ledger=str(home / DEFAULT_LEDGER),
            progress=context.params["progress"],
            console=console,
            yes=True,
            api_gone=True,
        )
        code = anyio.run(partial(close_source, invocation, str(source), new_run=True))
    return 0 if code in (0, 1) else code


def _make_room(home: Path, source: Path, sessions: str) -> None:
    """Take away the ledger that an earlier demo left there. Raises ConfigurationError where anything else is there."""
    ledger = home / DEFAULT_LEDGER
    made = [ledger, *(ledger.with_name(ledger.name + ending) for ending in ("-wal", "-shm"))]
    there = [path for path in [source, *made] if path.exists() or path.is_symlink()]
    foreign = next((path for path in there if path.is_symlink() or not path.is_file()), None)
    if foreign is None and source in there and source.read_bytes() != sessions.encode():
        foreign = source
    if foreign is None and set(there) & set(made) and not _is_of_demos(ledger, source):
        foreign = ledger
    if foreign is not None:
        raise ConfigurationError(
            f"--folder {home}: {foreign} was not made by a demo, or is in use, and stays: name another folder"
        )
    for path in made:
        path.unlink(missing_ok=True)


def _is_of_demos(ledger: Path, source: Path) -> bool:
    """Whether demos alone have worked on this ledger, and none does now."""
    runs = runs_alone(ledger) if ledger.exists() else None
    return runs is not None and all(_is_of_demo(*run, source) for run in runs) and not is_locked(ledger)


def _is_of_demo(location: str | None, options: str, source: Path) -> bool:
    try:
        settings = Settings.model_validate_json(options)
    except ValueError:
        return False
    own = (settings.org_limit, settings.reason) == (_ORG_LIMIT, _REASON)
    here = location is not None and Path(location).resolve() == source.resolve()
    return own and here and urlsplit(settings.base_url).hostname == "127.0.0.1"


def _sessions(sandbox: Sandbox) -> str:
    """The CSV: 950 live sessions, 40 closed before, 10 that the API does not know; and rows of people's files."""
    ids = sandbox.add_sessions(950) + sandbox.add_sessions(40, already_closed=True)
    ids += Sandbox(SandboxConfig(seed=99)).add_sessions(10)
    random.Random(7).shuffle(ids)  # noqa: S311  # an order, not a secret
    rows = [f"{each},customer {number}" for number, each in enumerate(ids)]
    rows[100:100] = [rows[3], "not-a-session,typo", rows[7].upper()]
    return "session_id,note\n" + "\n".join(rows) + "\n"
