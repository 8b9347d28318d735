"""The closing stage: claims items and sends their closes, as many at once as the gate lets through."""

from collections import deque
from collections.abc import Awaitable, Callable

import anyio
import anyio.lowlevel
from anyio.abc import TaskGroup

from closeout.worker.api.client import Api
from closeout.worker.domain.item import Claim, Outcome
from closeout.worker.policy.guards import known_too_long_ago, seen_too_long_ago
from closeout.worker.policy.quota import OVER_CAP
from closeout.worker.runtime.context import Context
from closeout.worker.runtime.gate import SCOUTS
from closeout.worker.support.clock import NEVER

_IDLE = 0.25  # seconds between looks for work when there is none
_SCOUT = 1.0  # seconds that a close waits for the answers to the first ones: they may take long, or never come


class Closing:
    """Runs until every item has its outcome, or the run stops. What was claimed and not sent is released."""

    def __init__(self, context: Context, api: Api) -> None:
        self._context = context
        self._api = api
        self._held: deque[Claim] = deque()
        self._claiming = False
        self._claimed = anyio.Event()
        self._sent = 0
        self._asked = False  # for the time, where no answer had told it
        self._permitted: deque[tuple[Claim, int]] = deque()  # with the term in which each was claimed
        self._ready = anyio.Semaphore(0, fast_acquire=True)  # counts what is permitted
        self._batch = claim_batch(context.settings.allowed_rate)

    async def run(self) -> None:
        """Dispatch what is claimed to as many senders as there are slots."""
        context = self._context
        concurrency = context.settings.concurrency
        try:
            async with anyio.create_task_group() as tasks:
                for _ in range(concurrency):
                    tasks.start_soon(self._sender)
                with context.stop.interruptible(), context.last_call.interruptible():
                    await self._dispatch(tasks)
                for _ in range(concurrency):  # one word to each sender that nothing more comes
                    self._ready.release()
        finally:
            # Also when a second signal has cancelled all this: what was not sent is not in doubt.
            await context.ledger.release([*(claim for claim, _ in self._permitted), *self._held])
            context.end_closing()

    async def _dispatch(self, tasks: TaskGroup) -> None:
        """Claims are fetched ahead, so that sending does not wait for the ledger."""
        context = self._context
        while self._busy or not context.progress.source_done or not await self._finished():
            await context.crew.sendable()
            if await self._must_learn_the_time():
                await self._learn_the_time()
            if len(self._held) <= self._batch // 2 and not self._claiming:
                self._claiming = True
                self._claimed = anyio.Event()
                tasks.start_soon(self._claim)
            if self._held:
                await self._permit_next()
                continue
            await self._claimed.wait()
            if not self._held and not await self._skip_over_cap():
                await context.idle(_IDLE)

    async def _must_learn_the_time(self) -> bool:
        """Whether something is about to be claimed and no answer has told the time yet, nor was asked for it here."""
        if self._asked or self._context.judge.clock.known:
            return False
        return (await self._context.ledger.next_due(self._context.run)).pending is not None

    async def _learn_the_time(self) -> None:
        """A claim notes the time on the API's clock, which tells our close from another's: so one answer comes first.

        Where another host answers, nothing is closed at all.
        """
        self._asked = True
        await self._context.first_sign()

    async def _claim(self) -> None:
        """Where no answer has told the time yet, as few as may leave: each might be taken for ours after a kill."""
        context = self._context
        now, quota, term = context.now(), context.quota, context.crew.term
        earliest = context.judge.clock.noted(now)
        batch = self._batch if context.gate.standing.spoken else min(self._batch, SCOUTS)
        claims = await context.ledger.claim(context.run, batch, now, quota.room, earliest)
        if term == context.crew.term and not context.crew.lost:
            quota.taken([claim for claim in claims if claim.fresh])
            self._held.extend(claims)
        self._claiming = False
        self._claimed.set()

    async def _skip_over_cap(self) -> int:
        """Once the cap is reached, what was never tried has its outcome: so the rest can come to its end."""
        context = self._context
        if not context.quota.used_up or not context.progress.source_done:
            return 0
        detail = f"{OVER_CAP}{context.settings.limit}"
        skipped = await context.ledger.skip_fresh(context.run, detail, context.now())
        context.progress.outcomes[Outcome.SKIPPED] += skipped
        return skipped

    async def _permit_next(self) -> None:
        """There are as many senders as slots, so what has a slot never waits here: it is judged once more, and sent."""
        context = self._context
        if context.hold.closed:
            await context.hold.passage()
        while not context.protected.current(context.now()):
            await context.protected.wait()
        await self._scout()
        await context.gate.enter()
        term = context.crew.term
        claim = await self._next() if context.protected.current(context.now()) else None
        if claim is None:
            context.gate.leave()
            await anyio.lowlevel.checkpoint()
            return
        self._permitted.append((claim, term))
        self._ready.release()
        context.hold.sent(claim.seq)
        self._sent += 1

    async def _scout(self) -> None:
        """Until a close was answered by the API, few leave at a time: another may answer closes in its place."""
        with anyio.move_on_after(_SCOUT):
            while not self._context.gate.standing.proven and self._sent >= SCOUTS:
                await self._context.idle(_IDLE)

    async def _next(self) -> Claim | None:
        """The next one that may be closed. A stop comes after what is left alone has its outcome, and sends nothing."""
        with anyio.CancelScope(shield=True):
            claim = await self._unprotected()
        if claim is not None and (self._context.stop.requested or self._context.last_call.requested):
            self._held.appendleft(claim)
            return None
        return claim

    async def _unprotected(self) -> Claim | None:
        """The next one that may be closed; what must be left alone has its outcome then."""
        parked, known, found = list[Claim](), list[Claim](), None
        while self._held and found is None:
            claim = self._held.popleft()
            session = self._context.protected.find(claim.session_id)
            if session is not None:
                await self._context.spare(claim, f"protected: {session.status}", session)
            elif seen_too_long_ago(claim, self._context.settings, self._context.now()):
                parked.append(claim)
            elif known_too_long_ago(claim, self._context.settings, self._context.now()):
                known.append(claim)
            else:
                found = claim
        if parked:
            await self._put_off(parked, self._context.ledger.park)
        if known:
            await self._put_off(known, self._context.ledger.look_first)
        return found

    async def _put_off(self, claims: list[Claim], put_off: Callable[[list[Claim]], Awaitable[None]]) -> None:
        """What was seen too long ago is closed only once it was listed or looked up again."""
        await put_off(claims)
        for claim in claims:
            self._context.quota.parked(claim)

    async def _sender(self) -> None:
        """Senders live as long as the stage: a task for each close would cost more than its verdict.

        They wait at a semaphore: to receive from a stream costs four times as much, which shows at thousands a second.
        """
        while True:
            await self._ready.acquire()
            if not self._permitted:
                return
            await self._close(*self._permitted.popleft())

    async def _close(self, claim: Claim, term: int) -> None:
        """One item: request, verdict, record. Its slot is free once the verdict is taken in, which may halt the run.

        Nothing leaves that might be under way still when somebody else looks after it.
        """
        context = self._context
        gate = context.gate
        scouting = not gate.standing.proven
        try:
            if term != context.crew.term or not context.crew.may_send():
                self._not_sent(claim, term)
                return
            answer = await self._api.close(claim.session_id, claim.reason or context.settings.reason)
            await gate.told(answer)
            verdict = context.judge.close_answer(claim, answer, context.now())
            await context.conclude(claim, answer.exchange, verdict)
        finally:
            gate.leave()
            self._sent -= 1
            if scouting or not self._busy:
                context.stir()

    def _not_sent(self, claim: Claim, term: int) -> None:
        self._context.hold.not_sent(claim.seq)
        if term == self._context.crew.term and not self._context.crew.lost:
            self._held.appendleft(claim)

    async def let_go(self) -> None:
        """Forget what was claimed, as others look after it by now. Returns once nothing is in flight."""
        self._held.clear()
        while self._claiming or self._sent:
            await self._context.idle(_IDLE)

    @property
    def _busy(self) -> bool:
        """Something is claimed or in flight."""
        return bool(self._held) or self._claiming or self._sent > 0

    async def _finished(self) -> bool:
        """Whether nothing is left, asked of the ledger once all answers are in it: the lead says so for all."""
        context = self._context
        if not context.crew.leading:
            return False
        await context.recorder.flush()
        due = await context.ledger.next_due(context.run)
        parked = due.pending is not None and due.pending >= NEVER
        to_close = due.pending is not None and not (parked and not context.settings.guarded)
        if to_close or not (due.doubt is None or due.doubt >= NEVER):
            return False
        return not await context.ledger.open_count(context.run, 1, NEVER - 1)  # what others have claimed


def claim_batch(rate: float) -> int:
    """How many items to claim at a time: about a quarter of a second's worth.

    Every item claimed and not recorded when the process dies costs a look-up, so no more than the pace can use soon.
    """
    return max(1, min(256, round(rate / 4)))
