"""The pace of all requests of this process: permits leased from the shared budget, spaced evenly, one a request."""

import random
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TypeVar

import anyio
from aiolimiter import AsyncLimiter

from closeout.worker.pace.budget import (
    LEASE,
    TOLERANCE,
    Ask,
    Budget,
    BudgetStore,
    Decision,
    Grant,
    Lane,
    Probe,
    Wait,
    allowed,
    answered,
    expected,
    given_back,
    recovered,
    reserve,
    slowed,
    suspected,
    throttled,
    unavailable,
    unruled,
)
from closeout.worker.pace.case import Case, case_of
from closeout.worker.pace.law import Terms

_T = TypeVar("_T")
Cause = str
_TIMER_SLACK = 0.003  # seconds by which a timer of the event loop may be late
_CATCH_UP = 1.25  # times its rate: how fast a lease that is behind its time may be used
_QUIET_LOOK = 0.4  # seconds between looks at a ceiling of zero


def spacing(rate: float) -> tuple[float, float]:
    """Capacity and seconds to drain it of a leaky bucket: what is late does not leave in one burst.

    It delays nothing that is on time, nor one permit that is late. At high rates one timer is late for several.
    """
    capacity = max(2.0, 1 + _TIMER_SLACK * rate)
    return capacity, capacity / (rate * _CATCH_UP)


class PermitLease:
    """The permits that one lane of this process holds. Instants are on the process's own clock."""

    def __init__(self) -> None:
        self.turn = anyio.Lock(fast_acquire=True)
        self.left = 0
        self.grant: Grant | None = None
        self._end = 0.0
        self._taken_at = 0.0
        self._used = 0
        self.limiter = AsyncLimiter(1)

    def take(self, grant: Grant, offset: float, now: float) -> None:
        """Begin with a new lease, ``offset`` being what the ledger's clock is ahead; the one before it is over."""
        if self.grant is None or grant.rate != self.grant.rate:
            self.limiter = AsyncLimiter(*spacing(grant.rate))
        self.grant, self.left, self._taken_at, self._used = grant, grant.permits, now, 0
        self._end = grant.end - offset

    def next_time(self, now: float) -> float | None:
        """The time of the next permit that can still be used, or None. Those whose time is over are lost."""
        if self.grant is None:
            return None
        while self.left > 0:
            time = self._end - self.left * self.grant.step
            if now <= time + TOLERANCE:
                return time
            self.left -= 1
        return None

    def use(self, now: float) -> bool:
        """Take the next permit, if its time has come and is not over; it may have been taken away meanwhile."""
        time = self.next_time(now)
        if time is None or now < time:
            return False
        self.left -= 1
        self._used += 1
        return True

    def wanted(self, free: int, now: float) -> int:
        """What can be used soon: by the slots that are free, and by those that the last lease's time saw used.

        A lease that was over before any of it could be used was too short for this machine: the next one lasts longer.
        """
        recent = self._used / max(now - self._taken_at, LEASE / 8)
        lost = self.grant.permits if self.grant is not None and not self._used else 0
        return max(free, 1 + int(recent * LEASE), 2 * lost)


