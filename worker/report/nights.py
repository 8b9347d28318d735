"""The runs of one job, night by night: what was found and closed, how long it took, and what was unusual."""

from collections.abc import Mapping, Sequence
from statistics import median

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from worker.ledger.protocol import Counts
from worker.models import Outcome, Run
from worker.report.wording import STATE_STYLES, WRONG, fact, lines_of, printable, tally_words, to_the_second
from worker.rule import night_counts
from worker.units import format_duration

_NIGHTS = 10
_FEW = 3  # nights before which nothing is usual
_FAR = 3  # times the median, or a part of it


def nights_table(runs: Sequence[Run], counts_by_run: Mapping[str, Counts]) -> RenderableType:
    """One line a run, the newest first, with what was unusual; below, what each counted."""
    if not runs:
        return Text("no runs of this job yet")
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
    for header in ("run", "state", "started", ">found", ">closed", ">skipped", ">wrong", ">took", "unusual"):
        table.add_column(header.lstrip(">"), justify="right" if header.startswith(">") else "left", no_wrap=True)
    table.columns[-1].no_wrap = False
    for at, run in enumerate(runs):
        counts = counts_by_run[run.name]
        table.add_row(
            run.name,
            Text(run.state, STATE_STYLES.get(run.state, "")),
            to_the_second(run.created_at),
            f"{found(run):,}",
            f"{counts.outcomes.get(Outcome.CLOSED, 0):,}",
            f"{counts.outcomes.get(Outcome.SKIPPED, 0):,}",
            f"{wrong(counts):,}",
            format_duration(run.seconds),
            Text(printable(unusual_in(run, counts, runs[at + 1 :]))),
        )
    counted = [fact(run.name, tally_words(run.tally)) for run in runs if run.tally is not None]
    return Group(table, Text("\ncounted:"), lines_of(counted)) if counted else table


def found(run: Run) -> int:
    """Sessions that the rule chose."""
    return run.rows_read - run.duplicates


def wrong(counts: Counts) -> int:
    """Sessions that a person should look at."""
    return sum(counts.outcomes.get(outcome, 0) for outcome in WRONG)


def unusual_in(run: Run, counts: Counts, earlier: Sequence[Run]) -> str:
    """What a person should notice of one night, given those before it, the newest first; empty where nothing is."""
    told = [run.why or run.state] if run.state not in ("finished", "running") else []
    if wrong(counts):
        told.append(f"{wrong(counts):,} wrong")
    if counts.unsettled:
        told.append(f"{counts.unsettled:,} not settled")
    nights = night_counts(earlier)[:_NIGHTS]
    usual = median(nights) if len(nights) >= _FEW else 0
    if usual and run.state == "finished" and not usual / _FAR <= found(run) <= usual * _FAR:
        told.append(f"found {found(run) / usual:.1f} times the median")
    return "; ".join(told)
