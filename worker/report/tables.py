"""Runs, one run and one session, as tables for people and as JSON for scripts."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict

from rich.console import Group, RenderableType
from rich.text import Text

from closeout.worker.config.settings import Settings
from closeout.worker.domain.exchange import Exchange
from closeout.worker.domain.item import Outcome
from closeout.worker.domain.run import Run, location_words
from closeout.worker.ledger.records import COLUMNS, Counts, Found, InvalidKind
from closeout.worker.report.formatting import (
    STATE_STYLES,
    WIDTH,
    WRONG,
    Fact,
    fact,
    lines_of,
    source_name_of,
    tally_json,
    tally_words,
    to_the_second,
)
from closeout.worker.report.grid import Grid
from closeout.worker.report.summary import run_facts, run_figures
from closeout.worker.support.clock import Millis, format_instant
from closeout.worker.support.terminal import printable
from closeout.worker.support.units import format_duration, format_rate, format_share

Row = Sequence[object]


def runs_table(runs: Sequence[Run], counts_by_run: Mapping[str, Counts]) -> RenderableType:
    """One line a run; the counts, by the run's name, may lack some. ``wrong`` is what a person should look at."""
    if not runs:
        return Text("no runs yet")
    table = Grid("run", "state", "started", ">rows", ">closed", ">wrong", "source")
    for run in runs:
        counts = counts_by_run.get(run.name)
        table.add_row(
            run.name,
            Text(run.state, STATE_STYLES.get(run.state, "")),
            to_the_second(run.created_at),
            f"{run.rows_read:,}",
            "-" if counts is None else f"{counts.outcomes.get(Outcome.CLOSED, 0):,}",
            "-" if counts is None else _wrong(counts),
            Text(_what(run), no_wrap=True, overflow="ellipsis"),
        )
    return table


def _what(run: Run) -> str:
    return printable(run.job or source_name_of(run))


def _wrong(counts: Counts) -> Text:
    count = sum(counts.outcomes.get(outcome, 0) for outcome in WRONG)
    return Text(f"{count:,}", "red" if count else "")


def run_details(
    run: Run,
    counts: Counts,
    settings: Settings,
    invalid: Sequence[InvalidKind] = (),
    more: Sequence[Fact] = (),
    *,
    width: int = WIDTH,
) -> Text:
    """All that a person may want to know of one run. Print it with ``soft_wrap``, so that nothing is cut."""
    facts = [
        fact("run", run.name, "bold"),
        fact("state", run.state, STATE_STYLES.get(run.state, "bold")),
        *([fact("why", run.why, "yellow")] if run.why else []),
        *([fact("job", run.job)] if run.job else []),
        *([fact("counted", tally_words(run.tally))] if run.tally else []),
        *([fact("location", location_words(run.location))] if run.location else []),
        fact("started", to_the_second(run.created_at)),
        fact("ended", to_the_second(run.ended_at)),
        *run_facts(run, counts, settings, invalid),
        *more,
        fact("limits", _limits(settings)),
        fact("settling", f"for {format_duration(settings.settle_for)} at most" if settings.settle else "off"),
    ]
    return lines_of(facts, width)


def _limits(settings: Settings) -> str:
    fair = f", up to {format_share(settings.tolerate)} of 429s tolerated" if settings.pace == "fair" else ""
    least = f", {format_rate(settings.min_rate)} at least" if settings.min_rate is not None else ""
    return (
        f"{format_rate(settings.allowed_rate)}{fair}{least}, {settings.concurrency:,} in flight, "
        f"{settings.max_attempts} attempts within {format_duration(settings.give_up_after)}, "
        f"{format_duration(settings.timeout)} a request"
    )


def attempts_table(row: Row, exchanges: Sequence[Exchange]) -> RenderableType:
    """One session: its row of the results, and every exchange about it."""
    facts = [fact(name, str(value)) for name, value in zip(COLUMNS, row, strict=True) if value is not None]
    if not exchanges:
        return Group(lines_of(facts), Text("no requests were sent for it"))
    table = Grid("at", "kind", ">status", ">ms", "error")
    for exchange in exchanges:
        status = "-" if exchange.http_status is None else str(exchange.http_status)
        error = Text(printable(exchange.error or ""))
        table.add_row(to_the_second(exchange.at), exchange.kind, status, f"{exchange.ms:,}", error)
    return Group(lines_of(facts), table)


def found_table(found: Found) -> RenderableType:
    """The same of a session that was looked for in all runs, below its run."""
    run = found.run
    head = Text(f"run {run.name}", "bold").append(f"  of {_what(run)}, {to_the_second(run.created_at)}", "not bold")
    return Group(head, attempts_table(found.row, found.exchanges))


def runs_json(runs: Sequence[Run], counts_by_run: Mapping[str, Counts]) -> list[dict[str, object]]:
    """``runs --json``: ``outcomes`` and ``unsettled`` are null where nothing was counted."""
    return [_run_of(run) | _counted(counts_by_run.get(run.name)) for run in runs]


def _run_of(run: Run) -> dict[str, object]:
    return {
        "run": run.name,
        "job": run.job or None,
        "source": run.source,
        "state": run.state,
        "why": run.why,
        "started_at": _instant(run.created_at),
        "ended_at": _instant(run.ended_at),
        "seconds": round(run.seconds, 3),
        "rows_read": run.rows_read,
        "duplicates": run.duplicates,
        "tally": tally_json(run.tally),
    }


def _counted(counts: Counts | None) -> dict[str, object]:
    if counts is None:
        return {"outcomes": None, "unsettled": None}
    outcomes = {outcome.value: counts.outcomes.get(outcome, 0) for outcome in Outcome}
    return {"outcomes": outcomes, "unsettled": counts.unsettled}


def run_json(run: Run, counts: Counts, settings: Settings) -> dict[str, object]:
    """``show --json``: the summary's names, where the rows came from, when, and the settings."""
    return {
        **run_figures(run, counts, settings),
        "tally": tally_json(run.tally),
        "reopened": counts.reopened,
        "eval_runs": asdict(counts.eval_runs),
        "source": run.source,
        "location": run.location,
        "source_done": run.source_done,
        "started_at": _instant(run.created_at),
        "ended_at": _instant(run.ended_at),
        "settings": settings.model_dump(mode="json"),
    }


def session_json(row: Row, exchanges: Sequence[Exchange]) -> dict[str, object]:
    """``show --json`` of one session: its columns, and every exchange about it."""
    return {**dict(zip(COLUMNS, row, strict=True)), "exchanges": [_exchange(exchange) for exchange in exchanges]}


def _exchange(exchange: Exchange) -> dict[str, object]:
    return {
        "at": _instant(exchange.at),
        "kind": exchange.kind,
        "http_status": exchange.http_status,
        "error": exchange.error,
        "ms": exchange.ms,
    }


def _instant(at: Millis | None) -> str | None:
    return None if at is None else format_instant(at)
