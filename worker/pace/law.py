"""The law of the rate: how it gives way to production, which nobody here can see, and how it finds room again.

Pure functions of (state, now, what happened); the state is part of the budget's row. Instants are seconds on the
ledger's clock, rates requests/s. What it rests on, and simulations that chose its constants: docs/decisions/pace.md.

Production shares the limit and arrives at random, so that its rate spreads by the root of itself. Our own 429s say how
full the limit is, not by whom. So the law begins slowly; where it is refused it gives way by a few standard deviations
of what production seems to send; it stays there; and now and then it *looks*: it goes faster and faster for a moment,
until it is refused again or has reached the ceiling. All of its times are counted in the wait that the API asks for.
"""

import math
from dataclasses import dataclass, replace

_LEAST = 0.2  # requests/s that are tried at any rate, where the floor is lower
_FLOOR = 0.005  # of the limit: more costs production a tenth of a point where it fills the limit by itself
_PATIENCE = 12.0  # waits from a cut to the next look
_STAYS = 30.0  # waits on a plateau of at least one spread, where there is something to lose
_LOOK = 0.10  # of the limit: what a look begins with
_DOUBLES = 1.5  # waits in which it doubles: short and steep, it finds the edge with few of our requests inside
_LONG_LOOK = 0.05  # of the limit by which a look grows in each wait, where windows are long
_LONG = 1.5  # seconds of waiting from which a window counts as long
_TOLD_LONG = 2.0  # seconds: a wait that is told in whole seconds is one second long in windows of a second
_HELD_LONG = 5.0  # seconds that a refusal goes on for, untold
_LONGEST = 60.0  # seconds: no window is taken to be longer
_REMEMBERED = 20.0  # seconds at most that a new run takes from what was known of the API's windows
_CREEP = 0.01  # of the margin, in each wait: how fast a plateau rises
_WIDEST, _NARROWEST = 3.0, 0.3  # spreads between the rate and where it was refused
_STRAY = 0.25  # spreads, for one 429 in many
_IDLE = 60.0  # waits without a request after which nothing is known of production any more
_CHANGED = 5.0  # 429s that did not come: by chance that is one case in 150
_KEPT = 400  # requests from which the evidence for a verdict fades
_FORGIVEN_LOOK = (0.05, 2.0)  # share and number of 429s that a look bears while they may be none of ours
_VERDICT_DEPTH = 6.0
_FAIR_DEPTH, _FAIR_MARGIN = 6.0, 1.5


@dataclass(frozen=True, slots=True)
class Terms:
    """What one process goes by. ``limit``: the organisation's, in requests/s; ``ceiling``: what it may send of that.

    ``floor`` (None: half a percent of the limit) is never gone below; up to ``tolerated``, a share of answers, 429s
    change nothing (0: they do, each).
    """

    ceiling: float
    limit: float
    floor: float | None = None
    tolerated: float = 0.0

    @property
    def whole(self) -> float:
        """The limit; whoever may send more than that knows of a higher one."""
        return max(self.limit, self.ceiling)

    @property
    def least(self) -> float:
        return min(self.ceiling, max(_LEAST, _FLOOR * self.whole) if self.floor is None else self.floor)


