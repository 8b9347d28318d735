"""The closing stage: claims items and sends their closes, as many at once as the gate lets through."""

from collections import deque

import anyio
from anyio.abc import TaskGroup

from worker.context import Context
from worker.models import NEVER, Claim

_IDLE = 0.25  # seconds between looks for work when there is none


class Closing:
    """Runs until every item has its outcome, or the run stops. What was claimed and not sent is released."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._held: deque[Claim] = deque()
        self._sent = 0
        self._batch = claim_batch(context.settings.allowed_rate)

    async def run(self) -> None:
        context = self._context
        try:
            async with anyio.create_task_group() as closes:
                with context.stop.interruptible():
                    await self._dispatch(closes)
                await context.ledger.release(self._held)
        finally:
            context.closing_done.set()

    async def _dispatch(self, closes: TaskGroup) -> None:
        context = self._context
        while True:
            if not self._held:
                self._held.extend(await context.ledger.claim(context.run, self._batch, context.now()))
            if self._held:
                await self._send_next(closes)
            elif await self._finished():
                return
            else:
                await anyio.sleep(_IDLE)

    async def _send_next(self, closes: TaskGroup) -> None:
        await self._context.gate.enter()
        closes.start_soon(self._close, self._held.popleft())
        self._sent += 1

    async def _close(self, claim: Claim) -> None:
        """One item: request, verdict, record."""
        context = self._context
        gate = context.gate
        try:
            answer = await context.api.close(claim.session_id, claim.reason or context.settings.reason)
        finally:
            gate.leave()
        gate.told(answer)
        verdict = context.judge.close_answer(claim, answer, context.now(), proven=gate.proven)
        await context.conclude(answer.exchange, verdict)
        self._sent -= 1

    async def _finished(self) -> bool:
        """Nothing in flight, nothing unwritten, nothing to come. Asked in this order, so that nothing slips between."""
        context = self._context
        if self._sent or not context.progress.source_done:
            return False
        await context.recorder.flush()
        due = await context.ledger.next_due(context.run)
        return due.pending is None and (due.doubt is None or due.doubt >= NEVER)


def claim_batch(rate: float) -> int:
    """How many items to claim at a time: about a quarter of a second's worth.

    Every item claimed and not recorded when the process dies costs a look-up, so no more than the pace can use soon.
    """
    return max(1, min(256, round(rate / 4)))
