"""Looks each session up before it is closed; a plan is such looks alone."""

import anyio

from closeout.worker.domain.item import Record
from closeout.worker.domain.session import SessionRow
from closeout.worker.lookup.listing import learn_server_time
from closeout.worker.lookup.session_lookup import Lookup, LookupResult
from closeout.worker.policy.guards import guards_of, listed_statuses, seen_change, unseen_change
from closeout.worker.runtime.context import Context
from closeout.worker.support.clock import NEVER

_AHEAD = 120.0  # seconds' worth of closes, or less where the state may not be so old
_BATCH = 20_000
_IDLE = 0.25
_LOOK = 0.1


class Precheck:
    """Runs until closing is done. Without a guard that needs the state it does nothing."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._guards = guards_of(context.settings)
        self._lookup = Lookup(context.api, context.gate, rows=True, statuses=listed_statuses(context.settings))

    async def run(self) -> None:
        """Look up what is parked, again and again."""
        context = self._context
        if not context.settings.guarded:
            return
        with context.stop.interruptible(), context.last_call.interruptible():
            if self._guards.go_by_time:
                await learn_server_time(context)
            while not context.closing_done.is_set():
                if not await self._look_ahead():
                    await context.idle(_IDLE)

    async def _look_ahead(self) -> bool:
        context = self._context
        await context.recorder.flush()
        room = await self._room()
        if not room:
            return False
        claims = await context.ledger.parked(context.run, min(room, _BATCH), context.now())
        if context.quota.used_up:  # what was never tried is skipped by the closing stage
            claims = [claim for claim in claims if claim.first_attempt_at is not None]
        if claims:
            await self._lookup.states(claims, self._conclude)
            await context.recorder.flush()
        return bool(claims)

    async def _room(self) -> int:
        """How many to look up now: for a plan all, else as many as are soon closed, a few full batches at a time."""
        context, quota = self._context, self._context.quota
        if not context.settings.closes:
            return _BATCH
        if quota.used_up:
            return _BATCH if context.progress.source_done else 0
        ahead = self._ahead if quota.room is None else min(self._ahead, quota.room)
        soon = context.now() + round(1000 * _AHEAD)
        room = ahead - await context.ledger.open_count(context.run, ahead, soon) if ahead else 0
        return room if 2 * room >= ahead else 0

    @property
    def _ahead(self) -> int:
        """How many may wait to be closed, at the pace of now."""
        seconds = min(_AHEAD, self._context.settings.state_max_age / 2)
        return max(1, round(self._context.gate.pace.rate * seconds))

    async def _conclude(self, sighting: LookupResult) -> None:
        context = self._context
        if sighting.unseen is not None:
            verdict = unseen_change(sighting.unseen, sighting.answer, context.judge, context.now())
            await context.conclude(sighting.unseen, sighting.answer.exchange, verdict)
            return
        asked = sighting.answer.exchange.at  # a late answer tells of then, not of now
        changes = tuple(
            seen_change(claim, row, context.judge, self._guards, asked)
            for claim, row in sighting.seen
            if isinstance(row, SessionRow)
        )
        await context.recorder.put(Record(sighting.answer.exchange, changes))
        context.ended(changes)


class Planning:
    """Runs until nothing is left to be looked up, or the run stops."""

    def __init__(self, context: Context) -> None:
        self._context = context

    async def run(self) -> None:
        """Nothing is closed: that this has ended lets the other stages end."""
        context = self._context
        try:
            with context.stop.interruptible(), context.last_call.interruptible():
                while not context.progress.source_done or await self._left():  # noqa: ASYNC110  # the ledger is asked
                    await anyio.sleep(_LOOK)
        finally:
            context.end_closing()

    async def _left(self) -> bool:
        await self._context.recorder.flush()
        return bool(await self._context.ledger.parked(self._context.run, 1, NEVER - 1))
