"""What a plan holds, as a few lines for people: what would be closed, what would not and why, what that takes."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence

from closeout.worker.config.settings import Settings
from closeout.worker.domain.item import Outcome
from closeout.worker.ledger.records import PlanGroup
from closeout.worker.pace.allowance import Allowance
from closeout.worker.pace.forecast import forecast, in_words
from closeout.worker.report.formatting import Fact, fact, to_the_second
from closeout.worker.support.clock import Millis

_SHOWN = 6  # kinds on one line; the others are counted together
_SETS_OFF = (
    "for each: PII scrubbing, summary and memory sync, the retention clock and the evaluators; it cannot be undone"
)


def plan_facts(groups: Sequence[PlanGroup], settings: Settings, now: Millis) -> list[Fact]:
    """The lines of a plan that the summary of a run has not."""
    chosen = [group for group in groups if group.outcome is Outcome.PENDING]
    count = sum(group.count for group in chosen)
    if settings.limit is not None:
        count = min(count, settings.limit)
    facts = [fact("would close", f"{count:,}", "bold")]
    if not count:
        return [*facts, *_skipped(groups)]
    starts = [start for group in chosen for start in (group.first_start, group.last_start) if start is not None]
    allowance = Allowance(settings.allowed_rate, settings.org_limit, settings.quiet_windows, settings.zone)
    return [
        *facts,
        fact("by status", _counted(chosen, lambda group: group.status)),
        fact("by channel", _counted(chosen, lambda group: group.channel)),
        fact("started", f"{to_the_second(min(starts, default=None))} to {to_the_second(max(starts, default=None))}"),
        *_skipped(groups),
        fact("estimate", in_words(forecast(count, allowance, now, settles=settings.settle), allowance)),
        fact("side effects", _SETS_OFF),
    ]


def _skipped(groups: Iterable[PlanGroup]) -> list[Fact]:
    skipped = [group for group in groups if group.outcome is Outcome.SKIPPED]
    return [fact("would skip", _counted(skipped, lambda group: group.detail))] if skipped else []


def _counted(groups: Iterable[PlanGroup], kind: Callable[[PlanGroup], str | None]) -> str:
    counts: Counter[str] = Counter()
    for group in groups:
        counts[kind(group) or "not told"] += group.count
    told = [f"{count:,} {word}" for word, count in counts.most_common(_SHOWN)]
    others = counts.total() - sum(count for _, count in counts.most_common(_SHOWN))
    return ", ".join([*told, *([f"{others:,} others"] if others else [])])
