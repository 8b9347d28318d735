"""The stage that feeds a run from a queue: messages into the ledger, and only then acknowledged.

What is fetched is held for milliseconds: the queue, not the ledger, keeps what cannot be closed soon.
"""

import random
from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress
from functools import partial

import anyio

from closeout.worker.config.dialect import reason_problem
from closeout.worker.domain.item import Outcome, QueuedRow
from closeout.worker.feeds.source import end_of_source
from closeout.worker.queues.messages import read_message
from closeout.worker.queues.protocol import Message, Queue
from closeout.worker.runtime.context import Context
from closeout.worker.support.backoff import backoff
from closeout.worker.support.clock import Millis
from closeout.worker.support.errors import LedgerError, QueueError, QueueUnreachableError

ABOUT = "queue"
_AHEAD = 120.0  # seconds' worth of closes that may be in the ledger and still to be done
_AT_FIRST = 10  # as many, until one has ended well: with a wrong host or key what is taken is closed by nobody
_BATCH = 500  # at most, and no more than a second's worth: what one consumer holds, others cannot take
_WAIT = 1.0  # seconds; a stop waits for so long, as who breaks off a fetch may leave messages with nobody
_IDLE = 0.25
_ENDED_WELL = (Outcome.CLOSED, Outcome.ALREADY_CLOSED, Outcome.SKIPPED)
_FORGET_EVERY: Millis = 60_000
_FORGOTTEN_AT_ONCE = 1_000


async def take_from(context: Context, queue: Queue, *, drain: bool) -> None:
    """Take in what a queue gives, in the course of a run; with ``drain``, until there is nothing in it."""
    await Intake(context, queue, drain=drain).run()


class Intake:
    """Runs until the run is stopped, its cap is reached, or the queue that it drains is empty."""

    def __init__(self, context: Context, queue: Queue, *, drain: bool) -> None:
        self._context = context
        self._queue = queue
        self._drain = drain
        self._rng = random.Random()  # noqa: S311  # spreads those who come back at once
        self._failures = 0
        self._failing_since: Millis | None = None
        self._forget_at: Millis = 0
        settings = context.settings
        self._problem = partial(reason_problem, dialect=settings.api, allow_unknown=settings.allow_unknown_reason)

    async def run(self) -> None:
        """Take in until there is no reason to go on."""
        context = self._context
        while not context.stop.requested and not context.last_call.requested and not context.quota.used_up:
            await self._forget()
            room = await self._room()
            if not room:
                await self._pause(_IDLE)
                continue
            try:
                if not await self._round(min(room, _BATCH, max(1, round(context.gate.pace.rate)))):
                    break
            except QueueError as error:
                await self._failed(error)
            else:
                self._recovered()
        if not context.stop.requested and not context.last_call.requested:
            await end_of_source(context)

    async def _round(self, limit: int) -> bool:
        """One batch; whether there may be more."""
        messages = await self._queue.fetch(limit, _WAIT)
        if messages and self._context.stop.requested:
            await self._queue.put_back(messages, 0)
        elif messages:
            await self._take_in(messages)
        elif self._drain:
            depth = await self._queue.depth()
            return bool(depth.waiting or depth.in_flight)
        return True

    async def _take_in(self, messages: Sequence[Message]) -> None:
        """Once the ledger has them, they are done with; what is delivered again then is known."""
        context = self._context
        rows = [read_message(message.body, self._problem) for message in messages]
        with anyio.CancelScope(shield=True):
            await self._admit(messages, rows)
            context.stir()
            broken: dict[str, list[Message]] = defaultdict(list)
            for message, row in zip(messages, rows, strict=True):
                if row.row.problem is not None:
                    broken[row.row.problem].append(message)
            gone = {message.receipt for each in broken.values() for message in each}
            for why, each in broken.items():
                await self._queue.bury(each, why)
            await self._queue.acknowledge([message for message in messages if message.receipt not in gone])

    async def _admit(self, messages: Sequence[Message], rows: Sequence[QueuedRow]) -> None:
        context = self._context
        now = context.now()
        since = now - round(1000 * context.settings.dedupe_for)
        try:
            taken = await context.ledger.intake.take_in(context.run, rows, since, now, parked=context.settings.guarded)
        except LedgerError:
            with suppress(QueueError, LedgerError):  # else they come back when they are taken for lost
                await self._queue.put_back(messages, 0)
            raise
        context.progress.taken_in(len(rows), taken)

    async def _room(self) -> int:
        """How many to fetch now: as many as are soon closed; while closing is held, one to try it with."""
        context = self._context
        ahead = max(1, round(context.gate.pace.rate * _AHEAD)) if context.hold.why is None else 1
        if not any(context.progress.outcomes[outcome] for outcome in _ENDED_WELL):
            ahead = min(ahead, _AT_FIRST)
        soon = context.now() + round(1000 * _AHEAD)
        backlog = await context.ledger.backlog(context.run, ahead, soon)
        room = ahead - backlog
        return max(0, room if context.quota.left is None else min(room, context.quota.left - backlog))

    async def _failed(self, error: QueueError) -> None:
        """A consumer without an end waits for its queue, however long; another one for a while, if that can help."""
        context, now = self._context, self._context.now()
        self._failures += 1
        self._failing_since = now if self._failing_since is None else self._failing_since
        if context.alarms is not None:
            context.alarms.begin(ABOUT, str(error))
        elif (
            not isinstance(error, QueueUnreachableError)
            or now - self._failing_since >= context.settings.give_up_after * 1000
        ):
            context.stop.halt(str(error))
        context.log.info("the queue fails", error=str(error), failures=self._failures)
        await self._pause(backoff(self._failures, self._rng))

    def _recovered(self) -> None:
        self._failures, self._failing_since = 0, None
        if self._context.alarms is not None:
            self._context.alarms.end(ABOUT, f"{self._queue.name} answers again")

    async def _forget(self) -> None:
        """Keys that are too old to make a duplicate, a few at a time."""
        context, now = self._context, self._context.now()
        if now < self._forget_at:
            return
        before = now - round(1000 * context.settings.dedupe_for)
        forgotten = await context.ledger.intake.forget_keys(before, _FORGOTTEN_AT_ONCE)
        if forgotten < _FORGOTTEN_AT_ONCE:
            self._forget_at = now + _FORGET_EVERY

    async def _pause(self, seconds: float) -> None:
        with self._context.stop.interruptible(), self._context.last_call.interruptible():
            await anyio.sleep(seconds)
