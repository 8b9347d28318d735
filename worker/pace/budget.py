"""The budget that all requests to one organisation's API share: who may send when, at which rate.

Pure functions of (budget, now, what happened). The ledger runs each of them in one transaction, so that several
processes, or machines, draw from one budget. All instants are seconds on the ledger's clock, rates are requests/s.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Generic, Literal, Protocol, TypeVar

from closeout.worker.config.settings import Settings
from closeout.worker.pace.law import (
    Law,
    Terms,
    closed,
    given,
    moved_on,
    opened,
    rate_of,
    refused,
    set_back,
    slow,
    told_to_wait,
)
from closeout.worker.support.backoff import throttle_wait

_T = TypeVar("_T")
Lane = Literal["close", "settle"]
WaitCause = Literal["pace", "throttled", "outage", "paused"]

LEASE = 0.08  # seconds' worth of permits in one lease: what a process that dies can take with it
TOLERANCE = 0.012  # seconds after its time for which a permit may be used; later it is lost, and never made good for
_HEADROOM = 0.985  # of the rate: pays for TOLERANCE, so that no second sees more than the rate and one
_AHEAD = 0.25  # seconds: nothing is given out further ahead, so that a change of the budget soon reaches everyone
_LOOK_AGAIN = 0.4  # seconds: longest wait before the budget is looked at again, for the same reason
_CLOCK_SET_BACK = 1.0  # seconds: a clock that runs back by more was set
CLOSING_FRESH = 1.0  # seconds for which one request for closing keeps settling in its place
SETTLE_SHARE = 0.2  # of the rate, while there is something to close
_FEELER = 5.0  # requests/s after a wait, until one is answered: there is no use in a burst of refusals
_SLOW_FLOOR = 0.1  # of the ceiling: slow answers alone cut no further
_PROBE_LONGEST = 30.0  # seconds between two probes of an API that is down
_INSTANTS = ("due", "settle_due", "closing_at", "held_at", "held_until", "down_since", "probe_at")


@dataclass(frozen=True, slots=True)
class BudgetKey:
    """Whose budget it is: the API's host, and the organisation where one ledger serves several (else empty)."""

    host: str
    organisation: str = ""


@dataclass(frozen=True, slots=True)
class Budget:
    """One row of the ledger.

    ``due``: up to there everything has been given out. ``settle_due``: settling waits until then while ``closing_at``,
    the last time that closing asked, is fresh. ``held_until``: everyone waits; ``held_at`` is when that wait began, and
    ``holds`` counts such waits in a row. ``down_since``: the API gives no answer (None: it does); one probe leaves at
    ``probe_at``, and ``probes`` have left. ``set_rate``, ``set_tolerated``, ``set_floor`` and ``paused`` are a
    person's word (see ``Word``), said to the run ``set_by``. ``seen_at``: the clock when last looked at. ``law``: what
    is known of the rate that leaves production its room.
    """

    due: float = 0.0
    settle_due: float = 0.0
    closing_at: float = 0.0
    held_at: float = 0.0
    held_until: float = 0.0
    holds: int = 0
    down_since: float | None = None
    probe_at: float = 0.0
    probes: int = 0
    set_rate: float | None = None
    paused: bool = False
    set_by: str | None = None
    seen_at: float = 0.0
    set_tolerated: float | None = None
    set_floor: float | None = None
    law: Law = field(default_factory=Law)


@dataclass(frozen=True, slots=True)
class Ask:
    """A process asks for up to ``wanted`` permits, by ``terms``, whose ceiling is above 0."""

    terms: Terms
    wanted: int
    lane: Lane = "close"


