"""What stands in the rows and the JSON arrays that pass between a ledger and its statements."""

import json
import secrets
from collections.abc import Sequence
from typing import Any

from closeout.worker.config.settings import DEFAULT_BASE_URL, host_of
from closeout.worker.domain.exchange import Exchange
from closeout.worker.domain.item import Change, Claim, Outcome, QueuedRow, Record, SourceRow
from closeout.worker.domain.run import Run, Tally
from closeout.worker.domain.session import EvalSummary, SessionRow, SessionState
from closeout.worker.support.clock import NEVER, Millis
from closeout.worker.support.errors import RunNotFoundError
from closeout.worker.support.suggestions import did_you_mean

RUN_SHIFT = 40  # a run's items are numbered from its id, shifted by so many bits, on
Row = tuple[Any, ...]  # what a column holds is stated by the schema, not by the type checker
_NAME_LETTERS = "abcdefghjkmnpqrstuvwxyz23456789"  # none that is taken for another
_RUN_COLUMNS = (
    "id", "name", "job", "source", "location", "source_stat", "options", "state", "why", "rows_read", "duplicates",
    "source_done", "digest", "created_at", "ended_at", "seconds", "waited", "begun_at", "tally",
    "made_by", "source_sha256", "reading", "was", "host", "canary_passed",
)  # fmt: skip


def new_name() -> str:
    """What people will type to mean a run."""
    return "".join(secrets.choice(_NAME_LETTERS) for _ in range(8))


def host_in(options: str) -> str:
    """The API's host of a run that has these settings, as JSON."""
    stored = json.loads(options)
    given = stored.get("base_url") if isinstance(stored, dict) else None
    return host_of(given if isinstance(given, str) else DEFAULT_BASE_URL)


def place_of(claim: Claim | None) -> dict[str, int]:
    """Where a claim stands in the order of a listing; None stands before all."""
    return {"start": claim.started_at or 0, "seq": claim.seq} if claim else {"start": -1, "seq": 0}


def text_of(digits: str) -> str:
    """The canonical text of a UUID's 32 hexadecimal digits."""
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def digits_of(session_id: str) -> str:
    """The 32 digits of a canonical UUID."""
    return session_id.replace("-", "")


def bytes_of(session_id: str) -> bytes:
    """The 16 bytes of a canonical UUID."""
    return bytes.fromhex(digits_of(session_id))


def span_of(run: Run) -> dict[str, int]:
    """The first and the last number that an item of the run can have."""
    return {"first": run.id << RUN_SHIFT, "last": ((run.id + 1) << RUN_SHIFT) - 1}


def run_of(row: Row) -> Run:
    """A run, of a row of its table."""
    values = dict(zip(_RUN_COLUMNS, row, strict=True))
    values["source_done"] = bool(values["source_done"])
    values["canary_passed"] = bool(values["canary_passed"])
    values["waited"] = json.loads(values["waited"])
    values["was"] = json.loads(values["was"]) if values["was"] is not None else None
    values["tally"] = Tally(**json.loads(values["tally"])) if values["tally"] is not None else None
    return Run(**values)


def claim_of(values: list[Any]) -> Claim:
    """A claim, of the JSON array that the statements make."""
    seq, digits, *rest = values
    return Claim(seq, text_of(digits.lower()), *rest)


def item_values(row: SourceRow, seq: int, run: Run, now: Millis, due: Millis = 0) -> Row:
    """In the order of the statement ``admit``; ``due`` is when it may be closed."""
    if row.session_id is None:
        return (
            seq,
            run.id,
            None,
            row.line or None,
            row.reason,
            row.text,
            "invalid",
            None,
            row.problem,
            now,
            None,
            None,
        )
    session = digits_of(row.session_id)
    known = (row.started_at, row.seen_at)
    return (seq, run.id, session, row.line or None, row.reason, None, "pending", due, None, None, *known)


