"""A world for the settling stage: sessions with their fates, an awkward API, a real ledger, and virtual time."""

import random
import signal
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import anyio

from closeout.worker.config.settings import Settings
from closeout.worker.domain.exchange import Exchange
from closeout.worker.domain.item import Change, Claim, Outcome, Record
from closeout.worker.domain.session import EvalSummary, SessionState
from closeout.worker.engine.build import build_context
from closeout.worker.ledger.records import NewRun
from closeout.worker.ledger.sqlite.file import connect
from closeout.worker.ledger.sqlite.store import SqliteStore
from closeout.worker.runtime.progress import Progress
from closeout.worker.runtime.stop import Alarms, Stop
from closeout.worker.stages.evaluations import Settling
from closeout.worker.support.clock import Millis, ServerClock
from tests.engine.simulated_api import SimulatedApi
from tests.engine.virtual_time import run_virtually
from tests.ledger.support import rows, session_id
from tests.pace.support import MemoryBudget, at_rate

START: Millis = 1_000_000
VERDICTS = (
    EvalSummary("success", 3, 3, 0, 0, 2, 2, 0, 0),
    EvalSummary("failure", 2, 1, 1, 0, 1, 0, 1, 0),
    EvalSummary("none", 2, 2, 0, 0, 0, 0, 0, 0),
    EvalSummary(),
)


@dataclass(frozen=True)
class Fate:
    """What becomes of one session, in seconds after its close: no runs before ``queued``, its verdict at ``final``."""

    closed: float
    started: Millis
    queued: float
    final: float
    verdict: EvalSummary
    deleted: float = float("inf")
    reopened: float = float("inf")


@dataclass
class EvaluatingApi(SimulatedApi):
    """Sessions that go through their fates on the loop's clock."""

    fates: dict[str, Fate] = field(default_factory=dict)
    server_clock: ServerClock = field(default_factory=ServerClock)
    key_origin: str | None = None

    def now(self) -> Millis:
        return round(anyio.current_time() * 1000)

    def state(self, session: SessionState) -> SessionState | None:
        fate = self.fates.get(session.session_id)
        return state_of(session, fate, self.now() / 1000 - fate.closed) if fate else session


def state_of(session: SessionState, fate: Fate, age: float) -> SessionState | None:
    """The session so long after its close."""
    if age >= fate.deleted:
        return None
    if age >= fate.reopened:
        return replace(session, status="active")
    if age >= fate.final or not fate.verdict.total:
        return replace(session, evals=fate.verdict)
    pending = (
        EvalSummary("pending", fate.verdict.total, 0, 0, fate.verdict.total) if age >= fate.queued else EvalSummary()
    )
    return replace(session, evals=pending)


class DirectLedger:
    """The SQLite ledger without its threads, which virtual time cannot wait for."""

    def __init__(self, store: SqliteStore) -> None:
        self._store = store
        self.asked = 0

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._store, name)

        async def call(*args: object) -> Any:
            self.asked += 1
            await anyio.lowlevel.checkpoint()
            return method(*args)

        return call


@contextmanager
def a_store() -> Iterator[SqliteStore]:
    """A ledger of its own."""
    with tempfile.TemporaryDirectory() as folder:
        connection = connect(Path(folder) / "ledger.db", create=True)
        connection.pragma("synchronous", "off")
        with closing(connection):
            yield SqliteStore(connection)


@dataclass(frozen=True)
class Settled:
    """What the ledger says in the end, by session, and how long settling took after the last close.

    ``requests`` is what it sent, ``shown`` how many it told to be settled, ``asked`` how often it asked the ledger.
    """

    rows: dict[str, tuple[object, ...]]
    seconds: float
    requests: int
    shown: int
    asked: int

    @property
    def settled(self) -> int:
        """How many verdicts are final, by the ledger."""
        return sum(bool(row[6]) for row in self.rows.values())


def settle(
    fates: list[Fate],
    chosen: Settings | None = None,
    *,
    later: float | None = None,
    stopped: float | None = None,
    **awkward: Any,
) -> Settled:
    """Close sessions at their times and run the stage beside it until it ends.

    ``later``: alone, so long afterwards. ``stopped``: closing has no end, and is stopped so long after the last close.
    """
    ids = [session_id(number) for number in range(len(fates))]
    by_id = dict(zip(ids, fates, strict=True))
    sessions = {one: SessionState(one, "closed", started_at=fate.started) for one, fate in by_id.items()}
    api = EvaluatingApi(sessions, fates=by_id, **awkward)
    chosen = chosen or Settings(rate=200.0)

    async def run() -> Settled:
        store.start_run(made, "{}")
        store.admit(made, rows(range(len(fates))), "digest", api.now())
        claims = {claim.session_id: claim for claim in store.claims.claim(made, len(fates), api.now(), None)}
        ledger = DirectLedger(store)
        budget = MemoryBudget(anyio.current_time, at_rate(chosen.allowed_rate, anyio.current_time()))
        context = build_context(
            made, chosen, cast("Any", ledger), cast("Any", api), budget, Stop(), Progress(anyio.current_time),
            random.Random(1), api.now,
        )  # fmt: skip
        context.progress.rows_read = len(fates)
        context.alarms = Alarms(lambda _: None) if stopped is not None else None
        async with anyio.create_task_group() as tasks:
            with context.recorder:
                tasks.start_soon(context.recorder.run)
                async with anyio.create_task_group() as stages:
                    if later is None:
                        stages.start_soon(Settling(context).run)
                    for one, fate in sorted(by_id.items(), key=lambda pair: pair[1].closed):
                        await anyio.sleep(max(0.0, fate.closed - anyio.current_time()))
                        await context.recorder.put(closed(claims[one], sessions[one], fate, api.now()))
                    if later is not None:
                        await anyio.sleep(later)
                        store.resettle(made)
                        stages.start_soon(Settling(context, alone=True).run)
                    if stopped is not None:
                        await anyio.sleep(stopped)
                        context.stop.interrupt(signal.SIGTERM)
                    context.closing_done.set()
                    ended = anyio.current_time()
            seconds = anyio.current_time() - ended
        found = [row for batch in store.results.of_run(made, 1_000) for row in batch]
        by_session = {str(row[1]): row for row in found}
        return Settled(by_session, seconds, api.requests.total(), context.progress.settled, ledger.asked)

    with a_store() as store:
        made = store.create_run(NewRun("rows.csv", "{}"), START)
        return run_virtually(run)


def closed(claim: Claim, session: SessionState, fate: Fate, now: Millis) -> Record:
    """The answer to the close, as the judge takes it."""
    found = state_of(session, replace(fate, deleted=float("inf"), reopened=float("inf")), 0.0)
    change = Change(claim.seq, Outcome.CLOSED, attempts=1, session=found, settle_at=now, looked_at=now)
    return Record(Exchange(now, "close", 200, None, 1), (change,))


def verdict_of(row: tuple[object, ...]) -> EvalSummary:
    """What the row says of the evaluations."""
    return EvalSummary(*row[5:6], *row[15:23])  # type: ignore[arg-type]  # in the order of the columns
