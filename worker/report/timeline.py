"""What a run did over time, in as many equal spans as a chart has room for. Pure: no I/O, no markup."""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from math import floor, log10

from closeout.worker.ledger.stores import PaceSample, Traffic
from closeout.worker.support.clock import Millis

MOST_SPANS = 120
_SECOND: Millis = 1_000
_NICE = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 14_400, 21_600, 43_200)  # seconds
_DAY = 86_400  # seconds
_STOPPED = ("paused", "outage", "quiet hours")
_NICE_STEPS = (1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10)


@dataclass(slots=True)
class Span:
    """Exchanges in the span of time that begins at ``at``. ``closes`` were answered, and not with 429 or 5xx."""

    at: Millis
    requests: int = 0
    closes: int = 0
    throttled: int = 0
    failed: int = 0
    allowed: float = 0.0


@dataclass(frozen=True, slots=True)
class Timeline:
    """Equal spans of ``width``, none left out, and at least one. ``noted``: the allowed rates are those of the time."""

    width: Millis
    spans: Sequence[Span]
    noted: bool

    @property
    def begin(self) -> Millis:
        return self.spans[0].at

    @property
    def end(self) -> Millis:
        return self.spans[-1].at + self.width

    def per_second(self, count: int) -> float:
        """The rate of so many in one span."""
        return count * _SECOND / self.width

    def per_minute(self, count: int) -> float:
        return 60 * self.per_second(count)


def timeline_of(
    traffic: Sequence[Traffic],
    width: Millis,
    paces: Sequence[PaceSample],
    ceiling: float,
    *,
    until: Millis | None = None,
) -> Timeline | None:
    """The timeline of a run; None without any exchange. Where no rate was noted, ``ceiling`` is what was allowed.

    It ends with the last exchange, or at ``until`` if that is later.
    """
    if not traffic:
        return None
    first, last = min(each.at for each in traffic), max(*(each.at for each in traffic), until or 0)
    wider = width_of(last + width - first, width)
    begin = first // wider * wider
    spans = [Span(at) for at in range(begin, last + 1, wider)]
    for each in traffic:
        _add(spans[(each.at - begin) // wider], each)
    steps = steps_of(paces, begin, ceiling)
    for span in spans:
        span.allowed = allowed_in(steps, span.at, span.at + wider)
    return Timeline(wider, spans, bool(paces))


def _add(span: Span, each: Traffic) -> None:
    span.requests += each.count
    span.throttled += each.throttled
    span.failed += each.failed
    if each.kind == "close":
        span.closes += each.count - each.throttled - each.failed


def width_of(length: Millis, finest: Millis) -> Millis:
    """A width that people count in, of which a chart has room for so many; a multiple of ``finest``."""
    for seconds in _NICE:
        if seconds * _SECOND % finest == 0 and length <= MOST_SPANS * seconds * _SECOND:
            return seconds * _SECOND
    days = -(-length // (MOST_SPANS * _DAY * _SECOND))
    return days * _DAY * _SECOND


def steps_of(paces: Iterable[PaceSample], begin: Millis, ceiling: float) -> list[tuple[Millis, float]]:
    """The allowed rates, each from an instant on: 0 where nothing might leave."""
    steps = [(each.at, 0.0 if each.waiting in _STOPPED else each.allowed) for each in paces]
    return steps or [(begin, ceiling)]


def allowed_in(steps: Sequence[tuple[Millis, float]], begin: Millis, end: Millis) -> float:
    """The mean of the allowed rate from ``begin`` to ``end``; before the first step that of the first."""
    at = max(0, bisect_right(steps, begin, key=lambda step: step[0]) - 1)
    total, since, rate = 0.0, begin, steps[at][1]
    for instant, later in steps[at + 1 :]:
        if instant >= end:
            break
        total += rate * (instant - since)
        since, rate = instant, later
    return (total + rate * (end - since)) / (end - begin)


def nice_top(highest: float) -> float:
    """The top of a scale that holds the highest value: a round number, whose half is one, too."""
    if highest <= 0:
        return 1.0
    unit: float = 10.0 ** floor(log10(highest))
    return next(step * unit for step in _NICE_STEPS if highest <= step * unit * (1 + 1e-9))


def width_words(width: Millis) -> str:
    """``30 s``, ``5 min``, ``2 h``: what a column stands for."""
    seconds = width // _SECOND
    if seconds < 60:
        return f"{seconds} s"
    return f"{seconds // 60} min" if seconds < 3_600 else f"{seconds // 3_600} h"


def moments(begin: Millis, end: Millis, count: int = 5) -> list[str]:
    """So many instants, evenly from beginning to end, as finely as their distance asks for. UTC."""
    length = end - begin
    form = "%H:%M:%S" if length < 20 * 60_000 else "%H:%M" if length < 36 * 3_600_000 else "%d %b %H:%M"
    instants = [begin + length * at // (count - 1) for at in range(count)]
    return [datetime.fromtimestamp(instant / 1000, UTC).strftime(form) for instant in instants]