@dataclass(frozen=True, slots=True)
class Law:
    """What is known. ``wait`` and ``margin`` say what kind of limiter it is, and outlive runs.

    ``base``: the rate kept since ``since``; ``look_at``: when the next look may begin, or has begun (``looking``).
    ``first``: no look has ended yet. ``capped``: the last one has found room up to the ceiling, ``top``. ``met``: the
    rate of the last refusal. ``sent`` and ``forgiven``: permits given and 429s borne since the last cut. The limiter
    ``open_at``: opened; ``open_sent``: permits since then; ``open_for``: seconds that it was open before it closed at
    ``closed_at``, for ``long`` or a moment. ``low`` and ``high``: permits given while we were hardly there, and while
    we went fast, and how many of them were met by a 429; ``clean``: permits since the last 429. ``alien``: the share of
    429s that slowing down does not remove (0: none is known); ``debt``: 429s that were borne and are not yet paid for
    by requests.
    """

    base: float = 0.0
    since: float = 0.0
    look_at: float = 0.0
    looking: bool = False
    first: bool = True
    capped: bool = False
    top: float = 0.0
    wait: float = 1.0
    margin: float = _WIDEST
    met: float = 0.0
    sent: int = 0
    forgiven: int = 0
    open_at: float = 0.0
    open_sent: int = 0
    open_for: float = 0.0
    closed_at: float = 0.0
    long: bool = False
    low: float = 0.0
    low_met: float = 0.0
    high: float = 0.0
    high_met: float = 0.0
    clean: int = 0
    alien: float = 0.0
    debt: float = 0.0

    @property
    def odd(self) -> bool:
        """Whether some 429s came while we were hardly there: they may have nothing to do with us.

        Where that is more than one in twenty, production itself fills the limit.
        """
        return 2 <= self.low_met <= 2 + 0.05 * self.low and self.low_met >= 0.01 * self.low


def spread(limit: float, rate: float) -> float:
    """The standard deviation of production's requests in a second, where it and ``rate`` fill the limit."""
    return math.sqrt(max(1.0, limit - rate))


def plateau(law: Law, limit: float, now: float, held_until: float) -> float:
    """The rate that is kept between two looks; it creeps up where there is something to lose by looking."""
    wide = spread(limit, law.base)
    if law.capped or law.base < wide:
        return law.base
    calm = max(0.0, now - max(law.since, held_until))
    return law.base + _CREEP * law.margin * wide * calm / law.wait


def rate_of(law: Law, terms: Terms, now: float, held_until: float) -> float:
    """The rate of now, from the floor to the ceiling."""
    return min(terms.ceiling, max(terms.least, _unbounded(law, terms, now, held_until)))


def _unbounded(law: Law, terms: Terms, now: float, held_until: float) -> float:
    if not law.since:
        return _LOOK * terms.whole
    kept = plateau(law, terms.whole, now, held_until)
    if not law.looking or held_until > now:
        return kept
    waits = max(0.0, now - law.look_at) / law.wait
    if law.wait > _LONG:
        return kept + _LONG_LOOK * terms.whole * waits
    return kept + _LOOK * terms.whole * 2 ** min(waits / _DOUBLES, 30.0)


def moved_on(law: Law, terms: Terms, now: float, held_until: float, idle: float) -> Law:
    """Somebody wants to send, the first one for ``idle`` seconds: a look begins, goes on or has reached the ceiling.

    Its clock stands still while nothing is sent, for want of work or of leave: what was not tried says nothing.
    """
    if not law.since or min(idle, now - held_until) > _IDLE * law.wait:
        law = started_anew(law, now)
    if not law.looking:
        if held_until > now or now < law.look_at or not _may_look(law, terms, now, held_until):
            return law
        return replace(law, looking=True, look_at=now, top=max(law.top, terms.ceiling))
    law = replace(law, look_at=min(now, law.look_at + idle), top=max(law.top, terms.ceiling))
    if terms.ceiling >= law.top and _unbounded(law, terms, now, held_until) >= terms.ceiling:
        return _settled(law, terms.ceiling, now)
    return law


def given(law: Law, terms: Terms, permits: int) -> Law:
    """So many permits are given out."""
    share, _ = _borne(law, terms)
    root, sent = math.sqrt(terms.whole), law.open_sent + permits
    debt = max(0.0, law.debt - permits * share)
    law = replace(law, sent=law.sent + permits, open_sent=sent, debt=debt, clean=law.clean + permits)
    if sent < root:
        law = replace(law, low=law.low + permits)
    elif sent >= 2 * root:
        law = replace(law, high=law.high + permits)
    return _judged(_faded(law))


