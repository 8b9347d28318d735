"""A person's word to a run while it runs: its rate, a pause, and to go on."""

from closeout.worker.config.settings import Settings
from closeout.worker.domain.run import Run
from closeout.worker.ledger.protocol import Ledger
from closeout.worker.pace.budget import Budget, Decided, Word, budget_key, ruled, unruled
from closeout.worker.support.errors import ConfigurationError
from closeout.worker.support.units import format_rate, format_share

_SHARED = "it holds for every run on this ledger that talks to {host}, until the run ends"


async def steer(ledger: Ledger, run: Run, word: Word | None = None) -> str:
    """Say it to the budget of the run; without a word, take back what was said.

    Returns what holds now. Raises ConfigurationError where nobody works on the run.
    """
    if not await ledger.busy(run):
        raise ConfigurationError(
            f"run {run.name} is not running: give --rate to `closeout resume {run.name}` instead, if it is unfinished"
        )
    settings = Settings.model_validate_json(run.options)
    async with ledger.budget(budget_key(settings)) as store:

        def decision(budget: Budget, _now: float) -> tuple[Budget, None]:
            return unruled(budget) if word is None else ruled(budget, run.name, word), None

        decided = await store.decide(decision)
    return f"run {run.name}: {_said(decided, settings)}"


def _said(decided: Decided[None], settings: Settings) -> str:
    shared = _SHARED.format(host=settings.base_url)
    if decided.budget.paused:
        return f"paused; {shared} or `closeout go` takes it back, and with it what `closeout rate` said"
    budget, parts = decided.budget, []
    if budget.set_rate is not None:
        parts.append(f"at most {format_rate(min(budget.set_rate, settings.allowed_rate))}")
    if budget.set_floor is not None:
        parts.append(f"at least {format_rate(min(budget.set_floor, settings.allowed_rate))}")
    if budget.set_tolerated is not None:
        share = format_share(budget.set_tolerated)
        parts.append(f"up to {share} of 429s change nothing" if budget.set_tolerated else "gives way to production")
    if parts:
        return f"{', '.join(parts)}; {shared}"
    return f"continues at {format_rate(settings.allowed_rate)} at most"
