"""``closeout doctor``: checks key, host, clock, ledger and settings, and says what to do."""

import json
import os
import shutil
import textwrap
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import click
from rich.console import Console
from rich.text import Text

from closeout.jobs.config.credentials import NoKeyError, find_key
from closeout.jobs.config.file import build_settings, config_path, overlay, read_config, read_toml
from closeout.jobs.config.invocation import read_access
from closeout.jobs.config.options import DEFAULT_LEDGER, HOST, PACE, working_options
from closeout.jobs.definitions.cron import next_start
from closeout.jobs.definitions.job import Job
from closeout.jobs.definitions.loader import read_jobs
from closeout.jobs.diagnosis import (
    Finding,
    Holder,
    of_budget,
    of_clock,
    of_closing,
    of_disk,
    of_host,
    of_reading,
    of_sharing,
)
from closeout.worker.api.client import Endpoint, open_api
from closeout.worker.config.access import Access
from closeout.worker.config.settings import Settings
from closeout.worker.domain.session import Listing
from closeout.worker.ledger.open import check_address, on_postgres, open_ledger, shown_address
from closeout.worker.pace.budget import budget_key
from closeout.worker.report.console import stdout_console
from closeout.worker.support.clock import format_instant, now_ms
from closeout.worker.support.errors import CloseoutError, NoLedgerError, OldLedgerError
from closeout.worker.support.terminal import printable
from closeout.worker.support.units import counted

_NOBODY = "00000000-0000-0000-0000-000000000000"  # the nil UUID, which no session has: RFC 9562, 5.9
_COLUMN = 22  # where what was found begins
_LEAST = 16
_STYLES = {"ok": "green", "warning": "yellow", "problem": "bold red"}


@click.command("doctor")
@working_options(HOST, PACE)
@click.pass_context
def command(context: click.Context, /, **_: Any) -> int:  # the flags are read by name
    """Check the key, the host, the clock, the ledger and the settings, and say what to do.

    Without --profile, each profile of closeout.toml is checked, and what has none if a job or a key is there for it.
    Sends three requests for each: who the key belongs to, one page of the listing, and a close of the session
    00000000-0000-0000-0000-000000000000. No session has that id, so nothing is closed: 404 shows that the key may
    close, 403 that it may not. Exit code 1 if there is a problem.
    """
    path = config_path(context.params["config"])
    named = context.params["profile"]
    profiles = [named] if named is not None else _to_check(path, context)
    checked = [anyio.run(partial(check, context, path, profile)) for profile in profiles]
    holders = [each.holder for each in checked if each.holder is not None]
    told = [(each.profile, [*each.findings, *_sharing(each, holders)]) for each in checked]
    if context.params["as_json"]:
        document = [{"profile": profile, "findings": [asdict(each) for each in found]} for profile, found in told]
        click.echo(json.dumps(document, ensure_ascii=False))
    else:
        for profile, found in told:
            _print(profile, found, several=len(told) > 1)
    return int(any(each.level == "problem" for _, found in told for each in found))


@dataclass(frozen=True, slots=True)
class Checked:
    """What was found of one profile; ``holder`` is None where the API could not be asked."""

    profile: str | None
    findings: list[Finding]
    holder: Holder | None = None


def _sharing(checked: Checked, holders: list[Holder]) -> list[Finding]:
    found = of_sharing(checked.holder, holders) if checked.holder is not None else None
    return [found] if found is not None else []


def _to_check(path: Path | None, context: click.Context) -> list[str | None]:
    """All profiles; what has none only where something goes without one."""
    tables = read_toml(path)[1].get("profiles", {}) if path is not None else {}
    profiles = sorted(tables) if isinstance(tables, dict) else []
    return [*([None] if not profiles or _goes_without(path, context) else []), *profiles]


def _goes_without(path: Path | None, context: click.Context) -> bool:
    try:
        if any(job.profile is None for job in read_jobs(path).values()):
            return True
        find_key(overlay(read_config(path, None), context).values)
    except NoKeyError:
        return False
    except CloseoutError:  # what is wrong is told when it is checked
        return True
    return True


async def check(context: click.Context, path: Path | None, profile: str | None) -> Checked:
    """All that can be checked of one profile, as far as it goes."""
    try:
        given = overlay(read_config(path, profile), context)
        settings = build_settings(given)
        told = f"read from {path}" if path is not None else "no closeout.toml: defaults"
        found = [Finding("settings", "ok", told), *_check_jobs(path, profile)]
        ledger = given.values.get("ledger") or DEFAULT_LEDGER
    except CloseoutError as error:
        return Checked(profile, [Finding("settings", "problem", str(error), "correct it")])
    found += await _check_ledger(str(ledger), settings)
    try:
        access = read_access(given, profile)
    except CloseoutError as error:
        lacking = Finding("key", "problem", str(error), "nothing can be asked of the API without it")
        return Checked(profile, [*found, lacking])
    asked, organisation = await _check_api(access, settings)
    return Checked(profile, found + asked, Holder(profile, budget_key(settings), organisation))


