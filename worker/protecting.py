"""The protecting stage: lists the sessions that must be left alone, before anything is closed and every minute after.

Few sessions are in these statuses at any time, so that costs a request or two a minute, where reading each session
before its close would cost as much as closing.
"""

import anyio

from worker.context import Context
from worker.models import Answer, Listing, Millis, Record, SessionState
from worker.units import format_duration
from worker.verdict import GOES_ON, halt_reason

_EVERY: Millis = 60_000
_AGAIN = 0.5  # seconds before a page that could not be had is asked for again
_TRIES = 3  # of a page that makes no sense
_LATER = frozenset({"pending_dispatch"})  # statuses that dialect 1.21 does not know, and refuses to list
_WITHOUT = f"so those that --protect spares are not known{GOES_ON}; --protect none closes whatever the status"


class Protecting:
    """Runs until closing is done. Without a whole list nothing is closed."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._trouble_since: Millis | None = None
        self._nonsense = 0

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
            await self._list(status, found)
        return found

    async def _list(self, status: str, found: dict[str, SessionState]) -> None:
        """All pages of one status."""
        cursors: set[str | None] = set()
        cursor: str | None = None
        while cursor not in cursors:
            answer = await self._page(Listing(status=status), cursor)
            found |= {each.session_id: each for each in answer.sessions if each.status == status}
            cursors.add(cursor)
            cursor = answer.cursor
            if cursor is None:
                return
        await self._halt(f"the API's list of {status} sessions leads in a circle, {_WITHOUT}")

    async def _page(self, listing: Listing, cursor: str | None) -> Answer:
        """One page, asked for again until it is there or the run ends for it."""
        while True:
            answer = await self._send(listing, cursor)
            if answer.http_status == 200 and answer.from_api:
                self._trouble_since, self._nonsense = None, 0
                return answer
            await self._judge(answer, listing)
            await anyio.sleep(_AGAIN)

    async def _send(self, listing: Listing, cursor: str | None) -> Answer:
        context = self._context
        await context.gate.enter()
        try:
            answer = await context.api.list_states(listing, cursor)
        finally:
            context.gate.leave()
        await context.gate.told(answer)
        await context.recorder.put(Record(answer.exchange, ()))
        return answer

    async def _judge(self, answer: Answer, listing: Listing) -> None:
        """What will not be otherwise the next time ends the run, and what has been so for too long."""
        context, code = self._context, answer.http_status
        if code == 403:
            await self._halt(f"the API answered 403: the key may not list sessions, {_WITHOUT}")
        why = halt_reason(answer, proven=False)
        if why is not None:
            await self._halt(why)
        if code is not None and 400 <= code < 500 and code not in (408, 425, 429):
            await self._halt(f"the API answered {code} and does not list {listing.status} sessions, {_WITHOUT}")
        self._nonsense += code == 200
        if self._nonsense >= _TRIES:
            await self._halt(f"the API's list of {listing.status} sessions cannot be read, {_WITHOUT}")
        if self._trouble_since is None:
            self._trouble_since = context.now()
        patience = context.settings.give_up_after
        if context.now() - self._trouble_since >= patience * 1000:
            await self._halt(
                f"no list of {listing.status} sessions for {format_duration(patience)} "
                f"(last: {answer.exchange.error or code}), {_WITHOUT}"
            )

    async def _halt(self, why: str) -> None:
        """A stop cancels this stage where it waits next."""
        self._context.stop.halt(why)
        await anyio.sleep_forever()