def outcome_counts(rows: Sequence[Row]) -> tuple[dict[Outcome, int], dict[Outcome, int]]:
    """How many items have each outcome and how many of these are to be attempted again, of the statement's rows."""
    count, again = dict.fromkeys(Outcome, 0), dict.fromkeys(Outcome, 0)
    for outcome, number, of_them_again in rows:
        count[Outcome(outcome)] += number
        again[Outcome(outcome)] += of_them_again
    return count, again


def achieves(records: Sequence[Record]) -> bool:
    """Whether anything has come of these: an outcome, something sent that is in doubt, or word of a session."""
    return any(_achieves(record.exchange, change) for record in records for change in record.changes)


def _achieves(exchange: Exchange | None, change: Change) -> bool:
    if change.outcome is None or change.outcome is Outcome.PENDING:
        return change.session is not None
    return change.outcome is not Outcome.IN_DOUBT or (exchange is not None and exchange.kind == "close")


def is_single(exchange: Exchange, changes: tuple[Change, ...]) -> bool:
    """Whether it was about one item; a page tells of any number."""
    return bool(changes) and exchange.kind != "list"


def seqs_found_closed(records: Sequence[Record]) -> list[int]:
    """The items that were found closed, with no word yet of who closed them."""
    changes = (change for record in records for change in record.changes)
    return [change.seq for change in changes if change.outcome is Outcome.ALREADY_CLOSED and change.detail is None]


def attempt_values(exchange: Exchange, changes: tuple[Change, ...]) -> Row:
    return (changes[0].seq, exchange.at, exchange.kind, exchange.http_status, exchange.error, exchange.ms)


def change_values(change: Change) -> Row:
    """In the order of the statement ``change``."""
    session = change.session
    return (
        change.seq, change.outcome, change.due_at, change.detail, change.error, change.http_status, change.attempts,
        change.first_attempt_at, change.looks, int(change.settled), change.settle_at,
        change.looked_at, change.first_attempt_earliest,
        *(_session_values(session) if session else ()),
    )  # fmt: skip


def _session_values(session: SessionState) -> Row:
    more = (session.updated_at, session.channel) if isinstance(session, SessionRow) else ()
    return (session.started_at, session.closed_at, session.status, *_eval_values(session.evals), *more)


def _eval_values(evals: EvalSummary) -> Row:
    return (
        evals.status, evals.total, evals.succeeded, evals.failed, evals.pending, evals.critical_total,
        evals.critical_succeeded, evals.critical_failed, evals.critical_pending,
    )  # fmt: skip


def first_of_each(rows: Sequence[QueuedRow]) -> list[QueuedRow]:
    """The rows without those that repeat another one's key."""
    found: dict[tuple[str, str | None], QueuedRow] = {}
    for row in rows:
        found.setdefault(("key", row.key) if row.key is not None else ("session", row.row.session_id), row)
    return list(found.values())


def names_of(row: QueuedRow) -> tuple[str | None, str | None]:
    """The session's digits and the key."""
    return (digits_of(row.row.session_id) if row.row.session_id is not None else None, row.key)


def due_of(row: QueuedRow, parked: bool) -> Millis:
    """When it may be closed, or is to be looked up where that comes first."""
    return NEVER + row.not_before if parked else row.not_before


def the_run(name: str, found: Sequence[Run], others: Sequence[Run], ledger: str) -> Run:
    """The only one of those found by its name; ``others`` are runs of the ledger that may have been meant.

    Raises RunNotFoundError in one line.
    """
    if not found and not others:
        raise RunNotFoundError(f"no run {name!r} in {ledger}: it holds none yet")
    if not found:
        near = did_you_mean(name, [run.name for run in others])
        raise RunNotFoundError(f"no run {name!r} in {ledger}{near or ': `closeout runs` lists them'}")
    if len(found) > 1:
        names = ", ".join(run.name for run in found[:5])
        raise RunNotFoundError(f"{name!r} is the beginning of several runs ({names}): write more of it")
    return found[0]
