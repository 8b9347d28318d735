"""The budget of a ledger: one row per host and organisation, for all processes."""

import sqlite3
from contextlib import closing
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import anyio
import pytest

from closeout.worker.domain.item import Outcome
from closeout.worker.ledger.membership import RunEnd
from closeout.worker.ledger.open import open_ledger
from closeout.worker.ledger.protocol import Ledger
from closeout.worker.pace.budget import Ask, Budget, BudgetKey, BudgetStore, Grant, Word, reserve, ruled
from closeout.worker.pace.law import Law, Terms
from tests.ledger.support import NOW, Opener, a_run, changed, claim_all

pytestmark = pytest.mark.anyio
KEY = BudgetKey("api.example.com")
BEFORE_THE_LAW = """
CREATE TABLE budgets (
    host TEXT NOT NULL,
    organisation TEXT NOT NULL,
    due REAL NOT NULL DEFAULT 0,
    settle_due REAL NOT NULL DEFAULT 0,
    closing_at REAL NOT NULL DEFAULT 0,
    cut_rate REAL,
    peak REAL,
    cut_at REAL NOT NULL DEFAULT 0,
    held_at REAL NOT NULL DEFAULT 0,
    held_until REAL NOT NULL DEFAULT 0,
    holds INTEGER NOT NULL DEFAULT 0,
    down_since REAL,
    probe_at REAL NOT NULL DEFAULT 0,
    probes INTEGER NOT NULL DEFAULT 0,
    set_rate REAL,
    paused INTEGER NOT NULL DEFAULT 0,
    set_by TEXT,
    seen_at REAL NOT NULL DEFAULT 0,
 PRIMARY KEY (host, organisation)
) STRICT, WITHOUT ROWID;
INSERT INTO budgets (host, organisation, held_until, set_rate, set_by, cut_rate)
VALUES ('api.example.com', '', 1e9, 5.0, 'abc', 20.0);
"""


async def test_two_who_open_the_same_budget_share_it(opener: Opener, tmp_path: Path) -> None:
    """Leases follow one another, whoever takes them; nothing is given out twice."""
    grants: list[Grant] = []
    async with opener(tmp_path) as one, opener(tmp_path) as two, one.budget(KEY) as first, two.budget(KEY) as second:
        for _ in range(10):
            for store in (first, second):
                decided = await store.decide(lambda budget, now: reserve(budget, now, Ask(Terms(2_000.0, 2_000.0), 1)))
                grants += [decided.value] if isinstance(decided.value, Grant) else []
    assert len(grants) == 20
    assert all(later.start >= earlier.end for earlier, later in pairwise(grants))


async def test_two_who_ask_at_the_same_moment_take_turns(opener: Opener, tmp_path: Path) -> None:
    """Whoever waits for the other lets it work meanwhile: it would wait for ever otherwise."""

    async def count(store: BudgetStore) -> None:
        for _ in range(300):
            await store.decide(lambda budget, _: (replace(budget, probes=budget.probes + 1), None))

    async with opener(tmp_path) as one, opener(tmp_path) as two, one.budget(KEY) as first, two.budget(KEY) as second:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(count, first)
            tasks.start_soon(count, second)
        assert (await first.decide(lambda budget, _: (budget, None))).budget.probes == 600


async def test_hosts_and_organisations_have_budgets_of_their_own(ledger: Ledger) -> None:
    """What is said to one does not reach another; all of it is there again when it is opened anew."""
    for key in (KEY, BudgetKey("other.example.com"), BudgetKey(KEY.host, "acme")):
        async with ledger.budget(key) as store:
            assert (await store.decide(lambda budget, _: (budget, None))).budget == Budget()
            if key == KEY:
                await store.decide(
                    lambda budget, _: (ruled(budget, "abc", Word(7.5, paused=True, tolerated=0.05, floor=2.0)), None)
                )
    async with ledger.budget(KEY) as store:
        kept = (await store.decide(lambda budget, _: (budget, None))).budget
    assert (kept.set_rate, kept.paused, kept.set_by) == (7.5, True, "abc")
    assert (kept.set_tolerated, kept.set_floor) == (0.05, 2.0)


async def test_what_the_law_has_learnt_outlives_who_learnt_it(ledger: Ledger) -> None:
    """Each of its fields is kept; so is the whole budget."""
    law = Law(12.5, 1.0, 2.0, looking=True, first=False, wait=40.0, margin=0.7, open_sent=3, long=True, debt=0.25)
    budget = Budget(due=7.0, holds=2, down_since=5.0, law=law)
    async with ledger.budget(KEY) as store:
        await store.decide(lambda _budget, _now: (budget, None))
    async with ledger.budget(KEY) as store:
        assert (await store.decide(lambda budget, _: (budget, None))).budget == budget


async def test_what_was_waited_for_adds_up_by_cause(ledger: Ledger) -> None:
    """Over all processes that worked on a run."""
    run = await a_run(ledger)
    await ledger.end_run(run, RunEnd("interrupted", None, 9, {"throttled": 1.5, "paused": 2.0}), NOW)
    await ledger.start_run(run, "{}")
    for claim in await ledger.claim(run, 1, NOW):
        await ledger.record(run, [changed(claim, Outcome.FAILED)], NOW)  # something comes of it
    await ledger.end_run(run, RunEnd("finished", None, 9, {"throttled": 0.25}), NOW)
    assert (await ledger.find_run(run.name)).waited == {"throttled": 1.75, "paused": 2.0}


async def test_a_cap_lets_so_many_fresh_items_through_and_skips_the_rest(ledger: Ledger) -> None:
    """Items that were tried before are not fresh, and not skipped."""
    run = await a_run(ledger, range(10))
    claims = await ledger.claim(run, 100, NOW, 4)
    assert [claim.fresh for claim in claims] == [True] * 4
    await ledger.release(claims[:1])
    assert await ledger.taken_count(run) == 3
    assert await ledger.claim(run, 100, NOW, 0) == []
    assert await ledger.skip_fresh(run, "over the cap", NOW) == 7
    assert await ledger.skip_fresh(run, "over the cap", NOW) == 0
    counts = await ledger.counts(run)
    assert counts.outcomes[Outcome.SKIPPED] == 7
    assert await claim_all(ledger, run) == []


async def test_the_file_of_an_older_version_gets_what_it_lacks(tmp_path: Path) -> None:
    """It was made before the law; what it says of a person's word and of a wait holds on."""
    path = tmp_path / "closeout.db.budget"
    with closing(sqlite3.connect(path)) as old:
        old.executescript(BEFORE_THE_LAW)
    async with open_ledger(str(tmp_path / "closeout.db"), create=True) as ledger:
        for _ in range(2):
            async with ledger.budget(KEY) as store:
                kept = (await store.decide(lambda budget, _: (replace(budget, probes=budget.probes + 1), None))).budget
    assert (kept.held_until, kept.set_rate, kept.set_by, kept.law, kept.probes) == (1e9, 5.0, "abc", Law(), 2)
