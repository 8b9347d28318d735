"""A ledger that is opened for reading alone: nothing in it changes, not even its schema."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from closeout.worker.ledger.open import open_ledger
from closeout.worker.pace.budget import BudgetKey, Word, ruled
from closeout.worker.support.errors import LedgerError
from tests.ledger.support import NOW, a_run, claim_all, results_of
from tests.postgres.databases import url_of

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("kind", ["file", "server"])
async def test_it_sees_what_others_write_and_writes_nothing(tmp_path: Path, kind: str) -> None:
    """While they work; and the budget, which is beside it, can be spoken to all the same."""
    path = url_of(tmp_path) if kind == "server" else str(tmp_path / "ledger.db")
    async with open_ledger(path, create=True) as writing, open_ledger(path, read_only=True) as reading:
        run = await a_run(writing, range(3))
        assert await results_of(reading, run) == await results_of(writing, run)
        await claim_all(writing, run)
        assert (await reading.counts(run)).outcomes == (await writing.counts(run)).outcomes
        with pytest.raises(LedgerError, match=r"read-?only"):
            await reading.claim(run, 1, NOW)
        async with reading.budget(BudgetKey("host")) as store:
            decided = await store.decide(lambda budget, _: (ruled(budget, run.name, Word(paused=True)), None))
        assert decided.budget.paused


async def test_what_it_would_have_to_change_it_refuses(tmp_path: Path) -> None:
    """No file, an older schema: in one line that says what to do."""
    path = tmp_path / "ledger.db"
    with pytest.raises(LedgerError, match="there is no ledger"):
        async with open_ledger(str(path), read_only=True):
            pass
    assert not path.exists()
    async with open_ledger(str(path), create=True):
        pass
    with closing(sqlite3.connect(path)) as connection:
        (newest,) = connection.execute("PRAGMA user_version").fetchone()
        connection.execute("PRAGMA user_version = 3")
    with pytest.raises(LedgerError, match="older closeout: `closeout runs`"):
        async with open_ledger(str(path), read_only=True):
            pass
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (3,)
        connection.execute(f"PRAGMA user_version = {newest}")
    async with open_ledger(str(path), read_only=True) as ledger:
        assert await ledger.runs() == []
