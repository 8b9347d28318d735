"""The charts over time as geometry in a box of WIDTH by HEIGHT: pure. How they look is for the templates to say."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from closeout.worker.report.timeline import Span, Timeline, nice_top
from closeout.worker.support.clock import Millis

WIDTH, HEIGHT = 1_000, 100
_GAP = 0.18  # of a column
_FEW = 30  # columns, below which the gaps between them may be seen


@dataclass(frozen=True, slots=True)
class Hit:
    """A place to point at, and what stands there."""

    x: float
    width: float
    text: str


@dataclass(frozen=True, slots=True)
class Panel:
    """One chart: columns, a line over them, and the three labels of its scale from the top down."""

    name: str
    title: str
    about: str
    scale: tuple[str, str, str]
    columns: str
    line: str
    hits: Sequence[Hit]
    highest: float
    tone: str


def panels_of(timeline: Timeline) -> list[Panel]:
    """Closes per minute; rate achieved against the rate allowed; 429s."""
    return [
        closes_panel(timeline),
        panel(
            timeline,
            ("rate", "Requests per second, achieved and allowed", "accent"),
            lambda span: timeline.per_second(span.requests),
            lambda span: f"{timeline.per_second(span.requests):,.1f}/s of {span.allowed:,.1f}/s allowed",
            line=lambda span: span.allowed,
        ),
        panel(
            timeline,
            ("throttled", "Answers of 429 in each column", "bad"),
            lambda span: float(span.throttled),
            lambda span: f"{span.throttled:,} answers of 429",
        ),
    ]


def closes_panel(timeline: Timeline, top: float | None = None) -> Panel:
    """Closes per minute."""
    return panel(
        timeline,
        ("closes", "Closes per minute", "good"),
        lambda span: timeline.per_minute(span.closes),
        lambda span: f"{timeline.per_minute(span.closes):,.0f} a minute",
        top=top,
    )


def panel(
    timeline: Timeline,
    names: tuple[str, str, str],
    height: Callable[[Span], float],
    told: Callable[[Span], str],
    *,
    line: Callable[[Span], float] | None = None,
    top: float | None = None,
) -> Panel:
    """One chart of what ``height`` says of each span, on a scale up to ``top`` or what is needed."""
    heights = [height(span) for span in timeline.spans]
    lines = [line(span) for span in timeline.spans] if line is not None else []
    name, title, tone = names
    most = top if top is not None else nice_top(max([*heights, *lines]))
    step = WIDTH / len(heights)
    hits = [
        Hit(round(at * step, 2), round(step, 2), f"{moment(span.at, timeline.width)}: {told(span)}")
        for at, span in enumerate(timeline.spans)
    ]
    return Panel(
        name=name,
        title=title,
        about=_about(heights, lines),
        scale=(_label(most), _label(most / 2), "0") if max([*heights, *lines]) > 0 else ("", "none", ""),
        columns=columns_path(heights, most),
        line=steps_path(lines, most),
        hits=hits,
        highest=most,
        tone=tone,
    )


def _about(heights: Sequence[float], lines: Sequence[float]) -> str:
    text = f"On average {sum(heights) / len(heights):,.1f}, at most {max(heights):,.1f}."
    return f"{text} Allowed were {min(lines):,.1f} to {max(lines):,.1f}." if lines else text


def _label(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 or value == int(value) else f"{value:,.2g}"


def moment(at: Millis, width: Millis) -> str:
    """When a span begins, as finely as it is long. UTC."""
    form = "%H:%M:%S" if width < 60_000 else "%d %b %H:%M"
    return datetime.fromtimestamp(at / 1000, UTC).strftime(form)


def columns_path(heights: Sequence[float], top: float) -> str:
    """Columns side by side, as the path of an SVG; nothing where there is nothing."""
    step = WIDTH / len(heights)
    gap = step * _GAP if len(heights) <= _FEW else 0.0
    return "".join(
        f"M{_n(at * step + gap / 2)} {HEIGHT}V{_n(_y(height, top))}H{_n((at + 1) * step - gap / 2)}V{HEIGHT}Z"
        for at, height in enumerate(heights)
        if height > 0
    )


def steps_path(heights: Sequence[float], top: float) -> str:
    """A line that is level within each span, as the path of an SVG."""
    if not heights:
        return ""
    step = WIDTH / len(heights)
    levels = [f"V{_n(_y(height, top))}H{_n((at + 1) * step)}" for at, height in enumerate(heights)]
    return f"M0 {_n(_y(heights[0], top))}" + "".join(levels)


def _y(value: float, top: float) -> float:
    return HEIGHT * (1 - min(1.0, value / top))


def _n(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".")
