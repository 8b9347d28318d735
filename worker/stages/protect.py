"""The protecting stage: lists the sessions that must be left alone, before anything is closed and every minute then.

Few sessions are in these statuses at any time, so that costs a few requests a minute, where reading each session
before its close would cost as much as closing.
"""

import anyio

from closeout.worker.config.dialect import unlisted
from closeout.worker.domain.session import Listing, SessionState
from closeout.worker.lookup.listing import Pages
from closeout.worker.policy.protected import OLDEST
from closeout.worker.policy.verdict import GOES_ON
from closeout.worker.runtime.context import Context
from closeout.worker.support.clock import Millis
from closeout.worker.support.units import format_rate

_EVERY: Millis = 60_000
_SELDOM: Millis = 240_000  # a list must be replaced before it is too old to close by
_SHARE = 0.2  # of a low pace: the rest is for closing
_LACKING = "so those that must be left alone are not known{}"


class Protecting:
    """Runs until closing is done. Without a whole list nothing is closed."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._pages = Pages(context, context.api.list_states, _LACKING)

    async def run(self) -> None:
        """List while there is something to close, again and again, until closing is done or a list cannot be had."""
        context = self._context
        if not context.protected.statuses:
            return
        with context.stop.interruptible():
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._keep_listing)
                await context.closing_done.wait()
                tasks.cancel_scope.cancel()

    async def _keep_listing(self) -> None:
        context = self._context
        while True:
            await context.protected.wanted.wait()
            asked, before = context.now(), self._pages.sent
            context.protected.listed(await self._list_all(), asked)
            sent = self._pages.sent - before
            await self._expect_in_time(sent)
            pause = min(max(_EVERY, sent / (max(context.gate.pace.rate, 1e-9) * _SHARE) * 1000), _SELDOM)
            await anyio.sleep(max(0, asked + pause - context.now()) / 1000)
            if context.alarms is not None:  # there may be nothing to close for a whole night
                context.protected.rest()

    async def _expect_in_time(self, sent: int) -> None:
        """At a pace so low that a list is always too old before it is whole, nothing would ever be closed."""
        context, rate = self._context, self._context.settings.allowed_rate
        if sent / rate * 1000 > OLDEST:
            context.stop.halt(
                f"at {format_rate(rate)} the list of protected sessions ({sent:,} requests) is too old before it is "
                f"whole{GOES_ON}: it takes a rate of {format_rate(sent * 1000 / OLDEST)} at least"
            )
            await anyio.sleep_forever()

    async def _list_all(self) -> dict[str, SessionState]:
        """There and back: a session that moves from one status to another meanwhile is in one list at least."""
        found: dict[str, SessionState] = {}
        there = sorted(self._context.protected.statuses - unlisted(self._context.settings.api))
        for status in (*there, *reversed(there[:-1])):
            async for answer in self._pages.of(Listing(status=status)):
                found |= {each.session_id: each for each in answer.sessions if each.status == status}
        return found
