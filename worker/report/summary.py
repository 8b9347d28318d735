"""What came of a run: as JSON for scripts, as a few lines for people."""

from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.text import Text

from closeout.worker.config.settings import Settings
from closeout.worker.domain.item import Outcome
from closeout.worker.domain.run import Run, RunState
from closeout.worker.ledger.records import Counts, InvalidKind
from closeout.worker.pace.case import WENT_SLOWER
from closeout.worker.report.formatting import (
    DEFAULT_LEDGER,
    OUTCOME_STYLES,
    STATE_STYLES,
    WIDTH,
    Fact,
    command,
    fact,
    lines_of,
    width_of,
    words_of,
)
from closeout.worker.runtime.result import RunResult
from closeout.worker.support.units import counted, format_duration, format_rate

INVALID_KINDS_NAMED = 3
_KINDS = ("close", "read", "list")
WAITED_FOR = {
    "throttled": "as the API asked to",
    "outage": "for the API to answer",
    "paused": "while paused",
    "quiet hours": "in quiet hours",
}


def summary(ended: RunResult, settings: Settings) -> dict[str, object]:
    """The summary of ``--json``."""
    figures = run_figures(ended.run, ended.counts, settings)
    return figures | {"state": ended.state, "why": ended.why, "exit_code": ended.exit_code}


def run_figures(run: Run, counts: Counts, settings: Settings) -> dict[str, object]:
    """The figures of a run by their public names."""
    return {
        "run": run.name,
        "job": run.job or None,
        "state": run.state,
        "why": run.why,
        "rows_read": run.rows_read,
        "duplicates": run.duplicates,
        "outcomes": {outcome.value: counts.outcomes.get(outcome, 0) for outcome in Outcome},
        "eval_status": dict(counts.eval_status),
        "unsettled": counts.unsettled,
        "requests": _requests(counts),
        "seconds": round(run.seconds, 3),
        "rate": {"allowed": round(settings.allowed_rate, 2), "achieved": round(achieved_rate(run, counts), 2)},
    }


def _requests(counts: Counts) -> dict[str, int]:
    kinds = {kind: counts.requests.get(kind, 0) for kind in _KINDS}
    total = sum(counts.requests.values())  # probes of an API that was down are requests, too
    return {"total": total, **kinds, "throttled": counts.throttled, "retried": counts.retried}


def achieved_rate(run: Run, counts: Counts) -> float:
    """Requests per second, over all processes that worked on the run."""
    return sum(counts.requests.values()) / run.seconds if run.seconds > 0 else 0.0


def summary_lines(
    ended: RunResult,
    settings: Settings,
    ledger: str | None = None,
    invalid: Sequence[InvalidKind] = (),
    more: Sequence[Fact] = (),
    *,
    width: int = WIDTH,
    api_gone: bool = False,
) -> Text:
    """What came of a run, and what to type next. Its lines are not to be cut: see ``print_summary``.

    ``api_gone``: there is nobody left to send a request to.
    """
    run = ended.run
    text = Text()
    text.append(f"run {run.name}", style="bold").append("  ")
    text.append(f"{ended.state}\n", style=STATE_STYLES.get(ended.state, "bold"))
    why = [fact("why", ended.why, "yellow")] if ended.why else []
    text.append("\n").append_text(
        lines_of(
            [*why, *run_facts(run, ended.counts, settings, invalid), *more, fact("ledger", ledger or DEFAULT_LEDGER)],
            width,
        )
    )
    text.append("\n")
    return text.append_text(command_lines(next_commands(ended, ledger, api_gone=api_gone)))


def command_lines(commands: Iterable[str]) -> Text:
    """Commands to copy, a line each."""
    return Text("".join(f"  {line}\n" for line in commands), style="cyan")


def print_summary(  # noqa: PLR0917  # as summary_lines
    console: Console,
    ended: RunResult,
    settings: Settings,
    ledger: str | None = None,
    invalid: Sequence[InvalidKind] = (),
    more: Sequence[Fact] = (),
    *,
    api_gone: bool = False,
) -> None:
    """Print the lines for people; commands whole, however narrow the console is: they are there to be copied."""
    lines = summary_lines(ended, settings, ledger, invalid, more, width=width_of(console), api_gone=api_gone)
    console.print(lines, soft_wrap=True, end="")


def run_facts(run: Run, counts: Counts, settings: Settings, invalid: Sequence[InvalidKind] = ()) -> list[Fact]:
    """What was asked, what came of it and what it took; ``invalid`` are the kinds of invalid rows to name."""
    return [
        fact("source", _asked(run)),
        *([fact("read as", run.reading)] if run.reading else []),
        fact("host", f"{settings.base_url}, API {settings.api}"),
        *_outcomes(counts, invalid),
        *_evaluations(counts),
        fact("requests", _sent(counts)),
        fact("throttled", f"{counts.throttled:,} answers with status 429", "yellow" if counts.throttled else ""),
        fact("rate", f"{format_rate(achieved_rate(run, counts))} of {format_rate(settings.allowed_rate)} allowed"),
        *_waited(run),
        fact("duration", format_duration(run.seconds)),
    ]


