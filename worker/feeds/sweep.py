"""The finding stage of a sweep: lists what its rule may choose, judges it row by row, and admits what it chooses.

It lists twice. The first time it only counts, so that a result that is not as usual closes nothing. The second time it
admits, no further ahead of closing than a minute's worth, so that no session is closed on what was seen long ago.
What has waited for five minutes all the same is parked, and listed again until it is closed or matches no more.
"""

from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from itertools import count

import anyio

from closeout.worker.domain.exchange import Answer
from closeout.worker.domain.item import Outcome, SourceRow
from closeout.worker.domain.run import Tally
from closeout.worker.domain.session import Listing, SessionRow
from closeout.worker.lookup.cursor import ListingCursor
from closeout.worker.lookup.listing import Pages, learn_server_time
from closeout.worker.policy.anomaly import unusual
from closeout.worker.policy.selection import Selection, listings, mismatch
from closeout.worker.policy.verdict import GOES_ON
from closeout.worker.runtime.context import Context
from closeout.worker.support.clock import NEVER, Millis

# What is admitted waits behind as much again: two minutes on the page and two in the ledger are less than five.
_AHEAD = 60.0  # seconds' worth of closes
_STALE: Millis = 120_000
_PASSES = 3  # what closing moved between two pages is found by listing once more
_LOOK = 0.25
GONE = "no longer matches: listed too long ago to be closed, and not found again"
_LACKING = "so what the job chooses is not known{}"


@dataclass(frozen=True, slots=True)
class Sweep:
    """What a sweep goes by: its rule, the most that it may close, and how many it found the times before."""

    selection: Selection
    max_close: int
    nights: Sequence[int]