@dataclass(frozen=True, slots=True)
class Grant:
    """``permits`` that may leave one after the other, each at its time or up to TOLERANCE later.

    So whoever holds leases, and however many do: no time ``t`` sees more than ``rate * (t + TOLERANCE) + 1`` leave.
    """

    start: float
    permits: int
    rate: float

    @property
    def step(self) -> float:
        """Seconds from one permit's time to the next one's."""
        return 1 / (self.rate * _HEADROOM)

    @property
    def end(self) -> float:
        return self.start + self.permits * self.step


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing may leave now: ask again after ``seconds``."""

    seconds: float
    cause: WaitCause


@dataclass(frozen=True, slots=True)
class Probe:
    """The API is down, and it is this process that asks it for a sign of life, once."""


Answer = Grant | Wait | Probe


Decision = Callable[[Budget, float], tuple[Budget, _T]]


@dataclass(frozen=True, slots=True)
class Decided(Generic[_T]):
    """The budget as a decision has left it, the clock it was taken by, and what it gave."""

    budget: Budget
    now: float
    value: _T


class BudgetStore(Protocol):
    """Where one budget is kept."""

    async def decide(self, decision: Decision[_T]) -> Decided[_T]:
        """Run the decision on the budget of now and keep what it makes of it, in one transaction."""
        ...


@dataclass(frozen=True, slots=True)
class Word:
    """What a person says to a run while it runs; None leaves what was said before.

    ``rate`` and ``floor`` are requests/s, ``tolerated`` is a share of 429s that changes nothing, 0 for none.
    """

    rate: float | None = None
    paused: bool | None = None
    tolerated: float | None = None
    floor: float | None = None


def ruled(budget: Budget, run: str, word: Word) -> Budget:
    """A person's word to one run, which holds for the whole budget."""
    said = {"set_rate": word.rate, "paused": word.paused, "set_tolerated": word.tolerated, "set_floor": word.floor}
    heard: dict[str, Any] = {name: value for name, value in said.items() if value is not None}
    return replace(budget, set_by=run, **heard)


def unruled(budget: Budget) -> Budget:
    """The run that a person spoke to has ended: its settings hold again."""
    return replace(budget, set_rate=None, paused=False, set_by=None, set_tolerated=None, set_floor=None)


def in_force(budget: Budget, terms: Terms) -> Terms:
    """The terms of a process, and what a person has said."""
    return Terms(
        ceiling=terms.ceiling if budget.set_rate is None else min(terms.ceiling, budget.set_rate),
        limit=terms.limit,
        floor=terms.floor if budget.set_floor is None else budget.set_floor,
        tolerated=terms.tolerated if budget.set_tolerated is None else budget.set_tolerated,
    )


def allowed(budget: Budget, terms: Terms, now: float) -> float:
    """The rate that holds now: never above the ceiling nor what a person has set."""
    return rate_of(budget.law, in_force(budget, terms), now, budget.held_until)


def expected(budget: Budget, terms: Terms, now: float) -> float:
    """The rate to plan by: as long as no refusal has said otherwise, all that may be sent."""
    terms = in_force(budget, terms)
    return terms.ceiling if budget.law.first else rate_of(budget.law, terms, now, budget.held_until)


def reserve(budget: Budget, now: float, ask: Ask) -> tuple[Budget, Answer]:
    """What a process that wants to send gets: a lease of some permits (GCRA), a wait, or the probe.

    The generic cell rate algorithm: ITU-T I.371. ``due`` moves on by the time that the permits take at the asking
    process's rate, so processes with different ceilings share one line, and each keeps to its own.
    """
    budget = in_step(budget, now)
    if ask.lane == "close":
        budget = replace(budget, closing_at=now)
    obstacle = _obstacle(budget, now, ask)
    if isinstance(obstacle, Probe):
        return _probing(budget, now), obstacle
    if obstacle is not None:
        return budget, obstacle
    terms = in_force(budget, ask.terms)
    law = moved_on(budget.law, terms, now, budget.held_until, max(0.0, now - TOLERANCE - budget.due))
    rate = rate_of(law, terms, now, budget.held_until)
    if budget.holds:
        rate = min(rate, _FEELER)
    permits = max(1, min(ask.wanted, int(rate * LEASE)))
    grant = Grant(max(budget.due, now - TOLERANCE), permits, rate)
    budget = replace(budget, due=grant.end, law=given(law, terms, permits))
    if ask.lane == "settle":
        budget = replace(budget, settle_due=max(budget.settle_due, now - LEASE) + permits / (rate * SETTLE_SHARE))
    return budget, grant


def _obstacle(budget: Budget, now: float, ask: Ask) -> Wait | Probe | None:
    if budget.paused:
        return Wait(_LOOK_AGAIN, "paused")
    if budget.held_until > now:
        return Wait(min(budget.held_until - now, _LOOK_AGAIN), "throttled")
    if budget.down_since is not None:
        return Probe() if now >= budget.probe_at else Wait(min(budget.probe_at - now, _LOOK_AGAIN), "outage")
    if budget.due - now > _AHEAD:
        return Wait(min(budget.due - now - _AHEAD / 2, _LOOK_AGAIN), "pace")
    closing = now - budget.closing_at < CLOSING_FRESH
    if ask.lane == "settle" and closing and budget.settle_due > now:
        return Wait(min(budget.settle_due - now, _LOOK_AGAIN), "pace")
    return None


