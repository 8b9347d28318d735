"""The markup of the live page, from the same templates as the report."""

from collections.abc import Sequence
from dataclasses import replace

from closeout.worker.domain.item import Outcome
from closeout.worker.domain.run import Run
from closeout.worker.ledger.records import Counts, Found
from closeout.worker.ledger.stores import Traffic
from closeout.worker.report.formatting import WRONG, source_name_of
from closeout.worker.report.html import story_values
from closeout.worker.report.rendering import render
from closeout.worker.report.run_report import RunReport, row_of
from closeout.worker.report.summary import achieved_rate

_LAST_MINUTE = 60_000
_TOLD_BY_HEADING = ("run", "session_id", "outcome", "job")
_COUNTS = ("eval_total", "eval_succeeded", "eval_failed", "eval_pending", "critical_")
_STALE = 3.0  # seconds after which a count's age is told


def home(address: str) -> str:
    """The page of all runs; its list comes as events."""
    return render("live_home.html", {"address": address})


def run_list(runs: Sequence[tuple[Run, Counts | None]], total: int) -> str:
    """The newest of so many runs, each with how its sessions ended where that has been counted."""
    listed = [(run, counts, _wrong(counts), source_name_of(run)) for run, counts in runs]
    return render("live_runs.html", {"runs": listed, "total": total})


def _wrong(counts: Counts | None) -> int:
    return sum(counts.outcomes.get(outcome, 0) for outcome in WRONG) if counts is not None else 0


def run(run: Run, *, may_steer: bool) -> str:
    """The page of one run; what changes comes as events."""
    return render("live_run.html", {"run": run, "name": source_name_of(run), "may_steer": may_steer})


def live(story: RunReport, age: float) -> str:
    """One run as it stands; its outcomes were counted ``age`` seconds ago."""
    values = story_values(story) | {
        "age": age if age > _STALE and story.running else None,
        "ended": story.sessions - story.count(Outcome.PENDING) - story.count(Outcome.IN_DOUBT),
        "rate_now": rate_now(story.traffic, story) if story.running else achieved_rate(story.run, story.counts),
        "left": left(story),
        "pace": story.paces[-1] if story.paces and story.running else None,
    }
    return render("live_story.html", values)


def rate_now(chosen: Sequence[Traffic], story: RunReport) -> float:
    """Exchanges per second over the last minute of the story, or what there is of it."""
    if not story.traffic:
        return 0.0
    end = story.until or max(each.at for each in story.traffic) + story.width
    since = max(end - _LAST_MINUTE, min(each.at for each in story.traffic))
    return sum(each.count for each in chosen if each.at >= since) * 1000 / max(end - since, story.width)


def left(story: RunReport) -> float | None:
    """Seconds until all sessions have ended, as fast as closes were answered in the last minute; None if unknown."""
    if not story.running or not story.run.source_done:
        return None
    closes = [
        replace(each, count=each.count - each.throttled - each.failed) for each in story.traffic if each.kind == "close"
    ]
    rate = rate_now(closes, story)
    return story.count(Outcome.PENDING) / rate if rate else None


def search(text: str, found: Sequence[Found], *, most: int) -> str:
    """What happened to one session in every run that holds it."""
    runs = [(one.run, row_of(one.row), _told(row_of(one.row)), one.exchanges) for one in found]
    return render("live_search.html", {"searched": text, "found": runs, "most": most})


def _told(row: dict[str, object]) -> list[tuple[str, object]]:
    """The columns that say something: counts of nothing are left out, and what the heading tells."""
    return [
        (name, value)
        for name, value in row.items()
        if value is not None and name not in _TOLD_BY_HEADING and not (value == 0 and name.startswith(_COUNTS))
    ]


def message(title: str, text: str) -> str:
    """A page with nothing but a message."""
    return render("live_message.html", {"title": title, "text": text})


def trouble(text: str) -> str:
    """What stands in place of the figures where they cannot be had."""
    return render("live_trouble.html", {"text": text})
