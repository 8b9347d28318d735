"""The verifying stage: items in doubt are looked up, before anything is sent for them again.

So are sessions that another run of the ledger has closed, before anything is sent for them here. A page of a listing is
believed that a session is closed; that it is live, a read tells.
"""

from collections.abc import Awaitable, Callable
from dataclasses import replace

import anyio

from closeout.worker.domain.exchange import Answer
from closeout.worker.domain.item import Change, Claim, Outcome, Record
from closeout.worker.lookup.session_lookup import Lookup, LookupResult
from closeout.worker.policy.verdict import Halt
from closeout.worker.runtime.context import Context
from closeout.worker.support.clock import NEVER, Millis

_BATCH = 500
_KNOWN = 20_000  # most are closed still, and a page tells of the more of them, the more are looked for
_IDLE = 0.25


class Reconcile:
    """Runs until closing is done. A stop leaves the rest in doubt."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._judged_by_looks = context.settings.guarded or context.settings.rule is not None

    async def run(self) -> None:
        """Both kinds at once, so that a doubt does not wait for all that is known."""
        context = self._context
        with context.stop.interruptible():
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._keep_looking, self._doubts)
                tasks.start_soon(self._keep_looking, self._known)

    async def _doubts(self) -> list[Claim]:
        context = self._context
        return await context.ledger.due_doubts(context.run, _BATCH, context.now())

    async def _known(self) -> list[Claim]:
        return await self._context.ledger.due_known(self._context.run, _KNOWN)

    async def _keep_looking(self, due: Callable[[], Awaitable[list[Claim]]]) -> None:
        """Each round ends when its verdicts are written, so that no item is taken up twice."""
        context = self._context
        lookup = Lookup(context.api, context.gate)
        while not context.closing_done.is_set():
            claims = await due()
            if claims:
                await lookup.states(claims, self._conclude)
                await context.recorder.flush()
            else:
                await context.idle(_IDLE)

    async def _conclude(self, sighting: LookupResult) -> None:
        context = self._context
        if sighting.unseen is not None:
            await self._unseen(sighting.unseen, sighting.answer)
            return
        asked = sighting.answer.exchange.at  # a late answer tells of then, not of now
        found = [(claim, context.judge.doubt_found(claim, session, asked)) for claim, session in sighting.seen]
        changes = tuple(self._as_looked_at(claim, change, asked) for claim, change in found)
        await context.recorder.put(Record(sighting.answer.exchange, changes))
        tried = tuple(change for claim, change in found if claim.first_attempt_at is not None)
        context.progress.verified(tried)
        context.ended(tried)
        context.stir()

    async def _unseen(self, claim: Claim, answer: Answer) -> None:
        """What was never tried here does not count as a failure, nor as a doubt of this run."""
        context, now = self._context, self._context.now()
        verdict = context.judge.doubt_unanswered(claim, answer, now)
        if isinstance(verdict, Halt):
            await context.conclude(claim, answer.exchange, verdict)
            verdict = verdict.change
        else:
            again = replace(verdict, due_at=now + context.judge.limits.give_up_after, looks=0)
            written = again if self._looks_on(verdict) else verdict
            await context.recorder.put(Record(answer.exchange, (written,)))
            if claim.first_attempt_at is not None:
                context.ended((verdict,))
        if claim.first_attempt_at is not None:
            context.progress.verified((verdict,))

    def _as_looked_at(self, claim: Claim, change: Change, asked: Millis) -> Change:
        """What is live all the same is closed soon after this look; a guard or a rule goes by looks of its own."""
        if change.outcome is not Outcome.PENDING or claim.first_attempt_at is not None or self._judged_by_looks:
            return change
        return replace(change, looked_at=asked)

    def _looks_on(self, change: Change) -> bool:
        """Whether a doubt that was given up is taken up again: nobody resumes work that never ends."""
        endless = self._context.alarms is not None and not self._context.progress.source_done
        return endless and change.outcome is Outcome.IN_DOUBT and (change.due_at or 0) >= NEVER
