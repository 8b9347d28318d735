"""Several runs over the same sessions in any order of steps: what the ledger knows is never sent unseen, nor by two."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from closeout.worker.domain.item import Change, Claim, Outcome, Record
from closeout.worker.domain.run import Run
from closeout.worker.domain.session import SessionState
from closeout.worker.ledger.elsewhere import Held, put_off
from closeout.worker.ledger.records import NewRun
from closeout.worker.ledger.sqlite.file import connect
from closeout.worker.ledger.sqlite.store import SqliteStore
from closeout.worker.support.clock import Millis
from tests.ledger.support import NOW, changed, exchange, rows, session_id

SESSIONS, RUNS = 2, 3
SENT = [("acknowledged", at, number) for at in range(3) for number in range(2)]
ENDS = ("acknowledged", "lost", "undone", "refused")
Step = tuple[str, int, int]
STEPS = st.tuples(
    st.sampled_from(["claim", "look", "die", "kill", "reopen", *ENDS]),
    st.integers(0, RUNS - 1),
    st.integers(0, SESSIONS - 1),
)


@dataclass
class World:
    """``closed`` are sessions that are closed; ``told`` those of which the ledger knows it."""

    store: SqliteStore
    alive: set[int]
    runs: list[Run] = field(default_factory=list)
    held: list[dict[str, Claim]] = field(default_factory=list)
    closed: set[str] = field(default_factory=set)
    told: set[str] = field(default_factory=set)
    now: Millis = NOW
    hosts: int = 0

    def begin(self) -> None:
        """All runs hold all sessions, and are at work, on a host that none has been on before."""
        self.runs, self.held, self.closed, self.told = [], [], set(), set()
        self.hosts += 1
        options = f'{{"base_url": "https://host{self.hosts}.example.com"}}'
        for _ in range(RUNS):
            run = self.store.create_run(NewRun("x.csv", options), NOW)
            self.store.start_run(run, "{}")
            self.store.admit(run, rows(range(SESSIONS)), "d", NOW)
            self.runs.append(run)
            self.held.append({})
            self.alive.add(run.id)

    def step(self, what: str, at: int, number: int) -> None:
        """One thing that may happen next."""
        self.now += 2_000
        session, run = session_id(number), self.runs[at]
        if what == "claim":
            self._claim(at)
        elif what == "look" and run.id in self.alive:
            self._look(run)
        elif what == "die":
            self.held[at].clear()
            self.alive.discard(run.id)
        elif what == "kill":
            self.held[at].clear()
            self.alive.add(run.id)
            self.store.start_run(run, "{}")
        elif what == "reopen":
            if all(session not in held for held in self.held):
                self.closed.discard(session)
                self.told.discard(session)
        elif session in self.held[at]:
            self._send(what, at, self.held[at].pop(session))

    def _claim(self, at: int) -> None:
        if self.runs[at].id not in self.alive:
            return
        for claim in self.store.claims.claim(self.runs[at], 10, self.now, None):
            others = [held for other, held in enumerate(self.held) if other != at]
            assert all(claim.session_id not in held for held in others), "two runs have it in flight"
            assert claim.session_id not in self.told, "the ledger knows that it is closed"
            self.held[at][claim.session_id] = claim

    def _send(self, how: str, at: int, claim: Claim) -> None:
        session = claim.session_id
        assert session not in self.told, "it was sent although the ledger knew that it is closed"
        change: dict[str, object] = {"attempts": claim.attempts + 1}
        if how in ("acknowledged", "lost"):
            self.closed.add(session)
        if how == "acknowledged":
            self.told.add(session)
        outcome = {"acknowledged": Outcome.CLOSED, "lost": Outcome.IN_DOUBT, "undone": Outcome.PENDING}
        due = {"lost": self.now + 1, "undone": self.now + 1}
        record = changed(claim, outcome.get(how, Outcome.REJECTED), due_at=due.get(how), **change)
        self.store.record(self.runs[at], [record], self.now)

    def _look(self, run: Run) -> None:
        for claim in [*self.store.due_doubts(run, 10, self.now), *self.store.due_known(run, 10)]:
            session = claim.session_id
            due = 0 if claim.first_attempt_at is None else self.now
            change = Change(claim.seq, Outcome.PENDING, due_at=due, session=SessionState(session, "active"))
            if session in self.closed:
                self.told.add(session)
                change = Change(claim.seq, Outcome.ALREADY_CLOSED, session=SessionState(session, "closed"))
            self.store.record(run, [Record(exchange("read"), (change,))], self.now)

    def settle(self) -> None:
        """Whatever has happened, going on ends."""
        for number in range(RUNS):
            self.step("kill", number, 0)
        for _ in range(12):
            for at in range(RUNS):
                self._look(self.runs[at])
                self.now += 2_000
                self._claim(at)
                for claim in [*self.held[at].values()]:
                    self._send("acknowledged", at, self.held[at].pop(claim.session_id))
        for run in self.runs:
            open_ones = self.store.open_count(run, 99, self.now + 10_000)
            assert open_ones == 0, "a session is put off without end"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """One ledger for all examples, each of which has a host of its own."""
    with closing(connect(tmp_path_factory.mktemp("model") / "ledger.db", create=True)) as connection:
        connection.pragma("synchronous", "off")
        alive: set[int] = set()
        yield World(SqliteStore(connection, alive.__contains__), alive)


@settings(max_examples=100, deadline=None)
@given(st.lists(STEPS, max_size=40))
@example([("claim", 0, 0), ("kill", 0, 0), ("claim", 1, 0), ("look", 1, 0), ("look", 0, 0), ("claim", 0, 0), *SENT])
@example(
    [("claim", 0, 0), *SENT, ("reopen", 0, 0), ("claim", 1, 0), ("look", 1, 0), ("claim", 1, 0), *SENT, ("claim", 2, 0)]
)
@example([("claim", 0, 0), ("undone", 0, 0), ("claim", 1, 0)])
@example([("claim", 0, 0), ("undone", 0, 0), ("claim", 1, 0), ("acknowledged", 1, 0), ("claim", 0, 0)])
def test_in_any_order_no_session_is_sent_twice_unseen(world: World, steps: list[Step]) -> None:
    """With lost answers, refusals, kills, and sessions that are opened again; and all comes to its end."""
    world.begin()
    for step in steps:
        world.step(*step)
    world.settle()


HELD = st.builds(
    Held,
    seq=st.integers(1, 3),
    run=st.integers(1, 4),
    outcome=st.sampled_from(["claimed", "in_doubt", "closed", "already_closed"]),
    news=st.booleans(),
    started_at=st.none(),
)


@given(st.lists(HELD), st.sets(st.integers(1, 4)))
def test_what_is_held_elsewhere_is_put_off_by_the_strictest_reason(found: list[Held], alive: set[int]) -> None:
    """Waiting before a look that comes later, and that before one at once; what is no news holds nothing up."""
    decided = put_off(found, alive.__contains__, NOW)
    for seq in {held.seq for held in found}:
        mine = [held for held in found if held.seq == seq]
        waits = any(held.outcome == "claimed" and held.run in alive for held in mine)
        news = [held for held in mine if held.news]
        if waits:
            assert decided[seq].waits
        elif news:
            doubtful = any(held.outcome in ("claimed", "in_doubt") for held in news)
            assert (decided[seq].waits, decided[seq].due_at > 0) == (False, doubtful)
        else:
            assert seq not in decided


@pytest.mark.parametrize("order", [1, -1])
def test_of_two_other_runs_the_one_at_work_counts(order: int) -> None:
    """Whichever is told first."""
    found = [Held(1, 2, "claimed", True, None), Held(1, 3, "closed", True, 5)][::order]
    assert put_off(found, {2}.__contains__, NOW)[1].waits
