"""A report as markdown: short enough for a chat or a ticket, and readable there as plain text as well."""

import re
from collections.abc import Sequence

from closeout.worker.domain.item import Outcome
from closeout.worker.ledger.stores import Cause
from closeout.worker.report.comparison import causes_compared, compared
from closeout.worker.report.formatting import DASH, instant, share, words_of
from closeout.worker.report.run_facts import cause_words, headline, outcome_words, outcomes_told
from closeout.worker.report.run_report import RunReport
from closeout.worker.report.summary import achieved_rate
from closeout.worker.support.terminal import printable
from closeout.worker.support.units import format_duration, format_rate

_CAUSES_TOLD = 8
_LONGEST_CELL = 160
# What is markup in the middle of a line; `:` and `//` stay, so that a bare address may become a link to itself.
_ACTIVE = re.compile(r"([\\`*_\[\]<>|~@&$])")


def markdown_report(story: RunReport) -> str:
    """One run."""
    run, counts = story.run, story.counts
    outcomes = [
        (outcome_words(story, outcome), f"{count:,}", share(count, story.sessions))
        for outcome, count in outcomes_told(story)
    ]
    verdicts = sorted(counts.eval_status.items(), key=lambda pair: (-pair[1], pair[0]))
    told = [(status or "not seen", f"{count:,}", share(count, story.done)) for status, count in verdicts]
    rate = f"{format_rate(achieved_rate(run, counts))} of {format_rate(story.settings.allowed_rate)} allowed"
    parts = [
        f"**closeout: {_text(run.job or run.source)}**, run `{run.name}`: **{run.state}**" + _why(story),
        headline(story),
        table(("outcome", ">sessions", ">share"), outcomes),
        table(("plan", ""), [(label, value) for label, value, _ in story.plan]) if story.plan else "",
        table(("evaluation", ">sessions", ">share"), told) if told else "",
        table(("request", ">answers", ">p50 ms", ">p90 ms", ">p99 ms"), _latencies(story)) if story.latencies else "",
        _causes("What went wrong", story.failures),
        _causes("Left alone", story.skips),
        f"{instant(run.created_at)} to {instant(run.ended_at)}, active for {format_duration(run.seconds)} at {rate}, "
        f"{counts.throttled:,} answers of 429. Asked by {_code(run.made_by)}.",
        f"Read as {_code(run.reading)}." if run.reading else "",
        f"SHA-256 of the source: {_code(run.source_sha256)}" if run.source_sha256 else "",
    ]
    return "\n\n".join(filter(None, parts)) + "\n"


def markdown_comparison(first: RunReport, second: RunReport) -> str:
    """Two runs."""
    head = f"**closeout: runs `{first.run.name}` and `{second.run.name}`**"
    began = "\n".join(
        f"* `{story.run.name}`: {_text(story.run.job or story.run.source)}, {instant(story.run.created_at)}, "
        f"{story.run.state}. {headline(story)}"
        for story in (first, second)
    )
    names = ("", f">{first.run.name}", f">{second.run.name}", ">change")
    figures = [(each.name, each.first, each.second, each.change) for each in compared(first, second)]
    causes = [
        (f"{words_of(Outcome(each.group))}: {each.name}", each.first, each.second, each.change)
        for each in causes_compared(first, second)[:_CAUSES_TOLD]
    ]
    parts = [
        head,
        began,
        table(("figure", *names[1:]), figures),
        table(("cause", *names[1:]), causes) if causes else "",
    ]
    return "\n\n".join(filter(None, parts)) + "\n"


def table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table whose columns are also aligned as text; a header that begins with ``>`` stands over numbers."""
    names = [header.removeprefix(">") for header in headers]
    right = [header.startswith(">") for header in headers]
    cells = [names, *[[_text(cell) for cell in row] for row in rows]]
    widths = [max(3, *(len(row[at]) for row in cells)) for at in range(len(names))]
    ruler = ["-" * (width - 1) + ":-"[not to_the_right] for width, to_the_right in zip(widths, right, strict=True)]
    lines = [
        _line(names, widths, right),
        _line(ruler, widths, right),
        *(_line(row, widths, right) for row in cells[1:]),
    ]
    return "\n".join(lines)


def _line(cells: Sequence[str], widths: Sequence[int], right: Sequence[bool]) -> str:
    padded = [
        cell.rjust(width) if to_the_right else cell.ljust(width)
        for cell, width, to_the_right in zip(cells, widths, right, strict=True)
    ]
    return f"| {' | '.join(padded)} |"


def _text(value: str) -> str:
    """What came from outside, on one line, as what it is: markup in it is shown and not obeyed."""
    text = printable(value)
    text = text if len(text) <= _LONGEST_CELL else text[: _LONGEST_CELL - 1] + "…"
    return _ACTIVE.sub(r"\\\1", text)


def _code(value: str | None) -> str:
    return "somebody" if value is None else "`" + printable(value).replace("`", "'") + "`"


def _latencies(story: RunReport) -> list[tuple[str, ...]]:
    return [
        (kind, f"{each.count:,}", f"{each.p50:,}", f"{each.p90:,}", f"{each.p99:,}")
        for kind, each in story.latencies.items()
    ]


def _causes(title: str, found: Sequence[Cause]) -> str:
    if not found:
        return ""
    rows = [
        (
            f"{cause.count:,}",
            words_of(cause.outcome),
            cause_words(cause.outcome, cause.http_status, cause.error, cause.detail),
            cause.first.session_id or DASH,
        )
        for cause in found[:_CAUSES_TOLD]
    ]
    more = f"\n\nand {len(found) - _CAUSES_TOLD} more causes" if len(found) > _CAUSES_TOLD else ""
    return f"**{title}**\n\n" + table((">sessions", "outcome", "cause", "for example"), rows) + more


def _why(story: RunReport) -> str:
    return f" ({_text(story.run.why)})" if story.run.why else ""
