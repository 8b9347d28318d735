"""One process at work on two runs, as a consumer of a queue that closes what another one left."""

import pytest

from closeout.worker.domain.run import Run
from closeout.worker.ledger.membership import RunEnd
from closeout.worker.ledger.postgres.ledger import PostgresLedger
from tests.ledger.support import NOW, a_run
from tests.postgres.test_crew import TERMS, at_work, taken_for_dead
from tests.postgres.test_opening import asked

pytestmark = pytest.mark.anyio


@pytest.fixture
async def run(url: str) -> Run:
    """Six sessions to close."""
    async with PostgresLedger.open(url, create=True) as ledger:
        return await a_run(ledger, range(6))


async def test_whoever_works_on_two_runs_is_a_worker_of_both(url: str, run: Run) -> None:
    """A consumer that adopts a run: its own claims stay its own, meanwhile and afterwards, and go back when it dies."""

    def holders() -> list[tuple[object, ...]]:
        return asked(url, "SELECT owner, count(*) FROM items WHERE outcome = 'claimed' GROUP BY owner ORDER BY owner")

    async with PostgresLedger.open(url) as somebody:
        other = await a_run(somebody, range(10, 12))
    async with at_work(url, run) as (ledger, crew):
        own = getattr(crew, "owner", None)
        async with ledger.joined(other, TERMS) as adopting:
            await ledger.start_run(other, "{}")
            await adopting.begin()
            assert len(await ledger.claim(run, 2, NOW)) == 2
            assert holders() == [(own, 2)]
            adopted = await ledger.claim(other, 2, NOW)
            assert holders() == [(own, 2), (getattr(adopting, "owner", None), 2)]
            await ledger.release(adopted)
            await adopting.leave(RunEnd("interrupted", None, 1.0), NOW)
        assert len(await ledger.claim(run, 2, NOW)) == 2
        assert holders() == [(own, 4)]
        await taken_for_dead(url, crew)
        assert await ledger.claim(run, 2, NOW) == []
