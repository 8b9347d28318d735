"""How a run stands: what the ledger says of it, and whether anybody is at it."""

from dataclasses import replace

from closeout.worker.clock import now_ms
from closeout.worker.ledger.protocol import Ledger
from closeout.worker.models import Outcome, Run, as_found, worked_until


async def as_it_is(ledger: Ledger, run: Run) -> Run:
    """A run that its process left as running, and that nobody holds, was interrupted."""
    return await standing(ledger, run, busy=run.state == "running" and await ledger.busy(run))


async def standing(ledger: Ledger, run: Run, *, busy: bool) -> Run:
    """The same where it is known whether a process works on it."""
    if run.state == "running" and busy:
        return worked_until(run, now_ms())
    if run.was is not None and (await ledger.counts(run)).outcomes[Outcome.IN_DOUBT]:
        run = replace(run, was=None)  # what was sent, and is in doubt, has come of it
    return as_found(worked_until(run, await ledger.last_exchange(run)))
