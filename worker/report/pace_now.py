"""What the budget of a run says of its pace now, read from the ledger."""

from closeout.worker.config.settings import Settings
from closeout.worker.domain.run import Run
from closeout.worker.ledger.protocol import Ledger
from closeout.worker.pace.allowance import terms_of
from closeout.worker.pace.budget import budget_key
from closeout.worker.pace.case import Case, case_of


async def pace_now(ledger: Ledger, run: Run, settings: Settings) -> Case | None:
    """What keeps the rate of a run at work below what it may send; None of one that nobody works on."""
    if run.state != "running":
        return None
    async with ledger.budget(budget_key(settings)) as store:
        decided = await store.decide(lambda budget, _: (budget, None))
    return case_of(decided.budget, terms_of(settings), decided.now)