def _check_jobs(path: Path | None, profile: str | None) -> list[Finding]:
    """The jobs of a profile, and when each is next."""
    try:
        jobs = [job for job in read_jobs(path).values() if job.profile == profile]
    except CloseoutError as error:
        return [Finding("jobs", "problem", str(error), "correct it")]
    nexts = [f"{job.name} ({_next_time(job)})" for job in jobs]
    return [Finding("jobs", "ok", ", ".join(nexts))] if nexts else []


def _next_time(job: Job) -> str:
    if job.times is None:
        return "by hand"
    return f"next at {format_instant(next_start(job.times, now_ms()))}"


async def _check_api(access: Access, settings: Settings) -> tuple[list[Finding], str | None]:
    """What the API says to the key, and whose it is."""
    endpoint = Endpoint.of(settings, access, connections=1)
    async with open_api(endpoint) as api:
        answer = await api.probe()
        host = of_host(answer, settings.base_url)
        if host.level == "problem":
            return [host], None
        listed = await api.list_states(Listing(), None)
        closed = await api.close(_NOBODY, None)
    return [host, of_reading(listed), of_closing(closed), of_clock(answer)], answer.organisation


async def _check_ledger(address: str, settings: Settings) -> list[Finding]:
    place: list[Finding] = []
    try:
        if not on_postgres(check_address(address)):
            place = await anyio.to_thread.run_sync(_place, Path(address))
            if place[0].level == "problem" or not await anyio.Path(address).exists():
                return place
        told, *pace = await _look_into(address, settings)
    except CloseoutError as error:
        told, pace = _of_refusal(error, address), []
    return [told, *place[1:], *pace]


def _of_refusal(error: CloseoutError, address: str) -> Finding:
    """Why a ledger was not read: a run makes one that is missing, and brings an older one up to date."""
    if isinstance(error, NoLedgerError):
        return Finding("ledger", "ok", f"{shown_address(address)} will be made by the first run")
    if isinstance(error, OldLedgerError):
        return Finding("ledger", "ok", str(error))
    return Finding("ledger", "problem", str(error), "correct it, or name another with --ledger")


async def _look_into(address: str, settings: Settings) -> list[Finding]:
    """What it holds, and the pace that all on it share."""
    async with open_ledger(address, read_only=True) as ledger:
        runs = await ledger.runs()
        at_work = [run.name for run in runs if run.state == "running" and await ledger.busy(run)]
        async with ledger.budget(budget_key(settings)) as store:
            decided = await store.decide(lambda budget, _: (budget, None))
    told = Finding("ledger", "ok", f"{shown_address(address)} holds {counted(len(runs), 'run')}")
    return [told, of_budget(decided.budget, decided.now, settings.allowed_rate, at_work)]


def _place(path: Path) -> list[Finding]:
    """Where the ledger is or will be; blocking."""
    folder = path.resolve().parent
    if not folder.is_dir() or not os.access(folder, os.W_OK):
        todo = "make it, or name another file with --ledger"
        return [Finding("ledger", "problem", f"folder {folder} does not exist or is not writable", todo)]
    will = Finding("ledger", "ok", f"{path} will be made by the first run")
    return [will, of_disk(shutil.disk_usage(folder).free, str(folder))]


def _print(profile: str | None, found: list[Finding], *, several: bool) -> None:
    console, text = stdout_console(), Text()
    if several:
        text.append(f"{'profile ' + profile if profile else 'without a profile'}\n", style="bold")
    for each in found:
        text.append(f"  {each.level:<8}", style=_STYLES[each.level]).append(
            f" {each.what:<10} {_below_itself(each.told, console)}\n"
        )
        if each.todo:
            text.append(f"{'':<{_COLUMN}}{_below_itself(each.todo, console)}\n", style="dim")
    console.print(text, soft_wrap=True, end="")


def _below_itself(text: str, console: Console) -> str:
    """On a terminal a long text goes on below itself; in a pipe it is one line."""
    width = max(console.width - _COLUMN, _LEAST)
    lines = textwrap.wrap(printable(text), width, break_long_words=False, break_on_hyphens=False)
    return f"\n{'':<{_COLUMN}}".join(lines) if console.is_terminal else printable(text)
