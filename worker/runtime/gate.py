"""What every request passes on its way out, and what every answer tells on its way in."""

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass

import anyio

from closeout.worker.domain.exchange import Answer, Kind
from closeout.worker.pace.budget import Lane
from closeout.worker.pace.limiter import Pace
from closeout.worker.policy.verdict import GOES_ON, Standing, is_retryable, is_strange, strange_host
from closeout.worker.runtime.api_health import Latency, Streak
from closeout.worker.runtime.progress import Progress
from closeout.worker.runtime.stop import Alarms, Stop
from closeout.worker.support.clock import Millis
from closeout.worker.support.log import get_logger
from closeout.worker.support.units import format_duration

_ABOUT = "API"
SCOUTS = 3  # requests in flight until the API has answered one
_LASTING = 10_000  # milliseconds of nothing but what only a person can mend, once the API has spoken
_WALL = 10  # closes that something else answers, from the first on: by chance not even a bad network does that


@dataclass(frozen=True, slots=True)
class Patience:
    """``concurrency``: requests in flight, at most; ``give_up_after``: milliseconds of nothing but trouble."""

    concurrency: int
    give_up_after: Millis


class Gate:
    """A slot (at most ``concurrency`` requests in flight, a few until the API has spoken), then a permit of the pace.

    What does not speak as the API does is a trouble like no answer; where the API has not spoken yet, the run halts.
    Where nothing but trouble comes back for ``give_up_after``, or the API asks to wait longer than that, the run halts,
    or where it has ``alarms`` says so there.
    """

    def __init__(
        self, pace: Pace, patience: Patience, stop: Stop, progress: Progress, now: Callable[[], Millis]
    ) -> None:
        self.pace = pace
        self.standing = Standing()
        self._slots = anyio.Semaphore(min(SCOUTS, patience.concurrency), fast_acquire=True)
        self._more_slots = max(0, patience.concurrency - SCOUTS)
        self._settling = anyio.Lock(fast_acquire=True)  # held by the one request that waits
        self._give_up_after = patience.give_up_after
        self._stop = stop
        self._progress = progress
        self._now = now
        self._trouble_since: Millis | None = None
        self._asking = anyio.Lock()  # held while whoami is asked whose host this is
        self._lasting_since: Millis | None = None
        self._strange_closes = 0  # until the first one that the API answers
        self._strange = False  # whether the trouble is that something else answers
        self._last_trouble = "nothing but failures, nor did a probe get through"  # of others on this budget
        self._began = now()
        self._streak = Streak()
        self._latency: dict[Kind, Latency] = {"close": Latency(), "read": Latency()}
        self.alarms: Alarms | None = None
        pace.on_wait = self._check_patience

    async def enter(self, lane: Lane = "close") -> None:
        """Return when one request may leave; ``leave`` must follow.

        Settling waits for its share of the pace with one slot at most: else its waiters would hold those that closing
        could use.
        """
        async with self._settling if lane == "settle" else nullcontext():
            await self._take(lane)
        self._progress.in_flight += 1

    async def _take(self, lane: Lane) -> None:
        await self._slots.acquire()
        try:
            if not self.standing.spoken:
                async with self._asking:  # nothing leaves for a host that is just found out to be another
                    pass
            await self.pace.permit(lane, self._slots.value + 1)
        except BaseException:
            self._slots.release()
            raise

    def leave(self) -> None:
        self._progress.in_flight -= 1
        self._slots.release()

    async def told(self, answer: Answer) -> None:
        """Learn from an answer, or from its absence."""
        self._progress.exchanged(answer)
        if answer.from_api:
            self._spoke()
        elif await self._is_another_host(answer) or self._is_set_up_wrong(answer):
            return
        status = answer.http_status
        if status == 429:  # whoever says so
            self._streak.broken()
            await self.pace.throttled(answer.retry_after, answer.exchange.ms)
        elif status is None or status >= 500 or answer.foreign:
            if status == 503 and (answer.retry_after or 0) > 0:
                await self.pace.unavailable(answer.retry_after or 0)
            await self._failed(answer)
        else:
            await self._answered(answer)
        if status is None or is_retryable(status) or answer.foreign:
            self._trouble(answer)
            return
        self._calm()
        if answer.exchange.kind == "close" and answer.from_api and status not in (401, 403):
            self.standing.proven = True

    def _spoke(self) -> None:
        self._lasting_since = None
        if not self.standing.spoken:
            self.standing.spoken = True
            for _ in range(self._more_slots):
                self._slots.release()

    async def _is_another_host(self, answer: Answer) -> bool:
        """Whether an answer that is not the API's shows that this is not its host: then the run halts.

        The API itself may garble an answer: where it has not spoken yet, whoami tells. Of closes the first ten tell.
        """
        if not is_strange(answer):
            return False
        if not self.standing.spoken and self.pace.probe is not None and answer.exchange.kind != "probe":
            async with self._asking:
                if not self.standing.spoken and not self._stop.requested:
                    await self.pace.probe()
        self._strange_closes += answer.exchange.kind == "close" and not self.standing.proven
        if self.standing.spoken and self._strange_closes < _WALL:
            return False
        if self.standing.proven or (self.standing.spoken and answer.exchange.kind != "close"):
            return False
        self._stop.halt(strange_host(answer, self.standing))
        return True

    def _is_set_up_wrong(self, answer: Answer) -> bool:
        """Whether nothing gets through that only a person can mend, such as a certificate: then the run halts.

        Where the API has spoken already, it may be a server that is just being set up anew: that gets a few seconds.
        """
        if not answer.lasting:
            self._lasting_since = None
            return False
        if self._lasting_since is None:
            self._lasting_since = self._now()
        if self.standing.spoken and self._now() - self._lasting_since < min(_LASTING, self._give_up_after):
            return False
        self._halt(f"{answer.cause}{GOES_ON}")
        return self.alarms is None

    async def _failed(self, answer: Answer) -> None:
        """When nothing but failures comes back, everyone holds fire until a probe is answered."""
        if self._streak.failed(answer.exchange.at, sent=answer.sent):
            await self.pace.suspect()

    async def _answered(self, answer: Answer) -> None:
        self._over()
        await self.pace.answered(answer.exchange.ms)
        latency = self._latency.get(answer.exchange.kind)
        if latency is not None and latency.add(answer.exchange.ms):
            await self.pace.slowed(answer.exchange.ms)

    def probed(self, answer: Answer) -> bool:
        """Whether the API answered a probe: anything but a failure is a sign of life.

        Where something else answers closes, only an answer of the API to another request ends the trouble.
        """
        self._progress.exchanged(answer)
        status = answer.api_status
        if answer.from_api:
            self._spoke()
        elif is_strange(answer) and not self.standing.spoken:
            self._stop.halt(strange_host(answer, self.standing))
        else:
            self._is_set_up_wrong(answer)
        alive = status is not None and status < 500
        if alive:
            self._over()
            if not self._strange:
                self._calm()
        else:
            self._streak.confirmed = True
            self._last_trouble = answer.trouble
        return alive

    def _over(self) -> None:
        """What failed in an outage that is over is not held against the sessions that it hit."""
        if self._streak.confirmed and self._streak.since is not None:
            self.standing.outage = (self._streak.since, self._now())
        self._streak.broken()

    def _trouble(self, answer: Answer) -> None:
        now = self._now()
        if answer.trouble != self._last_trouble:
            get_logger().info("no usable answer", kind=answer.exchange.kind, why=answer.trouble)
        self._last_trouble, self._strange = answer.trouble, answer.foreign
        if self._trouble_since is None:
            self._trouble_since = now
        self._check_patience()
        if now - self._trouble_since >= self._give_up_after:
            self._give_up()

    def _check_patience(self) -> None:
        """Also while everyone waits: an API in trouble is given up on time, not at the next answer."""
        held, now = self.pace.held_for, self._now()
        if held * 1000 > self._give_up_after:
            self._halt(f"the API asks to wait {format_duration(held)}, longer than --give-up-after {self._limit}")
        down_since = self.pace.budget.down_since
        if down_since is not None and now - max(down_since * 1000, self._began) >= self._give_up_after:
            self._give_up()

    def _give_up(self) -> None:
        self._halt(f"no usable answer from the API for {self._limit} (last: {self._last_trouble}){GOES_ON}")

    def _halt(self, why: str) -> None:
        """Work without an end tells it, and goes on asking now and then."""
        if self.alarms is None:
            self._stop.halt(why)
        else:
            self.alarms.begin(_ABOUT, why)

    def _calm(self) -> None:
        self._trouble_since, self._strange = None, False
        if self.alarms is not None:
            self.alarms.end(_ABOUT, "the API answers again")

    @property
    def _limit(self) -> str:
        return format_duration(self._give_up_after / 1000)
