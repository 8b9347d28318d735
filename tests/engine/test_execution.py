"""A run from its lock to its end: what a person said to it, and when that holds."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from closeout.worker.config.access import Access, ApiKey
from closeout.worker.config.settings import Settings
from closeout.worker.domain.run import Run
from closeout.worker.engine.execute import execute
from closeout.worker.engine.run import Watcher
from closeout.worker.ledger.lease import Terms
from closeout.worker.ledger.membership import Membership
from closeout.worker.ledger.open import open_ledger
from closeout.worker.ledger.protocol import Ledger
from closeout.worker.ledger.records import NewRun
from closeout.worker.pace.budget import Word, budget_key, ruled

ACCESS = Access(ApiKey("key", "a test"))
SETTINGS = Settings(base_url="http://127.0.0.1:9", settle=False, protect=())


async def pause(ledger: Ledger, run: Run) -> None:
    """As ``closeout pause`` does."""
    async with ledger.budget(budget_key(SETTINGS)) as store:
        await store.decide(lambda budget, _: (ruled(budget, run.name, Word(paused=True)), None))


async def paused_once_begun(ledger: Ledger, run: Run) -> bool:
    """Whether the run finds itself paused when it begins to work."""
    found: list[bool] = []

    async def begun(_: Run) -> Sequence[Watcher]:
        async with ledger.budget(budget_key(SETTINGS)) as store:
            found.append((await store.decide(lambda budget, _: (budget, budget.paused))).value)
        return ()

    assert (await execute(ledger, run, SETTINGS, ACCESS, None, begun=begun)).state == "halted"  # no source was read
    return found == [True]


@pytest.mark.anyio
async def test_a_pause_in_the_first_instant_of_a_run_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``closeout pause`` is believed as soon as the run is held, whatever its process is about to do then."""
    async with open_ledger(str(tmp_path / "closeout.db"), create=True) as ledger:
        run = await ledger.create_run(NewRun("sessions.csv", SETTINGS.model_dump_json()), 0)
        joined = ledger.joined

        @asynccontextmanager
        async def held(run: Run, terms: Terms, *, alone: bool = False) -> AsyncIterator[Membership]:
            async with joined(run, terms, alone=alone) as crew:
                await pause(ledger, run)
                yield crew

        monkeypatch.setattr(ledger, "joined", held)
        assert await paused_once_begun(ledger, run)


@pytest.mark.anyio
async def test_a_pause_of_a_run_whose_process_died_holds_no_longer(tmp_path: Path) -> None:
    """Neither for that run, when it is resumed, nor for another one; one that is held keeps everybody paused."""
    async with open_ledger(str(tmp_path / "closeout.db"), create=True) as ledger:
        run, other = [await ledger.create_run(NewRun("x.csv", SETTINGS.model_dump_json()), 0) for _ in range(2)]
        await pause(ledger, run)
        assert not await paused_once_begun(ledger, run)
        await pause(ledger, run)
        assert not await paused_once_begun(ledger, other)
        async with ledger.locked(run):
            await pause(ledger, run)
            assert await paused_once_begun(ledger, await ledger.find_run(other.name))


@pytest.mark.anyio
@pytest.mark.parametrize(("portion", "shares"), [({}, True), ({"limit": 5}, False), ({"canary": 5}, False)])
async def test_others_know_of_a_cap_or_a_canary_once_they_know_that_the_run_has_begun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, portion: dict[str, Any], shares: bool
) -> None:
    """In between they would take up as many as they like."""
    settings = SETTINGS.model_copy(update=portion)
    async with open_ledger(str(tmp_path / "closeout.db"), create=True) as ledger:
        run = await ledger.create_run(NewRun("sessions.csv", settings.model_dump_json()), 0)
        told: list[bool] = []

        async def begin(crew: Membership) -> None:
            told.append(crew.shares())

        monkeypatch.setattr(Membership, "begin", begin)
        await execute(ledger, run, settings, ACCESS, None)
        assert told == [shares]
