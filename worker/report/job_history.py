"""The runs of one job, from the newest: what each found and closed, how long it took, and its anomalies."""

from collections.abc import Mapping, Sequence
from statistics import median

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from closeout.worker.domain.item import Outcome
from closeout.worker.domain.run import Run
from closeout.worker.ledger.records import Counts
from closeout.worker.policy.anomaly import night_counts
from closeout.worker.report.formatting import STATE_STYLES, WRONG, Fact, fact, lines_of, tally_words, to_the_second
from closeout.worker.report.tables import runs_json
from closeout.worker.support.terminal import printable
from closeout.worker.support.units import format_duration

_NIGHTS = 10
_FEW = 3  # nights before which nothing is usual
_FAR = 3  # times the median, or a part of it
_WIDE = 120  # columns in which what was unusual has a place beside the figures
_NARROW = 72  # below which a time is told to the minute


def nights_table(
    runs: Sequence[Run], counts_by_run: Mapping[str, Counts], width: int, earlier: Sequence[Run] = ()
) -> RenderableType:
    """One line a run, the newest first, with what was unusual beside it or below; and what each counted.

    ``width`` is that of the terminal; ``earlier`` are nights of before, which tell what is usual.
    """
    if not runs:
        return Text("no runs of this job yet")
    unusual = unusual_nights(runs, counts_by_run, earlier)
    wide = width >= _WIDE
    table = _table(wide=wide)
    for run in runs:
        counts = counts_by_run[run.name]
        state = Text(run.state, STATE_STYLES.get(run.state, ""))
        started = to_the_second(run.created_at)
        cells: list[str | Text] = [run.name, started if width >= _NARROW else started[:16].replace("T", " ")]
        cells[1:1] = [state] if wide else []
        cells += [f"{found(run):,}", f"{counts.outcomes.get(Outcome.CLOSED, 0):,}"]
        cells += [f"{counts.outcomes.get(Outcome.SKIPPED, 0):,}", f"{wrong(counts):,}", format_duration(run.seconds)]
        table.add_row(*cells, *([Text(printable(unusual[run.name]))] if wide else []))
    sections: list[RenderableType] = [table]
    if not wide:
        told = [(run.name, "; ".join(filter(None, (_state(run), unusual[run.name])))) for run in runs]
        sections += _section("unusual", [fact(name, text) for name, text in told if text])
    sections += _section("counted", [fact(run.name, tally_words(run.tally)) for run in runs if run.tally is not None])
    return Group(*sections)


def _table(*, wide: bool) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
    table.add_column("run", no_wrap=True, min_width=8)
    if wide:
        table.add_column("state", no_wrap=True)
    table.add_column("started", no_wrap=True, min_width=16)
    for header in ("found", "closed", "skipped", "wrong", "duration"):
        table.add_column(header, justify="right", no_wrap=True, min_width=5)
    if wide:
        table.add_column("unusual")
    return table


def _section(name: str, facts: list[Fact]) -> list[RenderableType]:
    lines = lines_of(facts)
    lines.rstrip()
    return [Text(f"\n{name}:"), lines] if facts else []


def _state(run: Run) -> str:
    """A state that is not unusual, and is told where the table has no column for it."""
    return run.state if run.state in ("running", "planned") else ""


def unusual_nights(
    runs: Sequence[Run], counts_by_run: Mapping[str, Counts], earlier: Sequence[Run] = ()
) -> dict[str, str]:
    """What a person should notice of each of these runs of one job, the newest first; empty where nothing is."""
    known = [*runs, *earlier]
    return {run.name: unusual_in(run, counts_by_run[run.name], known[at + 1 :]) for at, run in enumerate(runs)}


def nights_json(
    runs: Sequence[Run], counts_by_run: Mapping[str, Counts], earlier: Sequence[Run] = ()
) -> list[dict[str, object]]:
    """``runs --job NAME --json``: as ``runs --json``, with what was found, and what was unusual (null: nothing)."""
    unusual = unusual_nights(runs, counts_by_run, earlier)
    told = runs_json(runs, counts_by_run)
    return [
        each | {"found": found(run), "unusual": unusual[run.name] or None} for run, each in zip(runs, told, strict=True)
    ]


def found(run: Run) -> int:
    """Sessions that the rule chose: those taken up, or where none was, those counted before."""
    counted = 0 if run.tally is None else run.tally.chosen
    return run.rows_read - run.duplicates or counted


def wrong(counts: Counts) -> int:
    """Sessions that a person should look at."""
    return sum(counts.outcomes.get(outcome, 0) for outcome in WRONG)


def unusual_in(run: Run, counts: Counts, earlier: Sequence[Run]) -> str:
    """What a person should notice of one night, given those before it, the newest first; empty where nothing is."""
    told = [run.why or run.state] if run.state not in ("finished", "running", "planned") else []
    if wrong(counts):
        told.append(f"{wrong(counts):,} wrong")
    if counts.unsettled:
        told.append(f"{counts.unsettled:,} not settled")
    nights = night_counts(earlier)[:_NIGHTS]
    usual = median(nights) if len(nights) >= _FEW else 0
    if usual and run.state == "finished" and not usual / _FAR <= found(run) <= usual * _FAR:
        told.append(f"found {found(run) / usual:.1f} times the median")
    return "; ".join(told)
