"""The canary: a few sessions go first, and the rest only if they ended well."""

from collections import Counter

import anyio

from closeout.worker.domain.item import Outcome
from closeout.worker.policy.circuit_breaker import failure_cause, judge_canary
from closeout.worker.policy.verdict import GOES_ON
from closeout.worker.runtime.context import Context
from closeout.worker.support.clock import NEVER

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
            if context.settings.settle and await self._is_followed():
                await self._settled()
            if await self._is_followed():
                await self._judge()

    async def _closed(self) -> None:
        quota = self._context.quota
        while (quota.canary or quota.canaries) and not self._context.closing_done.is_set():
            await self._context.recorder.flush()
            await anyio.sleep(_LOOK)
        await self._context.recorder.flush()

    async def _is_followed(self) -> bool:
        """Whether there is anything else to close: if not, nothing depends on the canary."""
        context = self._context
        if context.closing_done.is_set():
            return False
        return not context.progress.source_done or (await context.ledger.next_due(context.run)).pending is not None

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
        context = self._context
        name = context.run.name
        why = await self._why_not()
        if why is not None:
            context.stop.halt(f"{why}{GOES_ON}: look at them with `closeout export {name}`, and mend the cause")
        elif await context.approve(await self._told()):
            await context.ledger.pass_canary(context.run)
            context.quota.canary = None
        else:
            context.stop.halt(f"the canary was not approved{GOES_ON}: `closeout resume {name}` asks again")

    async def _why_not(self) -> str | None:
        """Judged by what the ledger holds: earlier processes may have closed some, and nothing else was tried yet."""
        context = self._context
        failures, total, doubts = Counter[str](), 0, 0
        for end in await context.ledger.attempted_ends(context.run):
            cause = failure_cause(end.outcome, end.http_status, end.error)
            failures[cause or ""] += end.count
            total += end.count
            doubts += end.count if end.outcome is Outcome.IN_DOUBT else 0
        failures.pop("", None)
        if doubts:
            return f"{doubts:,} of the canary's {total:,} sessions are in doubt and could not be read"
        return judge_canary(context.brake.limit, total, failures)

    async def _told(self) -> str:
        counts = await self._context.ledger.counts(self._context.run)
        ended = [
            f"{counts.outcomes[each]:,} {each.value.replace('_', ' ')}"
            for each in Outcome
            if _worth_telling(each, counts.outcomes)
        ]
        verdicts = [f"{count:,} {status or 'not seen'}" for status, count in counts.eval_status.items()]
        text = f"canary: {', '.join(ended) or 'nothing ended'}"
        return f"{text}; evaluations: {', '.join(verdicts)}" if verdicts else text


def _worth_telling(outcome: Outcome, counts: dict[Outcome, int]) -> bool:
    return outcome is not Outcome.PENDING and counts[outcome] > 0