def _waited(run: Run) -> list[Fact]:
    """For what requests were held up, and how long."""
    told, slower = waited_words(run), slower_words(run)
    return [
        *([fact("waited", told, "yellow")] if told else []),
        *([fact("pace", slower, "yellow")] if slower else []),
    ]


def waited_words(run: Run) -> str:
    """For what requests were held up, and how long."""
    waits = {cause: seconds for cause, seconds in run.waited.items() if cause not in WENT_SLOWER}
    return ", ".join(f"{format_duration(seconds)} {WAITED_FOR.get(cause, cause)}" for cause, seconds in waits.items())


def slower_words(run: Run) -> str:
    """What made the run slower than its settings allow, and for about how long."""
    return "; ".join(
        f"{words} for about {format_duration(run.waited[kind])}"
        for kind, words in WENT_SLOWER.items()
        if kind in run.waited
    )


def _asked(run: Run) -> str:
    text = f"{counted(run.rows_read, 'row')} of {run.source}"
    if run.duplicates:
        text += f", {run.duplicates:,} of them {'a duplicate' if run.duplicates == 1 else 'duplicates'}"
    return text if run.source_done else f"{text}, not read to its end"


def _outcomes(counts: Counts, invalid: Sequence[InvalidKind]) -> list[Fact]:
    """Those that occurred; ``closed`` always."""
    kinds = "; ".join(f"{kind.count:,} {kind.why}{_first_line(kind)}" for kind in invalid)
    more = {Outcome.INVALID: f" ({kinds})"} if kinds else {}
    return [
        fact(
            words_of(outcome),
            f"{counts.outcomes.get(outcome, 0):,}{more.get(outcome, '')}",
            OUTCOME_STYLES.get(outcome, ""),
        )
        for outcome in Outcome
        if outcome is Outcome.CLOSED or counts.outcomes.get(outcome, 0)
    ]


def _first_line(kind: InvalidKind) -> str:
    return f", first in line {kind.first_line:,}" if kind.first_line is not None else ""


def _evaluations(counts: Counts) -> list[Fact]:
    if not counts.eval_status:
        return []
    statuses = sorted(counts.eval_status.items(), key=lambda pair: (-pair[1], pair[0]))
    verdicts = ", ".join(f"{count:,} {status or 'not seen'}" for status, count in statuses)
    facts = [fact("evaluations", verdicts)]
    runs = counts.eval_runs
    if runs.total:
        facts += [
            fact("critical runs", _eval_runs(runs.critical_total, runs.critical_succeeded, runs.critical_failed)),
            fact("all runs", _eval_runs(runs.total, runs.succeeded, runs.failed)),
        ]
    facts.append(fact("not settled", f"{counts.unsettled:,}", "yellow" if counts.unsettled else ""))
    if counts.reopened:
        facts.append(fact("reopened", f"{counts.reopened:,} seen live after their close: not closed again", "yellow"))
    return facts


def _eval_runs(total: int, succeeded: int, failed: int) -> str:
    text = f"{total:,}: {succeeded:,} succeeded, {failed:,} failed"
    return f"{text}, {pending:,} pending" if (pending := total - succeeded - failed) else text


def _sent(counts: Counts) -> str:
    requests = _requests(counts)
    named = {kind: requests[kind] for kind in _KINDS} | {
        "probe": requests["total"] - sum(requests[kind] for kind in _KINDS)
    }
    kinds = ", ".join(f"{count:,} {kind}" for kind, count in named.items() if count)
    text = f"{requests['total']:,}" + (f" ({kinds})" if kinds else "")
    return f"{text}, {counts.retried:,} closes sent again" if counts.retried else text


def next_commands(ended: RunResult, ledger: str | None = None, *, api_gone: bool = False) -> list[str]:
    """What a person may want to type now, the most urgent first."""
    name = ended.run.name
    state = ended.run.state if ended.kept else ended.state
    sending = [] if api_gone else ways_on(ended.run, state, ended.counts)
    commands = [*sending, ("show", name), ("export", name, "--output", "results.csv")]
    return [command(*words, ledger=ledger) for words in commands]


def ways_on(run: Run, state: RunState, counts: Counts) -> list[tuple[str, ...]]:
    """What is left to do for a run that nobody works on, the most urgent first."""
    if state == "planned":
        return [("apply", run.name)]
    commands: list[tuple[str, ...]] = []
    if state in ("halted", "interrupted"):
        of_queue = Settings.model_validate_json(run.options).from_queue
        commands.append(("work", run.source) if of_queue else ("resume", run.name))
    if any(counts.outcomes.get(outcome) for outcome in (Outcome.FAILED, Outcome.REJECTED, Outcome.NOT_FOUND)):
        commands.append(("retry", run.name))
    if counts.unsettled:
        commands.append(("settle", run.name))
    return commands