def given_back(budget: Budget, grant: Grant, unused: int) -> Budget:
    """A process stops: what it has not used is free again, unless somebody already stands in line behind it."""
    if budget.due != grant.end:
        return budget
    return replace(budget, due=grant.end - unused * grant.step)


def throttled(  # noqa: PLR0917  # what happened, in full
    budget: Budget, now: float, sent_at: float, told: float | None, terms: Terms, draw: float
) -> Budget:
    """A 429 to a request that left at ``sent_at``: the law says what it means for the rate, and everyone waits.

    ``told`` are the seconds that the API asked for, ``draw`` is from [0, 1) for the jitter of an untold wait. What left
    before the last cut or wait tells nothing of the time after it: it cuts nothing, and an untold wait is not made
    longer for it. A refusal right after a wait says that the wait was too short. One that the law bears makes nobody
    wait but the session that it met, unless the API has told a wait and the terms tolerate nothing.
    """
    terms = in_force(budget, terms)
    fresh = sent_at >= budget.held_at and now >= budget.held_until
    if fresh and not budget.holds:
        law, borne = refused(budget.law, terms, now, sent_at, budget.held_until)
        budget = replace(budget, law=law)
        if borne and (terms.tolerated or told is None):
            return replace(budget, down_since=None)
    return _held(budget, now, told, draw, fresh=fresh)


def _held(budget: Budget, now: float, told: float | None, draw: float, *, fresh: bool) -> Budget:
    if not fresh and told is None:
        return budget
    holds = budget.holds + 1 if fresh else budget.holds
    until = now + throttle_wait(told, max(holds, 1), draw)
    law = closed(budget.law, now) if fresh and not budget.holds else budget.law
    return replace(
        budget,
        held_at=now if fresh else budget.held_at,
        held_until=max(budget.held_until, until),
        holds=holds,
        down_since=None,
        law=told_to_wait(law, until - now if told is not None else 0.0),
    )


def unavailable(budget: Budget, now: float, told: float) -> Budget:
    """A 503 that says when to come again: everyone waits for so long, and the rate is what it was afterwards."""
    return replace(budget, held_until=max(budget.held_until, now + throttle_wait(told, 1, 0.0)))


def slowed(budget: Budget, now: float, sent_at: float, terms: Terms) -> Budget:
    """Answers take far longer than when the API is calm: the rate is cut, though for this alone never to nothing."""
    terms = in_force(budget, terms)
    rate = rate_of(budget.law, terms, now, budget.held_until)
    if sent_at <= budget.law.since or budget.holds or rate < _SLOW_FLOOR * terms.ceiling:
        return budget
    return replace(budget, law=slow(budget.law, terms, now, budget.held_until))


def answered(budget: Budget, now: float, sent_at: float, terms: Terms) -> Budget:
    """Any other proper answer: the API is there; and a wait that was over when the request left has helped."""
    down_since = budget.down_since
    if down_since is not None and sent_at >= down_since:
        down_since = None
    if budget.holds and sent_at >= budget.held_until:
        budget = replace(budget, holds=0, law=opened(budget.law, in_force(budget, terms), now, budget.held_until))
    return replace(budget, down_since=down_since)


def suspected(budget: Budget, now: float) -> Budget:
    """One process gets nothing but failures: everyone holds fire until a probe is answered."""
    if budget.down_since is not None:
        return budget
    return replace(budget, down_since=now, probe_at=now, probes=0)


def recovered(budget: Budget, now: float) -> Budget:
    """A probe was answered."""
    return replace(budget, down_since=None, probes=0, due=max(budget.due, now))


def _probing(budget: Budget, now: float) -> Budget:
    return replace(budget, probe_at=now + probe_interval(budget.probes), probes=budget.probes + 1)


def probe_interval(probes: int) -> float:
    """Seconds from one probe to the next: doubling from half a second to half a minute."""
    return min(_PROBE_LONGEST, 0.5 * 2.0 ** min(probes, 10))


def in_step(budget: Budget, now: float) -> Budget:
    """A clock that was set back takes all instants with it: a wait stays as long as it was."""
    back = budget.seen_at - now
    if back <= _CLOCK_SET_BACK:
        return replace(budget, seen_at=max(now, budget.seen_at))
    moved = {name: at - back for name in _INSTANTS if (at := getattr(budget, name)) is not None}
    return replace(budget, seen_at=now, law=set_back(budget.law, back), **moved)


def budget_key(settings: Settings) -> BudgetKey:
    """Whose budget a run draws from."""
    return BudgetKey(settings.host, settings.organisation)