class Finding:
    """Runs until everything that the rule chooses is admitted.

    ``tell`` shows a person what was counted; where that is not as usual, ``confirm`` shows it, says why, and asks
    whether to go on.
    """

    def __init__(
        self,
        context: Context,
        sweep: Sweep,
        tell: Callable[[str], None],
        confirm: Callable[[str, str], Awaitable[bool]],
    ) -> None:
        self._context = context
        self._sweep = sweep
        self._tell = tell
        self._confirm = confirm
        self._pages = Pages(context, context.api.list_sessions, _LACKING)
        self._again = context.run.source_done  # all was listed before: nothing new is taken up
        self._most = sweep.max_close  # of the whole run, whichever process admits them

    async def run(self) -> None:
        """Count, have it confirmed where it is not as usual, then admit."""
        context = self._context
        with context.stop.interruptible(), context.last_call.interruptible():
            await learn_server_time(context)
            if not self._again and not await self._accepted(await self._count()):
                return
            if not self._again or await context.ledger.parked_count(context.run) or await self._open(1):
                await self._find_all()
            await context.ledger.source_done(context.run)
            context.progress.source_done = True
            context.stir()

    async def _find_all(self) -> None:
        """List until there is nothing new, and what was listed too long ago is found again or skipped."""
        context = self._context
        for number in count(1):
            began, parked = context.now(), await context.ledger.parked_count(context.run)
            new = await self._admit_all()
            quiet = not new and await context.ledger.parked_count(context.run) == parked
            await self._all_closed()
            if context.settings.guarded:  # what is parked is not for this stage, which lists once for a plan
                if not new or number >= _PASSES or not context.settings.closes:
                    return
                continue
            if quiet or number >= _PASSES:
                await self._skip_parked(began)
            if not await context.ledger.parked_count(context.run) and (not new or number >= _PASSES):
                return

    async def _skip_parked(self, began: Millis) -> None:
        """What the whole pass since then did not tell of."""
        context = self._context
        while skipped := await context.ledger.skip_parked(context.run, began, GONE, context.now()):
            context.progress.outcomes[Outcome.SKIPPED] += skipped

    async def _accepted(self, tally: Tally) -> bool:
        context, chosen = self._context, tally.chosen
        if not context.run.rows_read:
            await context.ledger.tell(context.run, tally)
        else:  # the tally of the whole run was told by the process that began it
            chosen += (await context.ledger.counts(context.run)).outcomes[Outcome.CLOSED]
        strange = unusual(chosen, self._sweep.max_close, self._sweep.nights)
        if strange is None:
            self._tell(_in_words(tally))
            return True
        if await self._confirm(_in_words(tally), strange):
            self._most = NEVER
            return True
        context.stop.halt(f"{strange}{GOES_ON}: {self._way_on}")
        return False

    @property
    def _way_on(self) -> str:
        """A person is to look and to decide: no message says how to do without."""
        run = self._context.run
        return f"look with `closeout plan --job {run.job}`; `closeout resume {run.name}` asks whether to continue"

    async def _count(self) -> Tally:
        """How many are chosen, and the others by the reason. No further than it matters."""
        why: Counter[str] = Counter()
        for listing in self._listings():
            async for answer in self._pages.of(listing):
                why.update(self._mismatch(row, answer) or "" for row in answer.rows)
                if why[""] > self._sweep.max_close:
                    return Tally(why.pop(""), dict(why.most_common()), whole=False)
        return Tally(why.pop("", 0), dict(why.most_common()))

    def _listings(self) -> list[Listing]:
        return listings(self._sweep.selection, self._context.api.server_clock.earliest(self._context.now()))

    def _mismatch(self, row: SessionRow, answer: Answer) -> str | None:
        """Why the rule does not choose a session, at the time at which the page was asked for."""
        return mismatch(self._sweep.selection, row, self._context.api.server_clock.earliest(answer.exchange.at))

    async def _admit_all(self) -> int:
        """One pass; returns how many were new."""
        new = 0
        for listing in self._listings():
            walk = ListingCursor(listing)
            while (answer := await self._pages.next(walk)) is not None:
                new += await self._admit_page(walk, answer)
        return new

    async def _admit_page(self, walk: ListingCursor, answer: Answer) -> int:
        """What a page tells, in step with closing. What has become old meanwhile is asked for again."""
        asked = answer.exchange.at
        seen = None if self._context.settings.guarded else asked  # the guards look each one up by themselves
        chosen = [row for row in answer.rows if self._mismatch(row, answer) is None]
        new = at = 0
        while at < len(chosen):
            if self._context.now() - asked > _STALE:
                walk.back_to(chosen[at].started_at)
                break
            batch = chosen[at : at + self._ahead]
            at += len(batch)
            new += await self._admit(
                [SourceRow(0, row.session_id, started_at=row.started_at, seen_at=seen) for row in batch]
            )
        return new

    async def _admit(self, rows: list[SourceRow]) -> int:
        context = self._context
        if self._again:
            await context.ledger.see_again(context.run, rows)
            return 0
        parked = context.settings.guarded
        duplicates = await context.ledger.admit_within(context.run, rows, self._most, context.now(), parked=parked)
        if duplicates is None:
            context.stop.halt(
                f"more sessions match by now than max_close = {self._most:,} allows{GOES_ON}: {self._way_on}"
            )
            await anyio.sleep_forever()
            return 0
        context.progress.admitted(rows, duplicates)
        context.stir()
        while await self._open(self._ahead + 1) > self._ahead:  # noqa: ASYNC110  # the pace moves, too
            await anyio.sleep(_LOOK)
        return len(rows) - duplicates

    @property
    def _ahead(self) -> int:
        """How many may wait to be closed, at the pace of now."""
        return max(1, round(self._context.gate.pace.rate * _AHEAD))

    async def _open(self, limit: int) -> int:
        """Admitted and not closed yet. What is parked, planned or left out by a cap is not waited for."""
        if self._context.quota.used_up or not self._context.settings.closes:
            return 0
        return await self._context.ledger.open_count(self._context.run, limit, NEVER - 1)

    async def _all_closed(self) -> None:
        await self._context.recorder.flush()
        while await self._open(1):
            await self._context.idle(_LOOK)
            await self._context.recorder.flush()


def _in_words(tally: Tally) -> str:
    left = ", ".join(f"{number:,} {reason}" for reason, number in tally.others.items())
    return f"{tally.chosen:,} sessions match" + (f", others do not ({left})" if left else "")
