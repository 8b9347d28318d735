"""The budget that all requests to one organisation's API share: who may send when, at which rate.

Pure functions of (budget, now, what happened). The ledger runs each of them in one transaction, so that several
processes, or machines, draw from one budget. All instants are seconds on the ledger's clock, rates are requests/s.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Generic, Literal, Protocol, TypeVar

from closeout.worker.config.settings import Settings
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
_INSTANTS = ("due", "settle_due", "closing_at", "cut_at", "held_at", "held_until", "down_since", "probe_at")

# After a cut: how the rate returns.
_CUT = 0.7  # of the rate
_SLOWEST = 0.1  # requests/s that are tried at any rate: one in ten seconds finds out that there is room again
_RISES = 25.0  # seconds from the cut to just below the peak
_STAYS = 60.0  # seconds there: each look above the peak may cost a 429, and with it a wait of everyone
_GROWS = 40.0  # seconds after that in which the rate rises by as much as it was cut by
_BELOW_PEAK = 0.97  # the limit lies below the rate at which it was met: staying just under that meets it less often


@dataclass(frozen=True, slots=True)
class BudgetKey:
    """Whose budget it is: the API's host, and the organisation where one ledger serves several (else empty)."""

    host: str
    organisation: str = ""


@dataclass(frozen=True, slots=True)
class Budget:
    """One row of the ledger.

    ``due``: up to there everything has been given out. ``settle_due``: settling waits until then while ``closing_at``,
    the last time that closing asked, is fresh. ``cut_rate``: the rate right after the last cut, at ``cut_at``, from
    ``peak``; None if never cut. ``held_until``: everyone waits; ``held_at`` is when that wait began, and ``holds``
    counts such waits in a row. ``down_since``: the API gives no answer (None: it does); one probe leaves at
    ``probe_at``, and ``probes`` have left. ``set_rate`` and ``paused`` are a person's word, said to the run ``set_by``.
    ``seen_at``: the clock when last looked at.
    """

    due: float = 0.0
    settle_due: float = 0.0
    closing_at: float = 0.0
    cut_rate: float | None = None
    peak: float | None = None
    cut_at: float = 0.0
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


@dataclass(frozen=True, slots=True)
class Ask:
    """A process asks for up to ``wanted`` permits; ``ceiling`` is the rate that its own settings allow, above 0."""

    ceiling: float
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


def ruled(budget: Budget, run: str, *, rate: float | None = None, paused: bool | None = None) -> Budget:
    """A person's word to one run, which holds for the whole budget. None leaves what was said before."""
    return replace(
        budget,
        set_rate=budget.set_rate if rate is None else rate,
        paused=budget.paused if paused is None else paused,
        set_by=run,
    )


def unruled(budget: Budget) -> Budget:
    """The run that a person spoke to has ended: its settings hold again."""
    return replace(budget, set_rate=None, paused=False, set_by=None)


def allowed(budget: Budget, ceiling: float, now: float) -> float:
    """The rate that holds now: never above the ceiling nor what a person has set."""
    rate = ceiling if budget.set_rate is None else min(ceiling, budget.set_rate)
    if budget.cut_rate is None or budget.peak is None:
        return rate
    # While everyone waits nothing is learnt, so the climb begins after the wait.
    calm = max(0.0, now - max(budget.cut_at, budget.held_until))
    return min(rate, climbed(budget.cut_rate, budget.peak, calm))


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
    rate = allowed(budget, ask.ceiling, now)
    if budget.holds:
        rate = min(rate, _FEELER)
    permits = max(1, min(ask.wanted, int(rate * LEASE)))
    grant = Grant(max(budget.due, now - TOLERANCE), permits, rate)
    budget = replace(budget, due=grant.end)
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
    budget: Budget, now: float, sent_at: float, told: float | None, ceiling: float, draw: float
) -> Budget:
    """A 429 to a request that left at ``sent_at``: the rate is cut, and everyone waits.

    ``told`` are the seconds that the API asked for, ``draw`` is from [0, 1) for the jitter of an untold wait. What left
    before the last cut or wait tells nothing of the time after it: it cuts nothing, and an untold wait is not made
    longer for it.
    """
    budget = _cut(budget, now, sent_at, allowed(budget, ceiling, now))
    fresh = sent_at >= budget.held_at and now >= budget.held_until
    holds = budget.holds + 1 if fresh else budget.holds
    if not fresh and told is None:
        return budget
    until = now + throttle_wait(told, max(holds, 1), draw)
    return replace(
        budget,
        held_at=now if fresh else budget.held_at,
        held_until=max(budget.held_until, until),
        holds=holds,
        down_since=None,
    )


def slowed(budget: Budget, now: float, sent_at: float, ceiling: float) -> Budget:
    """Answers take far longer than when the API is calm: the rate is cut, though for this alone never to nothing."""
    rate = allowed(budget, ceiling, now)
    return budget if rate < _SLOW_FLOOR * ceiling else _cut(budget, now, sent_at, rate)


def _cut(budget: Budget, now: float, sent_at: float, rate: float) -> Budget:
    """Once for all requests of one round trip. A refusal right after a wait says that the wait was too short."""
    if sent_at <= budget.cut_at or budget.holds:
        return budget
    return replace(budget, cut_rate=cut(rate), peak=rate, cut_at=now)


def answered(budget: Budget, sent_at: float) -> Budget:
    """Any other proper answer: the API is there; and a wait that was over when the request left has helped."""
    holds = 0 if sent_at >= budget.held_until else budget.holds
    down_since = budget.down_since
    if down_since is not None and sent_at >= down_since:
        down_since = None
    return replace(budget, holds=holds, down_since=down_since)


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
    return replace(budget, seen_at=now, **moved)


def cut(rate: float) -> float:
    """The rate after a 429."""
    return max(_SLOWEST, rate * _CUT)


def climbed(low: float, peak: float, calm: float) -> float:
    """The rate ``calm`` seconds after it was cut from ``peak`` to ``low``: two cubics, as those of CUBIC (RFC 9438).

    It nears the peak fast and stays just below it for long, as that is where the limit was met; then it climbs ever
    faster, in case the limit has gone. Shape and constants were chosen by simulation: docs/decisions/pace.md.
    """
    level = max(low, peak * _BELOW_PEAK)
    missing = max(0.0, 1 - calm / _RISES)
    beyond = max(0.0, (calm - _RISES - _STAYS) / _GROWS)
    return level + (level - low) * (beyond**3 - missing**3)


def budget_key(settings: Settings) -> BudgetKey:
    """Whose budget a run draws from."""
    return BudgetKey(settings.host, settings.organisation)
