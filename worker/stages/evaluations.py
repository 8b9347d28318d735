"""The settling stage: evaluations run after the close, so their verdicts are looked at again until they are final."""

from dataclasses import replace

import anyio

from closeout.worker.domain.item import Change, Claim, Record
from closeout.worker.domain.session import SessionState
from closeout.worker.lookup.session_lookup import Lookup, LookupResult
from closeout.worker.policy.evaluation_lag import Lag
from closeout.worker.policy.none_grace import Followed
from closeout.worker.policy.verdict import Judge
from closeout.worker.runtime.context import Context
from closeout.worker.support.clock import NEVER, Millis

_BATCH = 50_000
_WORTH_A_PASS = 1_000  # sessions; fewer wait for company, as pages are fuller then
_DEAREST = 0.01  # pages per session that a pass beside closing may cost
_PATIENCE: Millis = 1_000
_IDLE = 0.5
_PILOTS = range(2, 9)  # sessions that are followed while it is not known how long verdicts take: 1 in 100, within this
_PILOT_AGE: Millis = 2_000
_OVERDUE: Millis = 30_000  # work without an end waits no longer for company
_AT_LAST = 10.0  # seconds for what is due when it is stopped
_LAST_LOOK = 0.95  # of the time for settling: what is open then is looked at once more, whenever it is due


def settled_change(claim: Claim, session: SessionState, judge: Judge, lag: Lag, asked: Millis) -> Change:
    """What a look at a closed session changes."""
    closed = claim.recorded_at or asked
    settled = judge.verdict_final(session, recorded_at=closed, now=asked)
    detail = None
    if session.live:
        detail = f"reopened: seen {session.status} after its close was acknowledged; it is not closed again"
    return Change(
        claim.seq,
        looks=claim.looks + 1,
        session=session,
        settled=settled,
        settle_at=None if settled else asked + lag.next_look(asked - closed),
        looked_at=asked,
        detail=detail,
    )


def unseen_change(claim: Claim, sighting: LookupResult, lag: Lag, now: Millis) -> Change:
    """What it means that a closed session could not be read: deleted since, or to be looked at again later."""
    answer = sighting.answer
    if answer.api_status == 404:
        return Change(claim.seq, settled=True, detail="deleted since it was closed; eval_status as last seen")
    if answer.api_status in (401, 403):
        return Change(claim.seq, settle_at=NEVER, detail="the key may not read sessions; eval_status as last seen")
    return Change(claim.seq, looks=claim.looks + 1, settle_at=now + lag.next_look(now - (claim.recorded_at or now)))


