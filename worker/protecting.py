"""The protecting stage: lists the sessions that must be left alone, before anything is closed and every minute after.

Few sessions are in these statuses at any time, so that costs a request or two a minute, where reading each session
before its close would cost as much as closing.
"""

import anyio

from worker.context import Context
from worker.models import Answer, Listing, Millis, Record, SessionState
from worker.verdict import GOES_ON

_EVERY: Millis = 60_000
_AGAIN = 1.0  # seconds before a list that could not be had is asked for again; the gate ends it in the long run
_TRIES = 3  # of a list that leads in a circle
_LATER = frozenset({"pending_dispatch"})  # statuses that dialect 1.21 does not know, and refuses to list


class Protecting:
    """Runs until closing is done. Without a whole list nothing is closed."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._circles = 0

    async def run(self) -> None:
        """List, and list again, until closing is done or a list cannot be had."""
        context = self._context
        if not context.protected.statuses:
            return
        with context.stop.interruptible():
            while not context.closing_done.is_set():
                asked = context.now()
                sessions = await self._list_all()
                if sessions is None:
                    await anyio.sleep(_AGAIN)
                    continue
                context.protected.listed(sessions, asked)
                with anyio.move_on_after(max(0, asked + _EVERY - context.now()) / 1000):
                    await context.closing_done.wait()

    async def _list_all(self) -> dict[str, SessionState] | None:
        found: dict[str, SessionState] = {}
        for status in sorted(self._context.protected.statuses):
            if status in _LATER and self._context.settings.api == "1.21":
                continue
            if not await self._list(status, found):
                return None
        return found

    async def _list(self, status: str, found: dict[str, SessionState]) -> bool:
        """All pages of one status; whether they are whole."""
        cursors: set[str] = set()
        cursor: str | None = None
        while True:
            answer = await self._send(Listing(status=status), cursor)
            if answer.exchange.http_status != 200 or answer.exchange.error is not None:
                self._refused(answer, status)
                return False
            found |= {each.session_id: each for each in answer.sessions if each.status == status}
            cursor = answer.cursor
            if cursor is None:
                return True
            if cursor in cursors:
                self._in_a_circle(status)
                return False
            cursors.add(cursor)

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

    def _refused(self, answer: Answer, status: str) -> None:
        """What will not be otherwise the next time ends the run; anything else is asked for again."""
        code = answer.http_status
        if code is not None and 400 <= code < 500 and code not in (408, 425, 429):
            why = "the key may not list sessions" if code in (401, 403) else f"it does not list {status}"
            self._context.stop.halt(
                f"the API answered {code}: {why}, so those that --protect spares cannot be told{GOES_ON}; "
                "--protect none closes whatever their status"
            )

    def _in_a_circle(self, status: str) -> None:
        self._circles += 1
        if self._circles >= _TRIES:
            self._context.stop.halt(
                f"the API's list of {status} sessions leads in a circle, so those that --protect spares cannot be "
                f"told{GOES_ON}; --protect none closes whatever their status"
            )
