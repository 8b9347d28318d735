"""Property: whatever happens in whatever order, the ledger and a small model of it agree."""

import shutil
import tempfile
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import anyio.from_thread
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from closeout.worker.domain.item import Claim, Outcome
from closeout.worker.domain.run import Run
from closeout.worker.ledger.protocol import Ledger
from tests.ledger.support import IMPLEMENTATIONS, NOW, a_run, bad_row, changed, results_of, rows, session_id
from tests.postgres.databases import done_with

FINAL = [Outcome.CLOSED, Outcome.ALREADY_CLOSED, Outcome.NOT_FOUND, Outcome.REJECTED, Outcome.FAILED, Outcome.SKIPPED]
REOPENED = {"failed", "rejected", "not_found"}
numbers = st.lists(st.integers(0, 25), max_size=8)
picks = st.lists(st.integers(0, 30), min_size=1, max_size=5, unique=True)


class LedgerMachine(RuleBasedStateMachine):
    """The model: the outcome of each session, who is claimed now, and how many rows were read."""

    implementation = "sqlite"

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.outcomes: dict[str, str] = {}
        self.due: dict[str, int] = {}
        self.held: dict[str, Claim] = {}
        self.attempts: dict[str, int] = {}
        self.was: dict[str, tuple[str, int]] = {}  # outcome and attempts before a retry
        self.invalid = self.read = 0
        self.now = NOW
        self.portal_context = anyio.from_thread.start_blocking_portal("asyncio")
        self.portal = self.portal_context.__enter__()
        self.stack = AsyncExitStack()

    def do(self, work: Callable[..., Awaitable[Any]], *args: Any) -> Any:  # what the ledger's method returns
        return self.portal.call(work, *args)

    @initialize()
    def open(self) -> None:
        self.ledger: Ledger = self.do(self.stack.enter_async_context, IMPLEMENTATIONS[self.implementation](self.folder))
        self.run: Run = self.do(a_run, self.ledger)

    def teardown(self) -> None:
        self.do(self.stack.aclose)
        self.portal_context.__exit__(None, None, None)
        done_with(self.folder)
        shutil.rmtree(self.folder)

    @rule(named=numbers, bad=st.integers(0, 2))
    def admit(self, named: list[int], bad: int) -> None:
        admitted = [*rows(named), *(bad_row(99) for _ in range(bad))]
        fresh = {session_id(number) for number in named} - set(self.outcomes)
        duplicates = self.do(self.ledger.admit, self.run, admitted, "d", self.now)
        assert duplicates == len(named) - len(fresh)
        self.outcomes |= dict.fromkeys(fresh, "pending")
        self.due |= dict.fromkeys(fresh, 0)
        self.attempts |= dict.fromkeys(fresh, 0)
        self.invalid += bad
        self.read += len(admitted)

    @rule(limit=st.integers(1, 6), passed=st.integers(0, 60))
    def claim(self, limit: int, passed: int) -> None:
        self.now += passed
        ready = {each for each, state in self.outcomes.items() if state == "pending" and self.due[each] <= self.now}
        claims = self.do(self.ledger.claim, self.run, limit, self.now)
        taken = [claim.session_id for claim in claims]
        assert len(set(taken)) == len(taken) == min(limit, len(ready))
        assert set(taken) <= ready
        assert {claim.session_id: claim.attempts for claim in claims}.items() <= self.attempts.items()
        self.held |= {claim.session_id: claim for claim in claims}
        self.outcomes |= dict.fromkeys(taken, "claimed")

    def _picked(self, which: list[int]) -> list[Claim]:
        held = sorted(self.held)
        return [self.held.pop(held[number]) for number in which if number < len(held)]

    @precondition(lambda self: self.held)
    @rule(which=picks, outcome=st.sampled_from([*FINAL, Outcome.PENDING, Outcome.IN_DOUBT]), delay=st.integers(1, 90))
    def record(self, which: list[int], outcome: Outcome, delay: int) -> None:
        claims = self._picked(which)
        due = self.now + delay if outcome in (Outcome.PENDING, Outcome.IN_DOUBT) else None
        records = [changed(claim, outcome, due_at=due, attempts=claim.attempts + 1) for claim in claims]
        self.do(self.ledger.record, self.run, records, self.now)
        for claim in claims:
            self.outcomes[claim.session_id] = outcome.value
            self.due[claim.session_id] = due or 0
            self.attempts[claim.session_id] += 1
            self.was.pop(claim.session_id, None)

    @precondition(lambda self: self.held)
    @rule(which=picks)
    def release(self, which: list[int]) -> None:
        claims = self._picked(which)
        self.do(self.ledger.release, claims)
        self.outcomes |= dict.fromkeys((claim.session_id for claim in claims), "pending")

    @rule(outcome=st.sampled_from([Outcome.CLOSED, Outcome.PENDING, Outcome.FAILED, Outcome.IN_DOUBT]))
    def look_at_doubts(self, outcome: Outcome) -> None:
        doubts = self.do(self.ledger.due_doubts, self.run, 3, self.now)
        assert all(self.outcomes[doubt.session_id] == "in_doubt" for doubt in doubts)
        due = self.now + 20 if outcome in (Outcome.PENDING, Outcome.IN_DOUBT) else None
        self.do(self.ledger.record, self.run, [changed(d, outcome, due_at=due) for d in doubts], self.now)
        for doubt in doubts:
            self.outcomes[doubt.session_id] = outcome.value
            self.due[doubt.session_id] = due or 0
            self.was.pop(doubt.session_id, None)

    @rule()
    def crash_and_go_on(self) -> None:
        self.do(self.stack.aclose)
        self.stack = AsyncExitStack()
        self.ledger = self.do(self.stack.enter_async_context, IMPLEMENTATIONS[self.implementation](self.folder))
        self.do(self.ledger.start_run, self.run, "{}")
        for each, state in self.outcomes.items():
            if state == "claimed":
                self.outcomes[each] = "in_doubt"
        self.held.clear()

    @rule()
    def retry(self) -> None:
        """What is to be attempted again shows as what it was until something has come of it."""
        waiting = {each for each, state in self.outcomes.items() if state == "pending"} & set(self.was)
        again = [each for each, state in self.outcomes.items() if state in REOPENED or each in waiting]
        assert self.do(self.ledger.retry, self.run) == len(again)
        self.was |= {each: (self.outcomes[each], self.attempts[each]) for each in again if each not in waiting}
        self.outcomes |= dict.fromkeys(again, "pending")
        self.due |= dict.fromkeys(again, 1)
        self.attempts |= dict.fromkeys(again, 0)

    @invariant()
    def the_ledger_says_what_the_model_says(self) -> None:
        found = self.do(results_of, self.ledger, self.run)
        shown = {each: "in_doubt" if state == "claimed" else state for each, state in self.outcomes.items()}
        kept = {each: was for each, was in self.was.items() if shown[each] == "pending"}
        shown |= {each: outcome for each, (outcome, _) in kept.items()}
        attempts = self.attempts | {each: count for each, (_, count) in kept.items()}
        valid = [row for row in found if row["outcome"] != "invalid"]
        assert len(valid) == len(self.outcomes)
        assert {row["session_id"]: row["outcome"] for row in valid} == shown
        assert {row["session_id"]: row["attempts"] for row in valid} == attempts
        assert len(found) - len(valid) == self.invalid

    @invariant()
    def every_row_read_is_accounted_for(self) -> None:
        run = self.do(self.ledger.find_run, self.run.name)
        counts = self.do(self.ledger.counts, self.run)
        assert run.rows_read == self.read == run.duplicates + sum(counts.outcomes.values())


@pytest.mark.parametrize("implementation", sorted(IMPLEMENTATIONS))
def test_any_order_of_events_keeps_the_ledger_true(implementation: str) -> None:
    """Each id has one row, nothing is claimed twice at a time, and only a retry changes a final outcome."""
    machine = type("Machine", (LedgerMachine,), {"implementation": implementation})
    examples = 25 if implementation == "sqlite" else 6  # each begins with a ledger of its own, and asks a server
    run_state_machine_as_test(machine, settings=settings(max_examples=examples, stateful_step_count=25, deadline=None))
