"""The settling stage: evaluations run after the close, so their verdicts are looked at again until they are final."""

import anyio

from worker.context import Context
from worker.lookup import Lookup, Sighting
from worker.models import NEVER, Change, Claim, Millis, Record, SessionState
from worker.verdict import Judge

_BATCH = 20_000
_WORTH_A_PASS = 200  # a listing page's worth; fewer wait for company while there is something to close
_IDLE = 0.5
_SLOWEST = 60_000
_DEAR = 0.02  # requests per session above which looking waits until closing is done: then listing pages are full


def look_again_after(looks: int, first: Millis) -> Millis:
    """Milliseconds from one look to the next: doubling from ``first`` up to a minute."""
    return min(_SLOWEST, max(first, 500) << min(looks, 10))


def settled_change(claim: Claim, session: SessionState, judge: Judge, now: Millis) -> Change:
    """What a look at a closed session changes."""
    settled = judge.verdict_final(session, recorded_at=claim.recorded_at or now, now=now)
    detail = None
    if not session.terminal and not settled:
        detail = f"the close was acknowledged, yet the session is {session.status}"
    wait = look_again_after(claim.looks, judge.settle_after or 0)
    return Change(
        claim.seq,
        looks=claim.looks + 1,
        session=session,
        settled=settled,
        settle_at=None if settled else now + wait,
        detail=detail,
    )


def unseen_change(claim: Claim, sighting: Sighting, judge: Judge, now: Millis) -> Change:
    """What it means that a closed session could not be read: deleted since, or to be looked at again later."""
    answer = sighting.answer
    if answer.http_status == 404 and answer.from_api:
        return Change(claim.seq, settled=True, detail="deleted since it was closed; eval_status as last seen")
    if answer.http_status in (401, 403):
        return Change(claim.seq, settle_at=NEVER, detail="the key may not read sessions; eval_status as last seen")
    wait = look_again_after(claim.looks, judge.settle_after or 0)
    return Change(claim.seq, looks=claim.looks + 1, settle_at=now + wait)


class Settling:
    """Runs beside closing where it costs little, and after it until all is settled or ``settle_for`` is over."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._lookup = Lookup(context.api, context.gate, "settle")

    async def run(self) -> None:
        context = self._context
        if not context.settings.settle:
            return
        with context.stop.interruptible():
            await self._beside_closing()
            context.progress.phase = "settling"
            with anyio.move_on_after(self._time_left):
                await self._after_closing()

    @property
    def _time_left(self) -> float:
        settings = self._context.settings
        if settings.deadline is None:
            return settings.settle_for
        return min(settings.settle_for, max(0.0, settings.deadline - self._context.progress.seconds))

    async def _beside_closing(self) -> None:
        context = self._context
        while not context.closing_done.is_set():
            now = context.now()
            due = await context.ledger.due_settle_count(context.run, _WORTH_A_PASS, now)
            if (due >= _WORTH_A_PASS and not self._dear) or (due and context.quota.settling):
                await self._pass(now)
            else:
                await anyio.sleep(_IDLE)

    @property
    def _dear(self) -> bool:
        return self._lookup.requests > 10 and self._lookup.requests > _DEAR * self._lookup.seen

    async def _after_closing(self) -> None:
        context = self._context
        while True:
            await context.recorder.flush()
            due = (await context.ledger.next_due(context.run)).settle
            if due is None or due >= NEVER:
                return
            wait = due - context.now()
            if wait > 0:
                await anyio.sleep(min(wait / 1000, 1.0))
            else:
                await self._pass(context.now())

    async def _pass(self, now: Millis) -> None:
        claims = await self._context.ledger.due_settles(self._context.run, _BATCH, now)
        before = self._lookup.requests
        await self._lookup.states(claims, self._conclude)
        self._context.log.info("looked at evaluations", sessions=len(claims), requests=self._lookup.requests - before)
        await self._context.recorder.flush()

    async def _conclude(self, sighting: Sighting) -> None:
        context, now = self._context, self._context.now()
        if sighting.answer.http_status == 401:
            context.stop.halt("the API answered 401: the key may not be used any more")
        if sighting.unseen is not None:
            changes: tuple[Change, ...] = (unseen_change(sighting.unseen, sighting, context.judge, now),)
        else:
            asked = sighting.answer.exchange.at  # a late answer tells of then, not of now
            changes = tuple(settled_change(claim, session, context.judge, asked) for claim, session in sighting.seen)
        await context.recorder.put(Record(sighting.answer.exchange, changes))