def _may_look(law: Law, terms: Terms, now: float, held_until: float) -> bool:
    if law.capped:
        return terms.ceiling > law.base
    return law.first or now >= next_look(law, terms, held_until)


def next_look(law: Law, terms: Terms, held_until: float) -> float:
    """When it looks again, if nothing is refused until then."""
    at = max(law.look_at, held_until)
    if is_small(law, terms) or counts_by_long_windows(law):
        return at
    return max(at, max(law.since, held_until) + _STAYS * law.wait)


def is_small(law: Law, terms: Terms) -> bool:
    """Whether the rate that is kept would be lost in production's own noise."""
    return law.base < spread(terms.whole, law.base)


def counts_by_long_windows(law: Law) -> bool:
    """Whether the API counts by windows of many seconds, as its waits tell."""
    return law.wait > _LONG


def started_anew(law: Law, now: float) -> Law:
    """Nothing is known of production; of the API, what kind of limiter it has."""
    return Law(since=now, look_at=now, wait=min(law.wait, _REMEMBERED), margin=law.margin, open_at=now)


def _settled(law: Law, ceiling: float, now: float) -> Law:
    """A look has found room up to the ceiling."""
    kept = replace(law, base=ceiling, since=now, looking=False, capped=True, top=ceiling)
    return replace(kept, wait=max(1.0, 0.7 * law.wait) if law.first or law.sent > law.wait * ceiling else law.wait)


def _faded(law: Law) -> Law:
    if law.low > _KEPT:
        law = replace(law, low=law.low / 2, low_met=law.low_met / 2)
    if law.high > _KEPT:
        law = replace(law, high=law.high / 2, high_met=law.high_met / 2)
    return law


def _judged(law: Law) -> Law:
    """The verdict that 429s are not ours: they are as many where we go fast as where we are hardly there.

    Of one time: as many requests without a single 429 as it takes to know that something has changed, and what was seen
    before is forgotten.
    """
    if law.low_met and law.clean * (law.alien or law.low_met / max(law.low, 1.0)) > _CHANGED:
        return _forgotten(law)
    if not law.odd or law.high < 40 or not law.high_met:
        return law
    low, high = law.low_met / law.low, law.high_met / law.high
    if (low - 1 / law.low) / 3 <= high <= min(0.05, 1.5 * low + 0.01):
        return replace(law, alien=(law.low_met + law.high_met) / (law.low + law.high))
    return law


def _borne(law: Law, terms: Terms) -> tuple[float, float]:
    """The share of 429s that changes nothing, and how many of them may come at once."""
    share, depth = 0.0, 0.0
    if law.alien:
        share, depth = 1.3 * law.alien + 0.005, _VERDICT_DEPTH
    elif law.looking and law.odd:
        share, depth = _FORGIVEN_LOOK
    if terms.tolerated:
        share, depth = max(share, terms.tolerated), max(depth, _FAIR_DEPTH)
    return share, depth


def refused(law: Law, terms: Terms, now: float, sent_at: float, held_until: float) -> tuple[Law, bool]:
    """A 429 to a request that left after the last wait; and whether it was borne: then nothing changes for it."""
    rate = rate_of(law, terms, now, held_until)
    flying = rate * max(0.0, now - sent_at)
    law = _counted(law, flying, math.sqrt(terms.whole))
    law = replace(law, debt=law.debt + 1, clean=0)
    _, depth = _borne(law, terms)
    if law.debt <= depth:
        return replace(law, forgiven=law.forgiven + 1), True
    if law.wait > _LONG and now - law.open_at < law.wait / 4:
        return law, False  # a long window that has hardly opened
    return _cut(law, terms, now, rate, flying, held_until), False


