"""``closeout fleet``: the processes at work on the ledger, and the budget that they share."""

import json
from dataclasses import asdict, dataclass
from functools import partial
from operator import attrgetter
from typing import Any

import anyio
import click
from rich.table import Table

from closeout.jobs.config.invocation import read_ledger
from closeout.jobs.config.options import JSON, LEDGER
from closeout.worker.config.settings import Settings
from closeout.worker.ledger.membership import WorkerRow
from closeout.worker.ledger.open import open_ledger
from closeout.worker.ledger.protocol import Ledger
from closeout.worker.pace.allowance import terms_of
from closeout.worker.pace.budget import Budget, BudgetKey, allowed, budget_key
from closeout.worker.pace.law import Terms
from closeout.worker.report.console import stdout_console
from closeout.worker.support.units import format_duration, format_rate


@dataclass(frozen=True, slots=True)
class BudgetRow:
    """What processes on one host and organisation may send now; ``set_by`` is the run that a person has spoken to."""

    host: str
    organisation: str
    allowed: float
    sent: float | None
    waiting: str | None
    set_by: str | None


@click.command("fleet")
@LEDGER
@JSON
@click.pass_context
def command(context: click.Context, /, *, as_json: bool, **_: Any) -> int:  # the rest is read by name
    """List the worker processes on the ledger (host, run, last heartbeat) and the budget they share.

    On a ledger that is a file these are the runs at work on this machine.
    """
    return anyio.run(partial(show_fleet, read_ledger(context), as_json=as_json))


async def show_fleet(address: str, *, as_json: bool) -> int:
    """Print the workers and the budgets, as tables or as JSON."""
    async with open_ledger(address) as ledger:
        workers = await ledger.workers()
        budgets = await _budgets(ledger, workers)
    if as_json:
        told = {"workers": [asdict(each) for each in workers], "budgets": [asdict(each) for each in budgets]}
        click.echo(json.dumps(told, ensure_ascii=False))
        return 0
    console = stdout_console()
    if not workers:
        console.print("no worker is running on this ledger")
        return 0
    console.print(workers_table(workers))
    console.print(budgets_table(budgets))
    return 0


async def _budgets(ledger: Ledger, workers: list[WorkerRow]) -> list[BudgetRow]:
    """One for each that these workers draw from."""
    asked: dict[BudgetKey, Terms] = {}
    sent: dict[BudgetKey, list[float | None]] = {}
    for worker in workers:
        settings = Settings.model_validate_json((await ledger.find_run(worker.run)).options)
        key = budget_key(settings)
        asked[key] = max(asked.get(key, terms_of(settings)), terms_of(settings), key=attrgetter("ceiling"))
        sent.setdefault(key, []).append(worker.rate)
    return [await _budget(ledger, key, terms, sent[key]) for key, terms in asked.items()]


async def _budget(ledger: Ledger, key: BudgetKey, terms: Terms, sent: list[float | None]) -> BudgetRow:
    async with ledger.budget(key) as store:
        decided = await store.decide(lambda budget, _: (budget, None))
    rates = [rate for rate in sent if rate is not None]
    budget = decided.budget
    total = sum(rates) if rates else None
    rate = allowed(budget, terms, decided.now)
    return BudgetRow(key.host, key.organisation, rate, total, _waiting(budget, decided.now), budget.set_by)


def _waiting(budget: Budget, now: float) -> str | None:
    """What holds all of them up."""
    if budget.paused:
        return "paused"
    if budget.down_since is not None:
        return "outage"
    return "throttled" if budget.held_until > now else None


def workers_table(workers: list[WorkerRow]) -> Table:
    """One line a worker."""
    table = _table("run", "host", ">pid", "does", ">claims", ">rate", ">at work", ">heard of", ">lease left")
    for each in workers:
        ages = [_ago(each.age), _ago(each.heartbeat_age, " ago"), _ago(each.lease_left)]
        rate = "-" if each.rate is None else format_rate(each.rate)
        does = "leads" if each.leads else "closes"
        table.add_row(each.run, each.host or "-", _number(each.pid), does, _number(each.claims), rate, *ages)
    return table


def budgets_table(budgets: list[BudgetRow]) -> Table:
    """One line for each host and organisation."""
    table = _table("budget", ">allowed", ">sent", "waiting for", "steered by")
    for each in budgets:
        sent = "-" if each.sent is None else format_rate(each.sent)
        name = f"{each.host} {each.organisation}".strip()
        table.add_row(name, format_rate(each.allowed), sent, each.waiting or "-", each.set_by or "-")
    return table


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for column in columns:
        table.add_column(column.removeprefix(">"), justify="right" if column.startswith(">") else "left", no_wrap=True)
    return table


def _number(value: int | None) -> str:
    return "-" if value is None else str(value)


def _ago(seconds: float | None, more: str = "") -> str:
    if seconds is None:
        return "-"
    return "over" if seconds < 0 else format_duration(round(seconds, 1)) + more
