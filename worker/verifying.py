"""The verifying stage: items in doubt are looked up, before anything is sent for them again."""

from dataclasses import replace

from worker.context import Context
from worker.lookup import Lookup, Sighting
from worker.models import NEVER, Change, Claim, Outcome, Record
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
            if isinstance(verdict, Change) and self._looks_on(verdict):
                again = replace(verdict, due_at=now + context.judge.limits.give_up_after, looks=0)
                await context.recorder.put(Record(sighting.answer.exchange, (again,)))
                context.ended((verdict,))
            else:
                await context.conclude(sighting.unseen, sighting.answer.exchange, verdict)
            context.progress.verified((verdict.change if isinstance(verdict, Halt) else verdict,))
            return
        asked = sighting.answer.exchange.at  # a late answer tells of then, not of now
        changes = tuple(context.judge.doubt_found(claim, session, asked) for claim, session in sighting.seen)
        await context.recorder.put(Record(sighting.answer.exchange, changes))
        context.progress.verified(changes)
        context.ended(changes)

    def _looks_on(self, change: Change) -> bool:
        """Whether a doubt that was given up is taken up again: nobody resumes work that never ends."""
        endless = self._context.alarms is not None and not self._context.progress.source_done
        return endless and change.outcome is Outcome.IN_DOUBT and (change.due_at or 0) >= NEVER
