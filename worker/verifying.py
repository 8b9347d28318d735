"""The verifying stage: items in doubt are looked up, before anything is sent for them again."""

from worker.context import Context
from worker.lookup import Lookup, Sighting
from worker.models import Claim, Record
from worker.verdict import Halt

_BATCH = 500
_IDLE = 0.25


class Verifying:
    """Runs until closing is done. A stop leaves the rest in doubt."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._lookup = Lookup(context.api, context.gate)

    async def run(self) -> None:
        context = self._context
        with context.stop.interruptible():
            while not context.closing_done.is_set():
                doubts = await context.ledger.due_doubts(context.run, _BATCH, context.now())
                if doubts:
                    await self._look_up(doubts)
                else:
                    await context.idle(_IDLE)

    async def _look_up(self, doubts: list[Claim]) -> None:
        """Returns when the verdicts are written, so that no doubt is taken up twice."""
        await self._lookup.states(doubts, self._conclude)
        await self._context.recorder.flush()

    async def _conclude(self, sighting: Sighting) -> None:
        context, now = self._context, self._context.now()
        if sighting.unseen is not None:
            verdict = context.judge.doubt_unanswered(sighting.unseen, sighting.answer, now)
            await context.conclude(sighting.unseen, sighting.answer.exchange, verdict)
            context.progress.verified((verdict.change if isinstance(verdict, Halt) else verdict,))
            return
        asked = sighting.answer.exchange.at  # a late answer tells of then, not of now
        changes = tuple(context.judge.doubt_found(claim, session, asked) for claim, session in sighting.seen)
        await context.recorder.put(Record(sighting.answer.exchange, changes))
        context.progress.verified(changes)
        context.ended(changes)
