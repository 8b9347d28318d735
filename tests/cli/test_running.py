"""Working on a run from its lock to its end: what goes wrong ends in one line that says what to do."""

from collections import Counter
from collections.abc import AsyncIterator, Sequence
from functools import partial
from pathlib import Path
from uuid import UUID

import anyio
import pytest

from closeout.jobs.cli import report
from closeout.jobs.config.file import RawSettings
from closeout.jobs.config.invocation import Invocation
from closeout.jobs.runner import source_runs
from closeout.jobs.runner.run_to_end import reading, run_to_end
from closeout.worker.config.access import Access, ApiKey
from closeout.worker.config.settings import Settings
from closeout.worker.domain.item import Record
from closeout.worker.domain.run import Run
from closeout.worker.feeds.source import OpenedSource
from closeout.worker.ledger.records import NewRun
from closeout.worker.ledger.sqlite.ledger import SqliteLedger
from closeout.worker.sandbox import Sandbox, running_sandbox
from closeout.worker.sources import open_source
from closeout.worker.support.clock import Millis
from closeout.worker.support.errors import LedgerError

pytestmark = pytest.mark.anyio
FULL = "the ledger closeout.db failed: database or disk is full"


class FullLedger(SqliteLedger):
    """The disk is full when answers are to be recorded."""

    async def record(self, run: Run, records: Sequence[Record], now: Millis) -> None:  # noqa: ARG002  # as the protocol
        raise LedgerError(FULL)


@pytest.fixture
async def full_ledger(tmp_path: Path) -> AsyncIterator[FullLedger]:
    """A ledger that takes rows, and no answers."""
    async with FullLedger.open(tmp_path / "closeout.db", create=True) as ledger:
        yield ledger


async def test_a_ledger_that_fails_ends_the_run_in_one_line(
    full_ledger: FullLedger, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It says what failed and how to go on, with exit code 3; what the failure caused elsewhere is not shown."""
    sandbox = Sandbox()
    rows = tmp_path / "rows.csv"
    rows.write_text("session_id\n" + "\n".join(sandbox.add_sessions(50)) + "\n", encoding="utf-8")
    run = await full_ledger.create_run(NewRun("rows.csv", "{}"), 1_772_445_600_000)
    with running_sandbox(sandbox) as url:
        settings = Settings(base_url=url, rate=500.0)
        access = Access(ApiKey(sandbox.config.api_key, "a test"))
        invocation = Invocation(
            settings,
            RawSettings(),
            access,
            str(full_ledger.path),
            progress=False,
        )
        source = OpenedSource(open_source(str(rows)))
        with pytest.raises(BaseException) as caught:  # noqa: PT011  # alone or in a group: report() takes both
            await run_to_end(full_ledger, run, invocation, reading(source))
    assert report(caught.value, show_trace=False) == 3
    begun, said = capsys.readouterr().err.splitlines()
    assert begun.startswith(f"closeout: run {run.name}: closing on http://127.0.0.1")
    assert said == f"closeout: {FULL}; run {run.name} can be resumed"


async def test_of_many_that_begin_with_one_file_at_once_one_makes_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The others find it, however long it takes to make: nothing is closed by two runs side by side."""
    rows, worked = tmp_path / "rows.csv", Counter[str]()
    rows.write_text(f"session_id\n{UUID(int=1)}\n", encoding="utf-8")

    async def slow_forecast(*_: object) -> None:
        await anyio.sleep(0.05)

    async def worked_on(_: object, run: Run, *__: object, **___: object) -> None:
        worked[run.name] += 1

    async def concluded(*_: object) -> int:
        return 0

    monkeypatch.setattr(source_runs, "forecast_from", slow_forecast)
    monkeypatch.setattr(source_runs, "run_to_end", worked_on)
    monkeypatch.setattr(source_runs, "conclude", concluded)
    monkeypatch.setattr(source_runs, "_go_on", lambda ledger, run, *_: worked_on(ledger, run))
    access = Access(ApiKey("k", "a test"))
    invocation = Invocation(Settings(), RawSettings(), access, str(tmp_path / "closeout.db"), yes=True)
    async with anyio.create_task_group() as tasks:
        for _ in range(4):
            tasks.start_soon(partial(source_runs.close_source, invocation, str(rows), new_run=False))
    async with SqliteLedger.open(tmp_path / "closeout.db") as ledger:
        assert worked == {run.name: 4 for run in await ledger.runs()}
    assert len(worked) == 1
