"""The settling stage against an awkward API, in virtual time: in the end the ledger says what is true."""

import random
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.engine.simulated_api import SimulatedApi
from tests.engine.virtual_time import run_virtually
from tests.ledger.support import rows, session_id
from tests.pace.support import MemoryBudget
from worker.clock import ServerClock
from worker.ledger.protocol import NewRun
from worker.ledger.sqlite_store import SqliteStore, connect
from worker.models import NEVER, Change, Claim, EvalSummary, Exchange, Millis, Outcome, Record, SessionState
from worker.pipeline import build_context
from worker.progress import Progress
from worker.settings import Settings
from worker.settling import Settling
from worker.stopping import Stop

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

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._store, name)

        async def call(*args: object) -> Any:
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
    """What the ledger says in the end, by session; how long settling took, and what it sent."""

    rows: dict[str, tuple[object, ...]]
    seconds: float
    requests: int


def settle(fates: list[Fate], chosen: Settings | None = None, **awkward: Any) -> Settled:
    """Close sessions at their times and run the stage beside it until it ends."""
    ids = [session_id(number) for number in range(len(fates))]
    by_id = dict(zip(ids, fates, strict=True))
    sessions = {one: SessionState(one, "closed", started_at=fate.started) for one, fate in by_id.items()}
    api = EvaluatingApi(sessions, fates=by_id, **awkward)
    chosen = chosen or Settings(rate=200.0)

    async def run() -> Settled:
        store.start_run(made, "{}")
        store.admit(made, rows(range(len(fates))), "digest", api.now())
        claims = {claim.session_id: claim for claim in store.claim(made, len(fates), api.now(), None)}
        context = build_context(
            made, chosen, cast("Any", DirectLedger(store)), cast("Any", api), MemoryBudget(anyio.current_time),
            Stop(), Progress(anyio.current_time), random.Random(1), api.now,
        )  # fmt: skip
        context.progress.rows_read = len(fates)
        async with anyio.create_task_group() as tasks:
            with context.recorder:
                tasks.start_soon(context.recorder.run)
                async with anyio.create_task_group() as stages:
                    stages.start_soon(Settling(context).run)
                    for one, fate in sorted(by_id.items(), key=lambda pair: pair[1].closed):
                        await anyio.sleep(max(0.0, fate.closed - anyio.current_time()))
                        await context.recorder.put(closed(claims[one], sessions[one], fate, api.now()))
                    context.closing_done.set()
                    ended = anyio.current_time()
            seconds = anyio.current_time() - ended
        found = [row for batch in store.results(made, 1_000) for row in batch]
        return Settled({str(row[1]): row for row in found}, seconds, api.requests.total())

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


_FATES = st.lists(
    st.tuples(
        st.floats(0, 60), st.integers(0, 3_000), st.floats(0.5, 1), st.floats(0, 1), st.sampled_from(VERDICTS),
        st.sampled_from(["ends", "ends", "ends", "ends", "never", "deleted", "reopened"]), st.floats(1, 60),
    ),
    min_size=1, max_size=80,
)  # fmt: skip


def fates_of(
    drawn: list[tuple[float, int, float, float, EvalSummary, str, float]], queued: float, lag: tuple[float, float]
) -> list[Fate]:
    """Runs are queued within ``queued`` seconds, all at least half of that late; verdicts within ``lag`` after that."""
    return [
        Fate(
            closed=1_000.0 + at,
            started=START + started * 1_000,
            queued=queued * late,
            final=float("inf") if how == "never" else queued * late + lag[0] + (lag[1] - lag[0]) * long,
            verdict=verdict,
            deleted=when if how == "deleted" else float("inf"),
            reopened=when if how == "reopened" else float("inf"),
        )
        for at, started, late, long, verdict, how, when in drawn
    ]


@settings(max_examples=12, deadline=None)
@given(
    drawn=_FATES,
    queued=st.sampled_from([0.0, 0.2, 4.0, 14.0]),
    lag=st.sampled_from([(0.1, 1.0), (5.0, 20.0), (30.0, 90.0)]),
    paging=st.sampled_from(
        ["proper", "proper", "same", "loop", "cut", "empty", "strangers", "twice", "broken", "unbounded"]
    ),
    order=st.sampled_from(["newest", "oldest", "shuffled"]),
    page_size=st.sampled_from([3, 20, 200]),
    omitted=st.sets(st.integers(0, 79), max_size=20),
    throttle=st.integers(0, 3),
)
def test_the_ledgers_verdicts_are_the_true_ones(
    drawn: list[tuple[float, int, float, float, EvalSummary, str, float]],
    queued: float,
    lag: tuple[float, float],
    paging: str,
    order: str,
    page_size: int,
    omitted: set[int],
    throttle: int,
) -> None:
    """Where runs are queued within the grace. What never ends is open, what is gone as last seen, what is live told."""
    fates = fates_of(drawn, queued, lag)
    done = settle(
        fates, paging=paging, order=order, page_size=page_size, throttle_first=throttle,
        omitted=frozenset(session_id(number) for number in omitted),
    )  # fmt: skip
    assert done.seconds <= 900 + 60
    assert done.requests <= 30 * len(fates) + 60
    for number, fate in enumerate(fates):
        row = done.rows[session_id(number)]
        detail, settled, verdict = str(row[3] or ""), row[6], verdict_of(row)
        if settled and "deleted" not in detail:
            assert verdict == fate.verdict
            assert row[4] == "closed"
        if "deleted" in detail:
            assert settled
            assert fate.deleted < NEVER
        if fate.deleted == fate.reopened == float("inf"):
            assert settled == (fate.final < float("inf") or not fate.verdict.total)
        if row[4] == "active":
            assert not settled
            assert "reopened: seen active" in detail


def test_runs_that_are_queued_far_too_late_are_noticed_while_closing_goes_on() -> None:
    """After 40 s, where 15 s are believed: a few that were believed are looked at again, and all is taken back."""
    rng = random.Random(1)
    fates = [
        Fate(1_000.0 + at / 4, START + rng.randrange(10**6), 40.0, 40.0 + rng.uniform(5, 20), VERDICTS[0])
        for at in range(1_200)
    ]
    done = settle(fates)
    assert all(row[6] for row in done.rows.values())
    assert {verdict_of(row) for row in done.rows.values()} == {VERDICTS[0]}


def test_few_requests_settle_many() -> None:
    """Two thousand that are all of the account, in no order, with lags of 5 to 20 s: pages of 200, and the pilots."""
    rng = random.Random(2)
    fates = [
        Fate(1_000.0 + at / 50, START + rng.randrange(10**6), 0.1, rng.uniform(5, 20), VERDICTS[0])
        for at in range(2_000)
    ]
    done = settle(fates)
    assert all(row[6] for row in done.rows.values())
    assert done.requests <= 0.05 * 2_000


@pytest.mark.parametrize("count", [1, 5])
def test_a_few_sessions_do_not_wait_long(count: int) -> None:
    """They are the pilots."""
    fates = [Fate(1_000.0, START + at, 0.1, 3.0, VERDICTS[0]) for at in range(count)]
    done = settle(fates)
    assert all(row[6] for row in done.rows.values())
    assert done.seconds <= 8
