"""A report as one self-contained HTML file: of one run, or of two beside each other."""

from collections.abc import Iterator
from typing import Any

from closeout.worker.report.charts import closes_panel, panels_of
from closeout.worker.report.comparison import causes_compared, compared
from closeout.worker.report.formatting import source_name_of
from closeout.worker.report.rendering import TONES, render_alone, verdict_tone
from closeout.worker.report.run_facts import (
    cause_words,
    headline,
    outcome_words,
    outcomes_told,
    pace_facts,
    settings_facts,
    source_facts,
)
from closeout.worker.report.run_report import ROWS_SHOWN, RunReport, row_of
from closeout.worker.report.timeline import moments, timeline_of, width_words
from closeout.worker.support.clock import Millis

# Name, what stands over it, and whether it is a number.
COLUMNS_SHOWN = (
    ("line", "line", True),
    ("session_id", "session", False),
    ("outcome", "outcome", False),
    ("final_status", "status", False),
    ("eval_status", "evaluation", False),
    ("attempts", "sent", True),
    ("http_status", "HTTP", True),
    ("detail", "detail", False),
    ("closed_at", "closed at (UTC)", False),
)
Bars = list[tuple[str, int, str]]  # name, number, tone


def html_report(story: RunReport, made_at: Millis) -> Iterator[str]:
    """The pieces of the page, in order."""
    return render_alone("report.html", story_values(story) | {"made_at": made_at})


def story_values(story: RunReport) -> dict[str, Any]:
    """What the template of a story needs."""
    ceiling = story.settings.allowed_rate
    timeline = timeline_of(story.traffic, story.width, story.paces, ceiling, until=story.until)
    return {
        "story": story,
        "name": source_name_of(story.run),
        "headline": headline(story),
        "outcomes": outcome_bars(story),
        "verdicts": verdict_bars(story),
        "timeline": timeline,
        "panels": panels_of(timeline) if timeline else [],
        "column": width_words(timeline.width) if timeline else "",
        "ticks": moments(timeline.begin, timeline.end) if timeline else [],
        "source_facts": source_facts(story),
        "pace_facts": pace_facts(story),
        "settings_facts": settings_facts(story.settings),
        "plan": [(label, value) for label, value, _ in story.plan],
        "cause_words": cause_words,
        "columns": COLUMNS_SHOWN,
        "rows": map(row_of, story.rows),
        "rows_shown": ROWS_SHOWN,
    }


def outcome_bars(story: RunReport) -> Bars:
    """Outcomes, each with its colour."""
    return [(outcome_words(story, outcome), count, TONES[outcome]) for outcome, count in outcomes_told(story)]


def verdict_bars(story: RunReport) -> Bars:
    """What evaluations said of the closed sessions, the most frequent first."""
    found = sorted(story.counts.eval_status.items(), key=lambda pair: (-pair[1], pair[0]))
    return [(status or "not seen", count, verdict_tone(status)) for status, count in found]


def html_comparison(first: RunReport, second: RunReport, made_at: Millis) -> Iterator[str]:
    """Two runs, whose charts have one scale."""
    sides = [story_values(story) for story in (first, second)]
    top = max((chart.highest for side in sides for chart in side["panels"][:1]), default=1.0)
    for side in sides:
        if side["timeline"]:
            side["panels"] = [closes_panel(side["timeline"], top)]
    values = {
        "sides": sides,
        "figures": compared(first, second),
        "causes": causes_compared(first, second),
        "made_at": made_at,
    }
    return render_alone("comparison.html", values)
