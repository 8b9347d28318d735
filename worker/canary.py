"""The canary: a few sessions go first, and the rest only if they ended well."""

import anyio

from worker.brake import judge_canary
from worker.context import Context
from worker.models import NEVER, Outcome
from worker.verdict import GOES_ON

_LOOK = 0.1


class Canary:
    """Runs beside closing until the canary is through, or has stopped the run."""

    def __init__(self, context: Context) -> None:
        self._context = context

    async def run(self) -> None:
        context = self._context
        if context.quota.canary is None:
            return
        with context.stop.interruptible():
            await self._closed()
            if context.closing_done.is_set():
                return  # there was nothing else to close
            if context.settings.settle:
                await self._settled()
            await self._judge()

    async def _closed(self) -> None:
        while self._waits:
            await self._context.recorder.flush()
            await anyio.sleep(_LOOK)
        await self._context.recorder.flush()

    @property
    def _waits(self) -> bool:
        quota = self._context.quota
        return not self._context.closing_done.is_set() and bool(quota.canary or quota.canaries)

    async def _settled(self) -> None:
        context = self._context
        context.quota.settling = True
        with anyio.move_on_after(context.settings.settle_for):
            while True:
                await context.recorder.flush()
                due = (await context.ledger.next_due(context.run)).settle
                if due is None or due >= NEVER:
                    break
                await anyio.sleep(_LOOK)
        context.quota.settling = False

    async def _judge(self) -> None:
        """While the canary is out nothing else ends, so what the brake has counted is the canary."""
        context, brake = self._context, self._context.brake
        why = judge_canary(brake.limit, brake.total, brake.failures)
        if why is not None:
            context.stop.halt(f"{why}{GOES_ON}: `closeout resume {context.run.name}` goes on")
        elif await context.approve(await self._told()):
            context.quota.canary = None
        else:
            context.stop.halt(f"the canary was not approved{GOES_ON}: `closeout resume {context.run.name}` goes on")

    async def _told(self) -> str:
        counts = await self._context.ledger.counts(self._context.run)
        ended = [f"{counts.outcomes[each]:,} {each.value}" for each in Outcome if _worth_telling(each, counts.outcomes)]
        verdicts = [f"{count:,} {status or 'not seen'}" for status, count in counts.eval_status.items()]
        text = f"canary: {', '.join(ended) or 'nothing ended'}"
        return f"{text}; evaluations: {', '.join(verdicts)}" if verdicts else text


def _worth_telling(outcome: Outcome, counts: dict[Outcome, int]) -> bool:
    return outcome is not Outcome.PENDING and counts[outcome] > 0
