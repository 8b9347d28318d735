"""What every request passes on its way out, and what every answer tells on its way in."""

from collections.abc import Callable

import anyio

from worker.models import Answer, Millis
from worker.pacing import Pace
from worker.progress import Progress
from worker.stopping import Stop
from worker.units import format_duration
from worker.verdict import GOES_ON, RETRYABLE


class Gate:
    """A slot (at most ``concurrency`` requests in flight), then a permit of the pace.

    ``proven`` is true once the API has given a proper answer: the key and the host are right. Where nothing but
    trouble comes back for ``give_up_after`` milliseconds, or the API asks to wait longer than that, the run halts.
    """

    def __init__(  # noqa: PLR0917  # the parts it ties together, each named by its type
        self,
        pace: Pace,
        concurrency: int,
        give_up_after: Millis,
        stop: Stop,
        progress: Progress,
        now: Callable[[], Millis],
    ) -> None:
        self.pace = pace
        self.proven = False
        self._slots = anyio.Semaphore(concurrency, fast_acquire=True)
        self._give_up_after = give_up_after
        self._stop = stop
        self._progress = progress
        self._now = now
        self._trouble_since: Millis | None = None

    async def enter(self) -> None:
        """Return when one request may leave; ``leave`` must follow."""
        await self._slots.acquire()
        try:
            await self.pace.permit()
        except BaseException:
            self._slots.release()
            raise
        self._progress.in_flight += 1

    def leave(self) -> None:
        self._progress.in_flight -= 1
        self._slots.release()

    def told(self, answer: Answer) -> None:
        """Learn from an answer, or from its absence."""
        self._progress.exchanged(answer)
        status = answer.http_status
        if status == 429:
            self.pace.throttled(answer.retry_after)
        elif not answer.sent:
            self.pace.unreachable()
        elif status is not None:
            self.pace.answered()
        if status is None or status in RETRYABLE:
            self._trouble(answer)
            return
        self._trouble_since = None
        if answer.from_api and status not in (401, 403):
            self.proven = True

    def _trouble(self, answer: Answer) -> None:
        now = self._now()
        if self._trouble_since is None:
            self._trouble_since = now
        limit = format_duration(self._give_up_after / 1000)
        held = self.pace.held_for
        if held * 1000 > self._give_up_after and not self.pace.is_unreachable:
            self._stop.halt(
                f"the API asks to wait {format_duration(held)}, longer than --give-up-after {limit}{GOES_ON}"
            )
        elif now - self._trouble_since >= self._give_up_after:
            what = answer.exchange.error or f"status {answer.http_status}"
            self._stop.halt(f"the API gave no usable answer for {limit} (last: {what}){GOES_ON}")