class Settling:
    """Runs beside closing where it costs little, and after it until all is settled or ``settle_for`` is over.

    ``alone``: closing was over long ago; what was closed before ``settle_for`` is looked at once, and not waited for.
    Where closing never ends, ``settle_for`` counts from each close, and a stop leaves only what is not due.
    """

    def __init__(self, context: Context, *, alone: bool = False) -> None:
        self._context = context
        self._alone = alone
        self._lag = context.lag
        self._lookup = Lookup(context.api, context.gate, "settle")
        self._followed = Followed(context.judge.grace)
        self._pilots: dict[int, tuple[Claim, Millis]] = {}  # with the instant of the next look
        self._piloted = 0
        self._last_look: Millis | None = None
        self._enough = _WORTH_A_PASS

    async def run(self) -> None:
        """Look beside closing, then at what is left."""
        context = self._context
        if not (context.settings.settle and context.settings.closes):
            return
        with context.stop.interruptible():
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._give_up_in_time, tasks.cancel_scope)
                await self._beside_closing()
                context.progress.phase = "settling"
                await self._after_closing()
                tasks.cancel_scope.cancel()
        if context.alarms is not None and context.stop.state == "interrupted":
            with anyio.move_on_after(_AT_LAST):
                await context.recorder.flush()
                await self._pass(context.now(), context.now() - self._lag.first_look)

    async def _give_up_in_time(self, scope: anyio.CancelScope) -> None:
        """Counted from the end of closing, also for a pass that began before."""
        context = self._context
        await context.closing_done.wait()
        left = self._time_left
        self._last_look = context.now() + round(1000 * _LAST_LOOK * left)
        await anyio.sleep(left)
        scope.cancel()

    @property
    def _time_left(self) -> float:
        settings = self._context.settings
        if settings.deadline is None:
            return settings.settle_for
        return min(settings.settle_for, max(0.0, settings.deadline - self._context.progress.seconds))

    async def _beside_closing(self) -> None:
        context = self._context
        while not context.closing_done.is_set():
            await self._look_at_followed()
            whole = self._all_due if context.quota.settling else self._company
            if not (await whole() or await self._overdue() or await self._pilot()):
                with anyio.move_on_after(_IDLE):
                    await context.closing_done.wait()

    async def _after_closing(self) -> None:
        context = self._context
        while True:
            await context.recorder.flush()
            await self._take_back()
            ahead = await context.ledger.settles_ahead(context.run, self._lag.first_look)
            if ahead is None:
                return
            if not (await self._last() or await self._company() or await self._all_due() or await self._pilot()):
                wait = (ahead[0] - context.now()) / 1000
                await anyio.sleep(min(_IDLE, wait) if wait > 0 else _IDLE)

    async def _last(self) -> bool:
        """One look at all that is open when time is nearly over, also at what is due later."""
        context = self._context
        if self._last_look is None or context.now() < self._last_look:
            return False
        self._last_look = NEVER
        await self._pass(NEVER - 1, context.now())
        return True

    async def _company(self) -> bool:
        """A pass over what is due, if it is enough and lies so close together that looking is cheap."""
        context, now = self._context, self._context.now()
        ripe = now - self._lag.first_look
        count = await context.ledger.due_settle_count(context.run, self._enough, now, ripe)
        if count < self._enough:
            return False
        span = round(self._lookup.paging.span)
        pages = await context.ledger.due_settle_spans(context.run, span, now, ripe) if span else 0
        if pages > _DEAREST * count:
            self._enough = 2 * count
            return False
        await self._pass(now, ripe)
        return True

    async def _all_due(self) -> bool:
        """A pass over what is due, once all is, or what is not is too far off to be waited for."""
        context, now, first_look = self._context, self._context.now(), self._lag.first_look
        ahead = await context.ledger.settles_ahead(context.run, first_look)
        if ahead is None or ahead[0] > now:
            return False
        patience = max(_PATIENCE, first_look)
        if ahead[1] > now and (ahead[1] - now <= patience or now - ahead[0] < patience):
            return False
        await self._pass(now, now - first_look)
        return True

    async def _overdue(self) -> bool:
        """A pass over what is due, where no end of closing would ever bring one and few sessions come."""
        context, now = self._context, self._context.now()
        if context.alarms is None:
            return False
        ahead = await context.ledger.settles_ahead(context.run, self._lag.first_look)
        if ahead is None or now - ahead[0] < _OVERDUE:
            return False
        await self._pass(now, now - self._lag.first_look)
        return True

    async def _pilot(self) -> bool:
        """While it is not known how long verdicts take, a few sessions are looked at again and again to learn it."""
        if self._lag.known:
            return False
        context, now = self._context, self._context.now()
        claims = [claim for claim, at in self._pilots.values() if at <= now]
        wanted = min(max(context.progress.rows_read // 100, _PILOTS[0]), _PILOTS[-1]) - self._piloted
        if wanted > 0:
            then = now - _PILOT_AGE
            due = await context.ledger.due_settles(context.run, wanted + len(self._pilots), then, then)
            fresh = [claim for claim in due if claim.seq not in self._pilots][:wanted]
            self._piloted += len(fresh)
            self._pilots |= {claim.seq: (claim, now) for claim in fresh}
            claims += fresh
        if claims:
            await self._lookup.states(claims, self._conclude)
            await context.recorder.flush()
        return bool(claims)

    async def _look_at_followed(self) -> None:
        due = self._followed.due(self._context.now())
        if due:
            await self._lookup.states(due, self._conclude)
            await self._context.recorder.flush()
        await self._take_back()

    async def _take_back(self) -> None:
        """What was believed before it was known how late runs may appear."""
        if self._followed.grew():
            context = self._context
            count = await context.ledger.doubt_nones(context.run, context.judge.grace.value)
            context.progress.settled -= count
            context.log.info("runs appeared late: verdicts of none are doubted again", sessions=count)

    async def _pass(self, due: Millis, ripe: Millis) -> None:
        """Look at everything that is due, or was closed by ``ripe``, by its start: so each page is asked for once."""
        context, before, looked = self._context, self._lookup.requests, 0
        last = None
        while claims := await context.ledger.due_settles_by_start(context.run, _BATCH, due, ripe, last):
            last = claims[-1]
            looked += len(claims)
            await self._lookup.states(claims, self._conclude)
        await context.recorder.flush()
        self._enough = _WORTH_A_PASS
        context.log.info(
            "looked at evaluations",
            sessions=looked,
            requests=self._lookup.requests - before,
            median_lag=self._lag.median,
            first_look=self._lag.first_look,
        )

    async def _conclude(self, sighting: LookupResult) -> None:
        context = self._context
        if sighting.answer.api_status == 401:
            context.stop.halt("the API answered 401: the key may not be used any more")
        if sighting.unseen is not None:
            changes: tuple[Change, ...] = (self._unseen(sighting.unseen, sighting),)
        else:
            asked = sighting.answer.exchange.at  # a late answer tells of then, not of now
            changes = tuple(self._seen(claim, session, asked) for claim, session in sighting.seen)
        await context.recorder.put(Record(sighting.answer.exchange, changes))

    def _seen(self, claim: Claim, session: SessionState, asked: Millis) -> Change:
        change = settled_change(claim, session, self._context.judge, self._lag, asked)
        closed = claim.recorded_at or asked
        if claim.seq in self._followed:
            self._context.progress.settled -= 1  # it was counted when it was believed
        else:
            before = claim.looked_at - closed if claim.looks and claim.looked_at is not None else None
            self._lag.looked(before, asked - closed, final=change.settled)
        self._followed.seen(claim, session, asked, settled=change.settled)
        return self._planned(claim, change, asked - closed)

    def _unseen(self, claim: Claim, sighting: LookupResult) -> Change:
        now = self._context.now()
        change = unseen_change(claim, sighting, self._lag, now)
        if claim.seq in self._followed:
            # It stays believed: that it could not be read says nothing of its verdict.
            self._context.progress.settled -= 1
            self._followed.unseen(claim, now, gone=change.settled)
            return replace(change, settled=True, settle_at=None)
        return self._planned(claim, change, now - (claim.recorded_at or now))

    def _planned(self, claim: Claim, change: Change, age: Millis) -> Change:
        """When it is looked at next, where that is not by its own time."""
        if self._pilots.pop(claim.seq, None) is not None and change.settle_at is not None:
            looked = claim if change.looked_at is None else replace(claim, looked_at=change.looked_at)
            self._pilots[claim.seq] = (replace(looked, looks=change.looks), change.settle_at)
        given_up = self._alone or self._context.alarms is not None
        if given_up and change.settle_at is not None and age > self._context.settings.settle_for * 1000:
            return replace(change, settle_at=NEVER)
        return change
