"""How figures are put into words and lines, for a terminal and for a pipe alike."""

import shlex
import shutil
import sys
import textwrap
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path, PurePath

from rich.console import Console
from rich.text import Text

from closeout.worker.domain.item import Outcome
from closeout.worker.domain.run import Run, Tally
from closeout.worker.support.clock import Millis
from closeout.worker.support.terminal import printable

DEFAULT_LEDGER = "closeout.db"
_PROGRAM = "closeout"
DASH = "–"  # noqa: RUF001  # a dash is meant: nothing is known, or there is nothing
Fact = tuple[str, str, str]  # label, value, style of the value
WRONG = (Outcome.NOT_FOUND, Outcome.INVALID, Outcome.REJECTED, Outcome.FAILED)
OUTCOME_STYLES = {
    Outcome.CLOSED: "green",
    Outcome.ALREADY_CLOSED: "green",
    Outcome.IN_DOUBT: "yellow",
    Outcome.PENDING: "yellow",
    **dict.fromkeys(WRONG, "red"),
}
STATE_STYLES = {"finished": "bold green", "planned": "bold cyan", "halted": "bold red", "interrupted": "bold yellow"}
WIDTH = 80  # of lines for people, where there is room
_LEAST_VALUE = 16  # columns of a value, at least


def words_of(outcome: Outcome) -> str:
    """``already closed`` for ``already_closed``."""
    return outcome.value.replace("_", " ")


def to_the_second(at: Millis | None) -> str:
    """An instant as ISO 8601 in UTC, to the second; ``-`` for none."""
    if at is None:
        return "-"
    return datetime.fromtimestamp(at // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def instant(at: Millis | None) -> str:
    """``2026-03-02 05:00:00 UTC``; a dash for none."""
    return DASH if at is None else datetime.fromtimestamp(at // 1000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def share(part: float, whole: float) -> str:
    """``12.3%``, never rounded to all or nothing where it is neither."""
    if not whole:
        return DASH
    percent = 100 * part / whole
    if 0 < percent < 0.1:
        return f"{max(percent, 0.01):.2f}%"
    return f"{min(percent, 99.99):.2f}%" if 99.9 < percent < 100 else f"{percent:.{0 if part in (0, whole) else 1}f}%"


def command(*words: str, ledger: str | None = None) -> str:
    """A command to type, which names the ledger where it is not the default one (None)."""
    named = [] if ledger in (None, DEFAULT_LEDGER) else ["--ledger", ledger]
    return printable(shlex.join([program(), *words, *named]))


def program() -> str:
    """What this program is called by: the path that was typed, where its name alone would not be found."""
    typed = sys.argv[0]
    return typed if Path(typed).name == _PROGRAM and shutil.which(_PROGRAM) is None else _PROGRAM


def fact(label: str, value: str, style: str = "") -> Fact:
    """One labelled line; the value may come from outside."""
    return label, printable(value), style


def tally_words(tally: Tally) -> str:
    """What a sweep counted, and why it did not choose the rest."""
    text = f"{tally.listed:,} listed, {tally.chosen:,} chosen" + ("" if tally.whole else ", and no further counted")
    others = ", ".join(f"{number:,} {reason}" for reason, number in tally.others.items())
    return f"{text}; not chosen: {others}" if others else text


def tally_json(tally: Tally | None) -> dict[str, object] | None:
    """The same for scripts."""
    if tally is None:
        return None
    found = {"listed": tally.listed, "chosen": tally.chosen, "not_chosen": dict(tally.others)}
    return found | {"whole": tally.whole}


def width_of(console: Console) -> int:
    """Columns that lines for people take there."""
    return min(console.width, WIDTH)


def lines_of(facts: Iterable[Fact], width: int = WIDTH) -> Text:
    """Labels in one column, values in the next; long values go on below themselves, in so many columns in all."""
    facts = list(facts)
    column = max((len(label) for label, _, _ in facts), default=0) + 2
    text = Text()
    for label, value, style in facts:
        wrapped = textwrap.wrap(
            value, max(width - column - 2, _LEAST_VALUE), break_long_words=False, break_on_hyphens=False
        ) or [""]
        text.append(f"  {label:<{column}}", style="dim")
        text.append(("\n" + " " * (column + 2)).join(wrapped) + "\n", style=style)
    return text


def source_name_of(run: Run) -> str:
    """What a person calls the source: a file by its name, a queue by its address."""
    return run.source if "://" in run.source else PurePath(run.source).name or run.source