class Pace:
    """Hands out permits, one a request, and takes in what answers say of the rate.

    ``ceiling`` gives the rate, in requests per second, that the settings allow now; 0: nothing may leave. ``terms`` is
    what the process goes by besides (None: the ceiling is the whole limit). ``probe`` sends one harmless request and
    says whether the API answered. ``on_wait`` is called again and again while requests are held up. ``waited`` are the
    seconds for which they were, by cause, and ``slower`` those for which the law kept the rate below what is allowed,
    by case, as far as somebody looked.
    """

    def __init__(
        self,
        store: BudgetStore,
        ceiling: Callable[[], float],
        rng: random.Random,
        clock: Callable[[], float] = time.monotonic,
        terms: Terms | None = None,
    ) -> None:
        self.ceiling = ceiling
        self._usual = terms
        self.probe: Callable[[], Awaitable[bool]] | None = None
        self.on_wait: Callable[[], None] = lambda: None
        self.waited: defaultdict[Cause, float] = defaultdict(float)
        self.slower: defaultdict[str, float] = defaultdict(float)
        self._store = store
        self._rng = rng
        self._clock = clock
        self._leased: dict[Lane, PermitLease] = {"close": PermitLease(), "settle": PermitLease()}
        self._budget = Budget()
        self._offset = 0.0
        self._accounted = 0.0
        self.cause: Cause | None = None

    # what is known

    def now(self) -> float:
        """The ledger's clock, as far as it is known here."""
        return self._clock() + self._offset

    @property
    def budget(self) -> Budget:
        """As it was when this process looked last, a moment ago while there is work."""
        return self._budget

    @property
    def terms(self) -> Terms:
        """What this process goes by now."""
        ceiling = self.ceiling()
        return Terms(ceiling, ceiling) if self._usual is None else replace(self._usual, ceiling=ceiling)

    @property
    def rate(self) -> float:
        """Requests per second that are allowed now."""
        return allowed(self._budget, self.terms, self.now())

    @property
    def expected(self) -> float:
        """Requests per second to plan by."""
        return expected(self._budget, self.terms, self.now())

    @property
    def case(self) -> Case | None:
        """Why the rate is not what the settings allow, where it is the law that says so."""
        return case_of(self._budget, self.terms, self.now()) if self.ceiling() > 0 else None

    @property
    def held_for(self) -> float:
        """Seconds for which the API has asked everyone to wait; 0 when it has not."""
        return max(0.0, self._budget.held_until - self.now())

    @property
    def is_down(self) -> bool:
        return self._budget.down_since is not None

    # permits

    async def permit(self, lane: Lane, free: int) -> None:
        """Return when one request may leave; ``free`` is how many could leave at once."""
        leased = self._leased[lane]
        async with leased.turn:
            while True:
                now = self._clock()
                time = leased.next_time(now)
                if time is None:
                    await self._lease(leased, lane, free)
                    continue
                if time > now:
                    await anyio.sleep(time - now)
                await leased.limiter.acquire()
                if leased.use(self._clock()):
                    return

    async def _lease(self, leased: PermitLease, lane: Lane, free: int) -> None:
        """Get a new lease, or wait and leave it to the caller to ask again."""
        terms = self.terms
        if terms.ceiling <= 0:
            await self._wait(_QUIET_LOOK, "quiet hours")
            return
        ask = Ask(terms, leased.wanted(free, self._clock()), lane)
        answer = await self._decide(lambda budget, now: reserve(budget, now, ask))
        if isinstance(answer, Grant):
            self.cause = None
            leased.take(answer, self._offset, self._clock())
        elif isinstance(answer, Wait):
            await self._wait(answer.seconds, answer.cause)
        elif isinstance(answer, Probe):
            await self._send_probe()

    async def _wait(self, seconds: float, cause: Cause) -> None:
        if cause == "pace":
            await anyio.sleep(seconds)
            return
        self.cause = cause
        self.on_wait()
        began = self._clock()
        try:
            await anyio.sleep(seconds)
        finally:
            # Two lanes that wait at the same time wait once.
            now = self._clock()
            self.waited[cause] += max(0.0, now - max(began, self._accounted))
            self._accounted = max(self._accounted, now)

    async def give_back(self) -> None:
        """Return what was leased and not used: to be called when this process stops sending."""
        for leased in self._leased.values():
            grant, unused, leased.left = leased.grant, leased.left, 0
            if grant is not None and unused > 0:
                await self._apply(lambda budget, _, g=grant, n=unused: given_back(budget, g, n))  # type: ignore[misc]

    async def leave(self, run: str) -> None:
        """A run ends: permits that were not used go back, and what a person said to it holds no longer."""
        await self.give_back()
        await self._apply(lambda budget, _: unruled(budget) if budget.set_by == run else budget)

    # what answers say

    async def throttled(self, told: float | None, ms: int) -> None:
        """Take in a 429, ``ms`` after its request left: everyone waits, and what was leased is void."""
        sent, terms, draw = self.now() - ms / 1000, self.terms, self._rng.random()
        for leased in self._leased.values():
            leased.left = 0
        await self._apply(lambda budget, now: throttled(budget, now, sent, told, terms, draw))

    async def unavailable(self, told: float) -> None:
        """Take in a 503 that asks to wait for so many seconds: everyone does, and what was leased is void."""
        for leased in self._leased.values():
            leased.left = 0
        await self._apply(lambda budget, now: unavailable(budget, now, told))

    async def slowed(self, ms: int) -> None:
        """Take in that the API has become slow."""
        sent, terms = self.now() - ms / 1000, self.terms
        await self._apply(lambda budget, now: slowed(budget, now, sent, terms))

    async def suspect(self) -> None:
        """Take in that nothing but failures comes back: fire is held until a probe is answered."""
        for leased in self._leased.values():
            leased.left = 0
        await self._apply(suspected)

    async def answered(self, ms: int) -> None:
        """Take in a proper answer. Told to the ledger only where it changes something."""
        if self._budget.holds or self._budget.down_since is not None:
            sent, terms = self.now() - ms / 1000, self.terms
            await self._apply(lambda budget, now: answered(budget, now, sent, terms))

    async def _send_probe(self) -> None:
        self.cause = "outage"
        self.on_wait()
        began = self._clock()
        if self.probe is not None and await self.probe():
            await self._apply(recovered)
        self.waited["outage"] += self._clock() - began

    async def _apply(self, change: Callable[[Budget, float], Budget]) -> None:
        await self._decide(lambda budget, now: (change(budget, now), None))

    async def _decide(self, decision: Decision[_T]) -> _T:
        asked = self._clock()
        decided = await self._store.decide(decision)
        self._budget = decided.budget
        # The ledger's clock was read between then and now. What was known of it holds where it agrees: an answer that
        # took long, over a network or a busy machine, tells less than one that was quick.
        earliest, latest = decided.now - self._clock(), decided.now - asked
        self._offset = min(max(self._offset, earliest), latest)
        return decided.value
