"""What was asked of a run and how it went, in words: for the report's first lines and its list of facts."""

from closeout.worker.config.settings import DURATIONS, RATES, SHARES, Settings
from closeout.worker.domain.item import Outcome
from closeout.worker.domain.run import location_words
from closeout.worker.report.formatting import DASH, instant, tally_words, words_of
from closeout.worker.report.run_report import RunReport
from closeout.worker.report.summary import achieved_rate, slower_words, waited_words
from closeout.worker.support.units import format_duration, format_rate, format_share

Facts = list[tuple[str, str]]


def headline(story: RunReport) -> str:
    """What a reader wants to know first."""
    if story.run.state == "planned":
        return f"A plan of {story.sessions:,} sessions: {story.count(Outcome.PENDING):,} would be closed."
    told = [f"{story.done:,} of {story.sessions:,} sessions are closed."]
    parts = [
        (story.wrong, "went wrong"),
        (story.count(Outcome.IN_DOUBT), outcome_words(story, Outcome.IN_DOUBT)),
        (story.count(Outcome.SKIPPED), "left alone"),
        (story.count(Outcome.PENDING), "not attempted yet" if story.running else "not attempted"),
    ]
    rest = [f"{count:,} {what}" for count, what in parts if count]
    if rest:
        told.append(f"{', '.join(rest)}.")
    if story.counts.unsettled:
        told.append(f"{story.counts.unsettled:,} evaluations are not final.")
    elif story.done:
        told.append("Every evaluation is final.")
    return " ".join(told)


def outcomes_told(story: RunReport) -> list[tuple[Outcome, int]]:
    """Outcomes that occurred, in the order of the contract; ``closed`` always, but for a plan."""
    always = None if story.run.state == "planned" else Outcome.CLOSED
    return [(outcome, story.count(outcome)) for outcome in Outcome if outcome is always or story.count(outcome)]


def outcome_words(story: RunReport, outcome: Outcome) -> str:
    """As the ledger has it, but for a plan, and for a run at work: what is in doubt is mostly on its way then."""
    if story.run.state == "planned" and outcome is Outcome.PENDING:
        return "would be closed"
    return "in flight or in doubt" if story.running and outcome is Outcome.IN_DOUBT else words_of(outcome)


def source_facts(story: RunReport) -> Facts:
    """Which sessions, whence, by whom and when."""
    run = story.run
    read = f"{run.rows_read:,}" + (f", {run.duplicates:,} of them duplicates" if run.duplicates else "")
    return _told(
        ("run", run.name),
        ("job", run.job),
        ("source", run.source),
        ("location", location_words(run.location) if run.location else None),
        ("read as", run.reading),
        ("SHA-256 of the source", run.source_sha256 or ("not known" if run.source_done and not run.job else "")),
        ("rows read", read if run.source_done else f"{read}; not read to its end"),
        ("counted", tally_words(run.tally) if run.tally else ""),
        ("requested by", run.made_by or "not known"),
        ("begun", instant(run.created_at)),
        ("ended", instant(run.ended_at) if run.ended_at else "not yet"),
        ("state", f"{run.state}: {run.why}" if run.why else run.state),
    )


def pace_facts(story: RunReport) -> Facts:
    """How it was done: host, rates, requests, waits."""
    run, settings, counts = story.run, story.settings, story.counts
    kinds = ", ".join(f"{count:,} {kind}" for kind, count in sorted(counts.requests.items(), key=lambda one: -one[1]))
    total = f"{sum(counts.requests.values()):,}"
    return _told(
        ("host", f"{settings.base_url}, API {settings.api}"),
        ("close reason", settings.reason or "none sent, unless a row has its own"),
        (
            "left alone",
            f"sessions that are {', '.join(words_of_status(settings.protect))}" if settings.protect else "nothing",
        ),
        ("rate allowed", format_rate(settings.allowed_rate)),
        ("rate achieved", format_rate(achieved_rate(run, counts)) if run.seconds else ""),
        ("requests", f"{total} ({kinds})" if kinds else total),
        ("sent again", f"{counts.retried:,} closes" if counts.retried else ""),
        ("answers of 429", f"{counts.throttled:,}"),
        ("waited", waited_words(run)),
        ("pace", slower_words(run)),
        ("pace now", f"{story.case.words} ({story.case.choice})" if story.case else ""),
        ("active time", format_duration(run.seconds)),
    )


def settings_facts(settings: Settings) -> Facts:
    """Every setting of the run, by its flag's name; the key is not among them, and is stored nowhere."""
    return [(name.replace("_", "-"), _value(name, value)) for name, value in settings.model_dump().items()]


def words_of_status(statuses: tuple[str, ...]) -> list[str]:
    """``waiting for human`` for ``waiting_for_human``."""
    return [status.replace("_", " ") for status in statuses]


def cause_words(outcome: Outcome, http_status: int | None, error: str | None, detail: str | None) -> str:
    """Why sessions ended so: the detail, else what the API answered, else the error's code."""
    if detail:
        return f"{detail} ({error})" if error else detail
    if http_status is not None:
        return f"the API answered {http_status}" + (f" ({error})" if error else "")
    return error.replace("_", " ") if error else words_of(outcome)


def _value(name: str, value: object) -> str:
    if value is None or value in ((), ""):
        return DASH
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float) and name in DURATIONS:
        return format_duration(value)
    if isinstance(value, int | float) and name in RATES:
        return format_rate(value)
    if isinstance(value, int | float) and name in SHARES:
        return format_share(value)
    return ", ".join(value) if isinstance(value, tuple) else str(value)


def _told(*facts: tuple[str, str | None]) -> Facts:
    return [(label, value) for label, value in facts if value]
