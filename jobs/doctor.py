"""``closeout doctor``: checks key, host, clock, ledger and settings, and says what to do."""

import json
import os
import shutil
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import click
from rich.text import Text

from jobs.configuration import Given, build_settings, config_path, overlay, read_config, read_toml
from jobs.keys import find_key
from jobs.options import DEFAULT_LEDGER, HOST, PACE, working_options
from worker.api.client import Endpoint, open_api
from worker.diagnosis import Finding, of_budget, of_clock, of_closing, of_disk, of_host, of_reading
from worker.errors import CloseoutError
from worker.execution import budget_key
from worker.ledger.opening import check_address, on_postgres, open_ledger, shown_address
from worker.models import Listing
from worker.report.console import stdout_console
from worker.report.wording import printable
from worker.settings import Settings

_NOBODY = "00000000-0000-0000-0000-000000000000"  # the nil UUID, which no session has: RFC 9562, 5.9
_STYLES = {"ok": "green", "warning": "yellow", "problem": "bold red"}


@click.command("doctor")
@working_options(HOST, PACE)
@click.pass_context
def command(context: click.Context, /, **_: Any) -> int:  # the flags are read by name
    """Check the key, the host, the clock, the ledger and the settings, and say what to do.

    Without --profile, each profile of closeout.toml is checked too. Sends four requests for each: who the key belongs
    to, one page of the listing, and the close of a session that cannot exist, which shows whether the key may close.
    Exit code 1 if there is a problem.
    """
    path = config_path(context.params["config"])
    named = context.params["profile"]
    profiles = [named] if named is not None else [None, *_profiles(path)]
    checked = [(profile, anyio.run(partial(check, context, path, profile))) for profile in profiles]
    if context.params["as_json"]:
        told = [{"profile": profile, "findings": [asdict(each) for each in found]} for profile, found in checked]
        click.echo(json.dumps(told, ensure_ascii=False))
    else:
        for profile, found in checked:
            _print(profile, found, several=len(checked) > 1)
    return int(any(each.level == "problem" for _, found in checked for each in found))


def _profiles(path: Path | None) -> list[str]:
    tables = read_toml(path)[1].get("profiles", {}) if path is not None else {}
    return sorted(tables) if isinstance(tables, dict) else []


async def check(context: click.Context, path: Path | None, profile: str | None) -> list[Finding]:
    """All that can be checked of one profile, as far as it goes."""
    found: list[Finding] = []
    try:
        given = overlay(read_config(path, profile), context)
        settings = build_settings(given)
        found.append(
            Finding("settings", "ok", f"read from {path}" if path is not None else "no closeout.toml: defaults")
        )
        ledger = given.values.get("ledger") or DEFAULT_LEDGER
    except CloseoutError as error:
        return [*found, Finding("settings", "problem", str(error), "correct it")]
    found += await _check_ledger(str(ledger), settings)
    return found + await _check_api(given, settings, profile)


async def _check_api(given: Given, settings: Settings, profile: str | None) -> list[Finding]:
    try:
        key = find_key(given.values.get("api_key_file"), profile)
    except CloseoutError as error:
        return [Finding("key", "problem", str(error), "nothing can be asked of the API without it")]
    endpoint = Endpoint(settings.base_url, settings.api, key, settings.timeout, connections=1)
    async with open_api(endpoint) as api:
        answer = await api.probe()
        host = of_host(answer, settings.base_url)
        if host.level == "problem":
            return [host]
        listed = await api.list_states(Listing(), None)
        closed = await api.close(_NOBODY, None)
    return [host, of_reading(listed), of_closing(closed), of_clock(answer)]


async def _check_ledger(address: str, settings: Settings) -> list[Finding]:
    try:
        if on_postgres(check_address(address)):
            return await _look_into(address, settings)
    except CloseoutError as error:
        return [Finding("ledger", "problem", str(error), "correct it, or name another with --ledger")]
    place = await anyio.to_thread.run_sync(_place, Path(address))
    if place[0].level == "problem" or not await anyio.Path(address).exists():
        return place
    try:
        told, pace = await _look_into(address, settings)
    except CloseoutError as error:
        return [Finding("ledger", "problem", str(error), "name another file with --ledger"), *place[1:]]
    return [told, *place[1:], pace]


async def _look_into(address: str, settings: Settings) -> list[Finding]:
    """What it holds, and the pace that all on it share."""
    async with open_ledger(address, create=on_postgres(address)) as ledger:
        runs = await ledger.runs()
        at_work = [run.name for run in runs if run.state == "running" and await ledger.busy(run)]
        async with ledger.budget(budget_key(settings)) as store:
            decided = await store.decide(lambda budget, _: (budget, None))
    told = Finding("ledger", "ok", f"{shown_address(address)} holds {len(runs):,} runs")
    return [told, of_budget(decided.budget, decided.now, settings.allowed_rate, at_work)]


def _place(path: Path) -> list[Finding]:
    """Where the ledger is or will be; blocking."""
    folder = path.resolve().parent
    if not folder.is_dir() or not os.access(folder, os.W_OK):
        todo = "make it, or name another file with --ledger"
        return [Finding("ledger", "problem", f"there is no folder {folder} that can be written to", todo)]
    will = Finding("ledger", "ok", f"{path} will be made by the first run")
    return [will, of_disk(shutil.disk_usage(folder).free, str(folder))]


def _print(profile: str | None, found: list[Finding], *, several: bool) -> None:
    text = Text()
    if several:
        text.append(f"{'profile ' + profile if profile else 'without a profile'}\n", style="bold")
    for each in found:
        text.append(f"  {each.level:<8}", style=_STYLES[each.level]).append(
            f" {each.what:<10} {printable(each.told)}\n"
        )
        if each.todo:
            text.append(f"{'':<22}{printable(each.todo)}\n", style="dim")
    stdout_console().print(text, soft_wrap=True, end="")
