"""Pages of the API's list, and the server's clock."""

from collections.abc import AsyncIterator, Awaitable, Callable

import anyio

from closeout.worker.domain.exchange import Answer
from closeout.worker.domain.item import Record
from closeout.worker.domain.session import Listing
from closeout.worker.lookup.cursor import ListingCursor
from closeout.worker.policy.verdict import GOES_ON, halt_reason, is_retryable
from closeout.worker.runtime.context import Context
from closeout.worker.support.clock import Millis
from closeout.worker.support.units import format_duration

_AGAIN = 0.5  # seconds before a page that could not be had is asked for again
_ABOUT = "list"
_REFUSED_CURSOR = (400, 404, 410, 422)
Request = Callable[[Listing, str | None], Awaitable[Answer]]
_RETRY = 0.5  # seconds before an API that did not answer is asked again


class Pages:
    """Sends ``request`` for each page, at the run's pace. ``lacking`` tells a person what the lack of them means.

    ``sent`` counts its requests.
    """

    def __init__(self, context: Context, request: Request, lacking: str) -> None:
        self._context = context
        self._request = request
        self._lacking = lacking
        self._trouble_since: Millis | None = None
        self.sent = 0

    async def of(self, listing: Listing) -> AsyncIterator[Answer]:
        """All pages, each of them a good answer, none of which repeats what the one before told."""
        walk = ListingCursor(listing)
        while (answer := await self.next(walk)) is not None:
            yield answer

    async def next(self, walk: ListingCursor) -> Answer | None:
        """The next page of a walk; None at its end. A listing that leads in a circle halts the run."""
        if walk.astray and not walk.restart():
            await self._halt(f"the API's list of {walk.listing.status} sessions leads in a circle")
        while not walk.done:
            answer = await self._send(walk.listing, walk.cursor)
            if answer.api_status == 200:
                self._trouble_since = None
                if self._context.alarms is not None:
                    self._context.alarms.end(_ABOUT, "sessions are listed again")
                return walk.took(answer)
            if answer.api_status not in _REFUSED_CURSOR or not walk.restart():
                await self._judge(answer, walk.listing)
                await anyio.sleep(_AGAIN)
        return None

    async def _send(self, listing: Listing, cursor: str | None) -> Answer:
        context = self._context
        await context.gate.enter()
        try:
            answer = await self._request(listing, cursor)
        finally:
            context.gate.leave()
        self.sent += 1
        await context.gate.told(answer)
        await context.recorder.put(Record(answer.exchange, ()))
        return answer

    async def _judge(self, answer: Answer, listing: Listing) -> None:
        """What will not be otherwise the next time ends the run, and what has been so for too long."""
        context, code = self._context, answer.api_status
        if code == 403:
            await self._halt("the API answered 403: the key may not list sessions (scope conversations:read)")
        why = halt_reason(answer, context.gate.standing)
        if why is not None:
            context.stop.halt(why)
            await anyio.sleep_forever()
        if code is not None and 400 <= code < 500 and code not in (408, 425, 429):
            await self._halt(f"the API answered {code} and does not list {listing.status} sessions")
        if self._trouble_since is None:
            self._trouble_since = context.now()
        patience = context.settings.give_up_after
        if context.now() - self._trouble_since >= patience * 1000:
            why = f"no list of {listing.status} sessions for {format_duration(patience)} (last: {answer.trouble})"
            if context.alarms is None:
                await self._halt(why)
            else:
                context.alarms.begin(_ABOUT, f"{why}, {self._lacking.format('')}")

    async def _halt(self, why: str) -> None:
        """A stop cancels this stage where it waits next."""
        self._context.stop.halt(f"{why}, {self._lacking.format(GOES_ON)}")
        await anyio.sleep_forever()


async def learn_server_time(context: Context) -> None:
    """Return once an answer has told the time. The first request of all may come to be the harmless one sent for it.

    An API that answers and never tells it halts the run; one that does not answer does so after ``give_up_after``.
    """
    while not context.api.server_clock.known:
        answer = await context.first_sign()
        status = answer.api_status
        if answer.server_time is None and status is not None and not is_retryable(status):
            context.stop.halt(
                f"the API's answers tell no time (no Date header), so no age of a session is known{GOES_ON}: "
                "look for a proxy that takes the header away"
            )
            await anyio.sleep_forever()
        if not context.api.server_clock.known:
            await anyio.sleep(_RETRY)
