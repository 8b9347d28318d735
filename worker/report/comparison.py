"""Two runs beside each other: the figures of both and what changed from the first to the second. No I/O."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from closeout.worker.domain.item import Outcome
from closeout.worker.report.formatting import DASH, words_of
from closeout.worker.report.run_facts import cause_words
from closeout.worker.report.run_report import RunReport
from closeout.worker.report.summary import achieved_rate
from closeout.worker.support.units import format_duration


@dataclass(frozen=True, slots=True)
class Compared:
    """One figure of both runs, and by how much the second is more, in words."""

    name: str
    first: str
    second: str
    change: str
    group: str = ""


def compared(first: RunReport, second: RunReport) -> list[Compared]:
    """All figures, by group; outcomes and verdicts that neither run has are left out."""
    pair = (first, second)
    outcomes = [outcome for outcome in Outcome if any(story.count(outcome) for story in pair)]
    verdicts = sorted({status for story in pair for status in story.counts.eval_status})
    kinds = sorted({kind for story in pair for kind in story.latencies})
    return [
        _number("sessions", pair, lambda story: story.sessions, "outcomes"),
        *[_number(words_of(one), pair, partial(RunReport.count, outcome=one), "outcomes") for one in outcomes],
        *[
            _number(f"evaluation {one or 'not seen'}", pair, partial(_verdicts, status=one), "evaluations")
            for one in verdicts
        ],
        _number("not settled", pair, lambda story: story.counts.unsettled, "evaluations"),
        _number("requests", pair, lambda story: sum(story.counts.requests.values()), "pace"),
        _number("answers of 429", pair, lambda story: story.counts.throttled, "pace"),
        _number("requests/s allowed", pair, lambda story: story.settings.allowed_rate, "pace"),
        _number("requests/s achieved", pair, lambda story: achieved_rate(story.run, story.counts), "pace"),
        _spent(first, second),
        *[
            _number(f"{kind}, {name} ms", pair, _latency(kind, name), "latency")
            for kind in kinds
            for name in ("p50", "p90", "p99")
        ],
    ]


def causes_compared(first: RunReport, second: RunReport) -> list[Compared]:
    """What went wrong or was left alone, the most frequent in either run first."""
    found: dict[tuple[str, str], list[int]] = {}
    for at, story in enumerate((first, second)):
        for cause in story.causes:
            words = cause_words(cause.outcome, cause.http_status, cause.error, cause.detail)
            found.setdefault((cause.outcome.value, words), [0, 0])[at] += cause.count
    ordered = sorted(found.items(), key=lambda one: (-max(one[1]), one[0]))
    return [Compared(words, *_figures(*counts), group=outcome) for (outcome, words), counts in ordered]


def _number(name: str, pair: Sequence[RunReport], value: Callable[[RunReport], float | None], group: str) -> Compared:
    one, other = value(pair[0]), value(pair[1])
    if one is None or other is None:
        first, second = (DASH if each is None else f"{each:,}" for each in (one, other))
        return Compared(name, first, second, DASH, group)
    return Compared(name, *_figures(one, other), group)


def _figures(one: float, other: float) -> tuple[str, str, str]:
    form = ",d" if isinstance(one, int) and isinstance(other, int) else ",.1f"
    return format(one, form), format(other, form), change(one, other)


def change(one: float, other: float) -> str:
    """``+120 (+4%)``; ``=`` where nothing changed."""
    if one == other:
        return "="
    by = f"{other - one:+,d}" if isinstance(one, int) and isinstance(other, int) else f"{other - one:+,.1f}"
    return f"{by} ({(other - one) / one:+.0%})" if one else by


def _verdicts(story: RunReport, status: str) -> int:
    return story.counts.eval_status.get(status, 0)


def _latency(kind: str, name: str) -> Callable[[RunReport], int | None]:
    return lambda story: getattr(story.latencies[kind], name) if kind in story.latencies else None


def _spent(first: RunReport, second: RunReport) -> Compared:
    one, other = first.run.seconds, second.run.seconds
    by = f"{(other - one) / one:+.0%}" if one and round(one) != round(other) else "="
    return Compared("active time", format_duration(one), format_duration(other), by, "pace")
