"""The protecting stage: lists the sessions that must be left alone, before anything is closed and every minute after.

Few sessions are in these statuses at any time, so that costs a request or two a minute, where reading each session
before its close would cost as much as closing.
"""

import anyio

from worker.context import Context
from worker.models import Listing, Millis, SessionState
from worker.pages import Pages

_EVERY: Millis = 60_000
_LATER = frozenset({"pending_dispatch"})  # statuses that dialect 1.21 does not know, and refuses to list
_LACKING = "so those that must be left alone are not known{}; --protect none closes whatever the status"


class Protecting:
    """Runs until closing is done. Without a whole list nothing is closed."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._pages = Pages(context, context.api.list_states, _LACKING)

    async def run(self) -> None:
        """List once there is something to close, and again and again, until closing is done or a list cannot be had."""
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
        await context.protected.wanted.wait()
        while True:
            asked = context.now()
            context.protected.listed(await self._list_all(), asked)
            await anyio.sleep(max(0, asked + _EVERY - context.now()) / 1000)

    async def _list_all(self) -> dict[str, SessionState]:
        found: dict[str, SessionState] = {}
        for status in sorted(self._context.protected.statuses):
            if status in _LATER and self._context.settings.api == "1.21":
                continue
            async for answer in self._pages.of(Listing(status=status)):
                found |= {each.session_id: each for each in answer.sessions if each.status == status}
        return found
