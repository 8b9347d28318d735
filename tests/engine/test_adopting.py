"""What a consumer does with the run of another one that seems to have died."""

from pathlib import Path
from types import SimpleNamespace
from typing import cast

import anyio
import pytest

from closeout.worker.config.access import Access, ApiKey
from closeout.worker.config.settings import Settings
from closeout.worker.engine import adoption as adopting
from closeout.worker.engine.adoption import adopt_orphans
from closeout.worker.ledger.lease import Terms
from closeout.worker.ledger.records import NewRun
from closeout.worker.ledger.sqlite.ledger import SqliteLedger
from closeout.worker.runtime.context import Context
from closeout.worker.runtime.stop import Stop
from closeout.worker.support.clock import now_ms

pytestmark = pytest.mark.anyio
TERMS = Terms(lease=30, timeout=29, patience=60)

ACCESS = Access(ApiKey("k", "a test"))


async def test_a_run_that_is_taken_up_again_meanwhile_keeps_its_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its process only seemed to be dead, and takes messages again: that no more come is for its holder to say."""
    monkeypatch.setattr(adopting, "_EVERY", 0.01)
    settings = Settings(base_url="http://127.0.0.1:9", from_queue=True)
    new = NewRun("queue:q", settings.model_dump_json(), location="queue:q", made_by="test")
    async with SqliteLedger.open(tmp_path / "a.db", create=True) as ledger:
        run, own = await ledger.create_run(new, now_ms()), await ledger.create_run(new, now_ms())
        async with SqliteLedger.open(tmp_path / "a.db") as other, other.joined(run, TERMS):
            looks, enough = 0, anyio.Event()

            async def seems_free(_: object) -> bool:
                nonlocal looks
                looks += 1
                if looks == 6:
                    enough.set()
                return False

            monkeypatch.setattr(ledger, "busy", seems_free)
            stub = SimpleNamespace(ledger=ledger, run=own, settings=settings, stop=Stop(), alarms=None)
            with anyio.fail_after(60):
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(lambda: adopt_orphans(cast("Context", stub), access=ACCESS, say=lambda _: None))
                    await enough.wait()
                    tasks.cancel_scope.cancel()
            assert not (await ledger.find_run(run.name)).source_done
