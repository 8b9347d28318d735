"""A ledger with an eventful run in it, in which whatever comes from outside tries to be more than text."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from closeout.worker.config.settings import Settings
from closeout.worker.domain.exchange import Exchange, Kind
from closeout.worker.domain.item import Change, Outcome, Record, SourceRow
from closeout.worker.domain.run import Run
from closeout.worker.domain.session import EvalSummary, SessionState
from closeout.worker.ledger.membership import RunEnd
from closeout.worker.ledger.protocol import Ledger
from closeout.worker.ledger.records import NewRun
from closeout.worker.ledger.sqlite.ledger import SqliteLedger
from closeout.worker.ledger.stores import PaceSample
from tests.ledger.support import DAY, NOW, claim_all, rows

HOSTILE = (
    "<script>document.title='owned'</script>",
    "</script></style></title><img src=x onerror=\"document.title='owned'\">",
    "{{ 7*7 }}{% raw %}",
    "\"'`&<>\u202egnp.exe\x1b[31m\x00",
    "](https://evil.invalid) | ``` @everyone",
)
SESSIONS = 60


@asynccontextmanager
async def eventful(folder: Path) -> AsyncIterator[tuple[Ledger, Run]]:
    """A ledger and its run: ten minutes of 60 sessions and some rows that name none."""
    async with SqliteLedger.open(folder / "closeout.db", create=True) as ledger:
        yield ledger, await make_eventful(ledger)


async def make_eventful(ledger: Ledger) -> Run:
    """The run, made by somebody with a strange name out of a strangely named source."""
    options = Settings(base_url="https://api.example.com", reason="abandoned").model_dump_json()
    new = NewRun(f"a{HOSTILE[0]}.csv", options, location=f"/data/{HOSTILE[1]}.csv", made_by=f"{HOSTILE[3]}@host")
    run = await ledger.create_run(new, NOW)
    await ledger.start_run(run, options)
    admitted = rows(range(SESSIONS))
    for at, row in enumerate(admitted):
        row.reason = HOSTILE[at % len(HOSTILE)] if at < 10 else None
    admitted += [SourceRow(90 + at, None, None, text, f"not a UUID: {text}") for at, text in enumerate(HOSTILE)]
    await ledger.admit(run, admitted, "digest", NOW)
    await ledger.source_done(run, "ab" * 32)
    for at, claim in enumerate(await claim_all(ledger, run)):
        await ledger.record(run, _records(at, claim.seq), NOW + at * 10_000)
    await ledger.reports.note_pace(run, PaceSample(NOW, 50.0))
    await ledger.reports.note_pace(run, PaceSample(NOW + 300_000, 35.0, "throttled"))
    await ledger.end_run(run, RunEnd("halted", HOSTILE[0], 600.0, {"throttled": 12.0}), NOW + 600_000)
    return await ledger.find_run(run.name)


def _records(at: int, seq: int) -> list[Record]:
    """What became of one session, and what was exchanged about it on the way."""
    when = NOW + at * 10_000
    before = [_exchange("close", 429, when)] if at % 10 == 0 else []
    before += [_exchange("read", 200, when + 5), _exchange("list", 200, when + 9)] if at % 7 == 0 else []
    tries = [Record(each, (Change(seq, due_at=1),)) for each in before]
    return [*tries, changed_at(seq, when, **_end(at))]


def changed_at(seq: int, at: int, outcome: Outcome, **values: Any) -> Record:
    """The record of a close at that time."""
    status = values.get("http_status", 200)
    return Record(Exchange(at, "close", status, values.get("error"), 20 + seq % 50), (Change(seq, outcome, **values),))


def _exchange(kind: Kind, status: int, at: int) -> Exchange:
    return Exchange(at, kind, status, None, 15)


def _end(at: int) -> dict[str, Any]:
    text = HOSTILE[at % len(HOSTILE)]
    if at % 12 == 3:
        return {"outcome": Outcome.FAILED, "error": text, "http_status": 503, "attempts": 8}
    if at % 12 == 5:
        return {"outcome": Outcome.REJECTED, "http_status": 409, "detail": text, "attempts": 1}
    if at % 12 == 7:
        return {"outcome": Outcome.SKIPPED, "detail": "protected: waiting_for_human"}
    evals = EvalSummary(text if at % 12 == 9 else "success", 2, 2, 0, 0)
    state = SessionState("", text if at % 12 == 9 else "closed", evals, NOW - DAY, NOW + at * 10_000)
    settled = at % 12 != 11
    return {"outcome": Outcome.CLOSED, "session": state, "settled": settled, "attempts": 1}
