"""``closeout verify RUN``: reads closed sessions again and compares them with the ledger."""

import json
import random
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import anyio
import click

from closeout.jobs.config.invocation import Invocation, read_invocation_for
from closeout.jobs.config.options import PACE, working_options
from closeout.jobs.runner.terminal import say
from closeout.worker.api.client import Api, Endpoint, open_api
from closeout.worker.config.settings import Settings
from closeout.worker.domain.item import ClosedItem, Outcome
from closeout.worker.domain.run import Run
from closeout.worker.engine.audit import CONFIDENCE, Findings, Verification, batches, upper_bound
from closeout.worker.lookup.session_lookup import Lookup
from closeout.worker.pace.allowance import Ceiling, terms_of
from closeout.worker.pace.budget import BudgetStore, budget_key
from closeout.worker.pace.limiter import Pace
from closeout.worker.runtime.gate import Gate, Patience
from closeout.worker.runtime.progress import Progress
from closeout.worker.runtime.stop import Stop, watch_signals
from closeout.worker.support.clock import now_ms
from closeout.worker.support.errors import CloseoutError, HaltError, primary_error
from closeout.worker.support.terminal import printable
from closeout.worker.support.units import format_rate

_SAMPLE = 300


@click.command("verify")
@click.argument("run")
@click.option("--sample", metavar="N", type=click.IntRange(1), help=f"Check N at random.  [default: {_SAMPLE}]")
@click.option("--all", "everything", is_flag=True, help="Check each closed session of the run.")
@working_options(PACE)
@click.pass_context
def command(  # the rest is read by name
    context: click.Context, /, run: str, sample: int | None, *, everything: bool, **_: Any
) -> int:
    """Read closed sessions of RUN again: are they still closed, with the same verdict?

    Prints each one that does not agree with the ledger, and for a sample the share of all that disagrees at most, with
    95% confidence. Exit code 1 if anything disagrees, 3 if sessions could not be read. Nothing is changed, neither in
    the ledger nor at the API.
    """
    if everything and sample is not None:
        raise click.UsageError("--sample and --all exclude each other: a sample is a part of all")
    return anyio.run(
        partial(verify_run, read_invocation_for(context, run), run, None if everything else sample or _SAMPLE)
    )


async def verify_run(invocation: Invocation, name: str, sample: int | None) -> int:
    """Compare a sample of the run, or with None all of it; returns the exit code."""
    async with invocation.open_ledger() as ledger:
        run = await ledger.find_run(name)
        own = invocation.for_run(run)
        settings, stop = own.settings, Stop()
        outcomes = (await ledger.counts(run)).outcomes
        report = Report(run, outcomes[Outcome.CLOSED] + outcomes[Outcome.ALREADY_CLOSED], as_json=own.as_json)
        report.begin(sample, settings)
        endpoint = Endpoint.of(settings, own.access)
        async with ledger.budget(budget_key(settings)) as budget, open_api(endpoint) as api:
            verification = Verification(_lookup(settings, budget, api, stop), report.tell, stop)
            try:
                await _check(verification, batches(ledger, run, sample), stop)
            except* CloseoutError as errors:
                raise primary_error(errors) from None
    report.end(verification.findings, stop)
    return exit_code(verification.findings, stop)


def _lookup(settings: Settings, budget: BudgetStore, api: Api, stop: Stop) -> Lookup:
    """A look-up with a pace of its own, on the budget that runs share: behind those that close."""
    pace = Pace(budget, Ceiling(settings, now_ms), random.SystemRandom(), terms=terms_of(settings))
    gate = Gate(pace, Patience(settings.concurrency, int(settings.give_up_after * 1000)), stop, Progress(), now_ms)

    async def probe() -> bool:
        return gate.probed(await api.probe())

    pace.probe = probe
    return Lookup(api, gate, "settle")


async def _check(verification: Verification, found: AsyncIterator[list[ClosedItem]], stop: Stop) -> None:
    async with anyio.create_task_group() as beside:
        with anyio.CancelScope() as give_up:
            beside.start_soon(watch_signals, stop, give_up)
            with stop.interruptible():
                async for items in found:
                    await verification.check(items)
        await verification.give_back()
        beside.cancel_scope.cancel()


@dataclass
class Report:
    """What a person or a script is told: on standard output the disagreements and, as JSON, everything at the end."""

    run: Run
    of: int
    as_json: bool
    told: list[dict[str, str]] = field(default_factory=list)

    def begin(self, sample: int | None, settings: Settings) -> None:
        """Say what will be checked, and where."""
        count = self.of if sample is None else min(sample, self.of)
        say(
            f"run {self.run.name}: checking {count:,} of {self.of:,} closed sessions on {settings.base_url}, "
            f"at {format_rate(settings.allowed_rate)} at most"
        )

    def tell(self, session_id: str, wrong: str) -> None:
        """One session that does not agree."""
        if self.as_json:
            self.told.append({"session_id": session_id, "disagreement": wrong})
        else:
            click.echo(f"{session_id}  {printable(wrong)}")

    def end(self, findings: Findings, stop: Stop) -> None:
        """What came of it."""
        wrong, bound = findings.wrong.total(), upper_bound(findings.wrong.total(), findings.checked, self.of)
        if self.as_json:
            document = {
                "run": self.run.name,
                "closed": self.of,
                "checked": findings.checked,
                "unread": findings.unread,
                "disagree": dict(findings.wrong),
                "share_at_most": round(bound, 6),
                "why": stop.why,
                "disagreements": self.told,
                "exit_code": exit_code(findings, stop),
            }
            click.echo(json.dumps(document, ensure_ascii=False))
            return
        kinds = ", ".join(f"{count:,} {kind}" for kind, count in findings.wrong.most_common())
        click.echo(
            f"{wrong:,} of {findings.checked:,} checked disagree with the ledger" + (f": {kinds}" if kinds else "")
        )
        if findings.checked < self.of:
            click.echo(f"of all {self.of:,}, at most {bound:.2%} disagree, with {CONFIDENCE:.0%} confidence")
        if findings.unread:
            click.echo(f"{findings.unread:,} could not be read: try again")
        if stop.why is not None:
            say(stop.why)


def exit_code(findings: Findings, stop: Stop) -> int:
    """1 where anything disagrees; else 3 where not all was checked that was to be, or what the stop says."""
    if findings.wrong:
        return 1
    return stop.exit_code or (HaltError.exit_code if findings.unread else 0)
