"""What a person sees while a run goes: a live display on a terminal, plain lines elsewhere."""

import sys
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TextIO

import anyio
from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from closeout.worker.domain.item import Outcome
from closeout.worker.report.console import stderr_console
from closeout.worker.report.formatting import OUTCOME_STYLES, words_of
from closeout.worker.runtime.context import Context
from closeout.worker.runtime.snapshot import Meter, Snapshot
from closeout.worker.support.terminal import printable
from closeout.worker.support.units import format_duration, format_rate

_REFRESH = 0.2
_GAP = "   "
_LABEL = 10
_ALWAYS = (Outcome.CLOSED, Outcome.ALREADY_CLOSED, Outcome.FAILED, Outcome.REJECTED, Outcome.NOT_FOUND)
Part = tuple[str, str]  # text, style


async def show_display(context: Context, console: Console | None = None) -> None:
    """Draw the run on a terminal until cancelled; then the display is gone and the cursor is back."""
    console = console or stderr_console()
    meter = Meter(context)
    try:
        while True:
            async with context.screen.turn:
                await _draw(meter, console)
    except OSError:
        return  # the terminal is gone; the run goes on


async def _draw(meter: Meter, console: Console) -> None:
    """Until a person is asked something. A display that began once more would wipe the lines where it was before."""
    # Standard output is the result's: it may well go to a file while this is on.
    with Live(console=console, auto_refresh=False, transient=True, redirect_stdout=False) as live:
        try:
            live.update(Frame(meter.take()), refresh=True)
            while not await meter.context.screen.wanted(_REFRESH):
                live.update(Frame(meter.take()), refresh=True)
        finally:
            live.update(Text())  # its last picture is drawn whole, and would push others off a terminal of few rows


async def show_lines(context: Context, every: float = 5.0, stream: TextIO | None = None) -> None:
    """Print a line every few seconds until cancelled; in work without an end, none where nothing has changed."""
    meter, stream = Meter(context), stream or sys.stderr
    if stream is None:  # print() would take standard output for none
        return
    before: tuple[object, ...] = ()
    try:
        while True:
            await anyio.sleep(every)
            async with context.screen.turn:
                shot = meter.take()
                now = (shot.rows_read, shot.done, shot.settled, shot.waiting_for, shot.draining)
                if context.alarms is None or now != before:
                    print(line_of(shot), file=stream, flush=True)
                before = now
    except OSError:
        return  # nobody reads any more; the run goes on


def line_of(shot: Snapshot) -> str:
    """One line for a log. What never happened is left out."""
    done = f"{shot.done:,} of {shot.sessions:,} rows" + ("" if shot.total is not None else " so far")
    parts = [shot.phase, done]
    if shot.duplicates:
        parts.append(f"{shot.duplicates:,} duplicates")
    parts += [f"{count:,} {words_of(outcome)}" for outcome in Outcome if (count := shot.outcomes[outcome])]
    if shot.in_doubt:
        parts.append(f"{shot.in_doubt:,} in doubt")
    parts += [f"{shot.in_flight:,} in flight", _pace(shot), f"{shot.throttled:,} throttled"]
    if shot.to_settle is not None:
        parts.append(f"settled {shot.settled:,}")
    parts.append(_waiting(shot) or (shot.case.words if shot.case else ""))
    if shot.draining:
        parts.append(printable(shot.why or ""))
    elif shot.phase == "closing":
        parts.append(f"left {_left(shot)}")
    return "  ".join(part for part in parts if part)


def _pace(shot: Snapshot) -> str:
    return f"{format_rate(shot.rate)} of {format_rate(shot.allowed)}"


def _waiting(shot: Snapshot) -> str:
    """Why nothing is sent, or nothing at all to say."""
    match shot.waiting_for:
        case "outage":
            return "the API gives no answer: it is probed now and then, and nothing else is sent"
        case "paused":
            return f"paused: `closeout go {shot.run}` continues"
        case "quiet hours":
            return "quiet hours: nothing is sent"
    return f"waiting {format_duration(shot.held_for)} because the API asked to" if shot.held_for > 0 else ""


def _left(shot: Snapshot) -> str:
    return "unknown" if shot.left is None else format_duration(shot.left)


@dataclass(frozen=True, slots=True)
class Frame:
    """One picture of the display, laid out for whatever width there is."""

    shot: Snapshot

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        width = options.max_width
        yield self._title(width)
        yield self._bar()
        for label, parts in self._groups(width):
            yield from _flow(label, parts, width)

    def _title(self, width: int) -> Text:
        shot = self.shot
        elapsed = format_duration(shot.seconds)
        text = Text.assemble((shot.phase, "bold"), f"  run {shot.run}  ", (printable(shot.source), "dim"))
        text.truncate(max(width - len(elapsed) - 2, 1), overflow="ellipsis", pad=True)
        return text.append(f"  {elapsed}")

    def _bar(self) -> Table:
        shot = self.shot
        row = Table.grid(padding=(0, 2, 0, 0), pad_edge=False, expand=True)
        row.add_column(ratio=1)
        row.add_column(no_wrap=True)
        if shot.total is None:
            row.add_row(ProgressBar(total=None), f"{shot.done:,} of {shot.sessions:,} so far")
        else:
            percent = 100 * shot.done // shot.total if shot.total else 100
            bar = ProgressBar(total=shot.total or 1, completed=shot.done if shot.total else 1)
            row.add_row(bar, f"{shot.done:,} of {shot.total:,}  {percent}%")
        return row

    def _groups(self, width: int) -> Iterator[tuple[str, list[Part]]]:
        shot = self.shot
        yield "rows", [(f"{shot.rows_read:,} read", ""), (f"{shot.duplicates:,} duplicates", "")]
        yield "outcomes", list(self._outcomes())
        yield "requests", [(_pace(shot), ""), (f"{shot.in_flight:,} in flight", ""), _throttled(shot)]
        if shot.to_settle is not None:
            yield "settled", [(f"{shot.settled:,} of {shot.to_settle:,} evaluations", "")]
        if shot.draining:
            why = textwrap.wrap(printable(shot.why or ""), max(width - _LABEL, 20))
            yield "draining", [(f"{shot.in_flight:,} in flight", "bold"), *((line, "yellow") for line in why)]
        elif shot.phase == "closing":
            yield "ETA", [(_left(shot), "")]
        if shot.case and not shot.draining:
            yield "pace", [(shot.case.words, "yellow"), (shot.case.choice, "dim")]
        if waiting := _waiting(shot):
            yield "", [(waiting, "yellow")]

    def _outcomes(self) -> Iterator[Part]:
        for outcome in Outcome:
            count = self.shot.outcomes[outcome]
            if count or outcome in _ALWAYS:
                yield f"{count:,} {words_of(outcome)}", OUTCOME_STYLES.get(outcome, "") if count else "dim"
        if self.shot.in_doubt:
            yield f"{self.shot.in_doubt:,} in doubt", "yellow"


def _throttled(shot: Snapshot) -> Part:
    return f"{shot.throttled:,} throttled", "yellow" if shot.throttled else "dim"


def _flow(label: str, parts: list[Part], width: int) -> Iterator[Text]:
    """A label and its parts, on as many lines as they need; a part is never broken, only cut where no line holds it."""
    line = _line(label)
    for text, style in parts:
        if len(line) > _LABEL and len(line) + len(_GAP) + len(text) > width:
            yield line
            line = _line("")
        line.append(_GAP if len(line) > _LABEL else "").append(text, style=style)
    yield line


def _line(label: str) -> Text:
    return Text(f"{label:<{_LABEL}}", no_wrap=True, overflow="ellipsis")