def _counted(law: Law, flying: float, root: float) -> Law:
    law_sent = law.open_sent - flying
    if law_sent < root:
        law = replace(law, low_met=law.low_met + 1)
        return replace(law, high=0.0, high_met=0.0) if law.low_met == 2 else law
    return replace(law, high_met=law.high_met + 1) if law_sent >= 2 * root else law


def _cut(law: Law, terms: Terms, now: float, rate: float, flying: float, held_until: float) -> Law:  # noqa: PLR0917
    limit, less = terms.whole, _FAIR_MARGIN if terms.tolerated else 0.0
    at = max(0.0, min(rate, law.open_sent + 1 - flying / 2))
    share = (law.forgiven + 1) / max(1.0, law.sent - flying)
    margin = law.margin
    if law.looking:
        if law.sent >= 100 and not law.first:
            margin = max(_NARROWEST, 0.8 * margin)
        base = at - max(0.0, margin - less) * spread(limit, at)
        base = base if law.first else max(base, law.base)
        look_at = now + (4 if law.odd else _PATIENCE) * law.wait
    else:
        steps = min(max(2 * math.log(200 * share), _STRAY), margin)
        kept = min(plateau(law, limit, now, held_until), terms.ceiling)
        base = min(at - max(0.0, steps - less) * spread(limit, at), kept - _STRAY * spread(limit, kept))
        if law.sent < 200:
            margin = min(_WIDEST, margin + 0.5 * min(1.0, steps))
        look_at = max(law.look_at, now + _PATIENCE * law.wait)
    return _stays(replace(_unjudged(law), margin=margin, met=at), max(0.0, base), now, look_at)


def _stays(law: Law, base: float, now: float, look_at: float) -> Law:
    kept = replace(law, base=base, since=now, look_at=look_at, looking=False, first=False, capped=False)
    return replace(kept, sent=0, forgiven=0, debt=0.0)


def _unjudged(law: Law) -> Law:
    """A cut after a verdict takes it back."""
    return _forgotten(law) if law.alien else law


def _forgotten(law: Law) -> Law:
    return replace(law, alien=0.0, low=0.0, low_met=0.0, high=0.0, high_met=0.0)


def closed(law: Law, now: float) -> Law:
    """A wait begins."""
    return replace(law, closed_at=now, open_for=now - law.open_at, long=False)


def told_to_wait(law: Law, seconds: float) -> Law:
    """What the API has asked everyone to wait for; 0 where it told nothing."""
    return replace(law, long=True) if seconds >= _TOLD_LONG else law


def opened(law: Law, terms: Terms, now: float, held_until: float) -> Law:
    """The first proper answer after a wait: how long that was tells what windows the limiter counts by."""
    held = held_until - law.closed_at
    law = replace(law, open_at=now, open_sent=0)
    if not law.closed_at:
        return law
    if not law.long and held < _HELD_LONG:
        return replace(law, wait=max(1.0, 0.7 * law.wait))
    limit = terms.whole
    wait = max(law.wait, min(held, _LONGEST))
    opens = max(0.1, min(law.open_for, _LONGEST - held))
    part = opens / (opens + held)
    production = limit / part - law.met
    base = 0.97 * limit - production if production <= 1.2 * limit else 0.95 * part * law.met
    look_at = max(law.look_at, now + 3 * wait)
    return replace(law, wait=wait, base=max(0.0, min(law.base, base)), look_at=look_at)


def slow(law: Law, terms: Terms, now: float, held_until: float) -> Law:
    """Answers take far longer than when the API is calm: of that no spread tells anything."""
    rate = rate_of(law, terms, now, held_until)
    return _stays(replace(law, met=rate), 0.7 * rate, now, max(law.look_at, now + _PATIENCE * law.wait))


def set_back(law: Law, back: float) -> Law:
    """The clock was set back by so many seconds."""
    instants = {name: max(0.0, getattr(law, name) - back) for name in ("since", "look_at", "open_at", "closed_at")}
    return replace(law, **instants)
