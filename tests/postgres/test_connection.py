"""The connection to the database breaks: what was committed is done once, and the rest is done again."""

from collections.abc import Iterator

import pytest

from closeout.worker.domain.item import Outcome
from closeout.worker.ledger.postgres.address import parse_address
from closeout.worker.ledger.postgres.connection import Database, _Unfinished
from closeout.worker.ledger.postgres.ledger import PostgresLedger
from closeout.worker.pace.budget import Ask, BudgetKey, reserve
from closeout.worker.pace.law import Terms
from closeout.worker.support.errors import LedgerError
from tests.ledger.support import NOW, a_run, changed, claim_all, outcomes_of, session_id
from tests.postgres.proxy import Proxy, proxied
from tests.postgres.test_opening import asked

pytestmark = pytest.mark.anyio


@pytest.fixture
def proxy(url: str) -> Iterator[Proxy]:
    """Stands between the ledger and its server."""
    with proxied(url) as made:
        yield made


def once(proxy: Proxy, answer: bool | None) -> None:
    """The next commit that comes by is treated so, and those after it are passed on."""

    def commit() -> bool | None:
        proxy.commit = lambda: True
        return answer

    proxy.commit = commit


@pytest.mark.parametrize("reached", [True, False])
async def test_a_record_whose_commit_was_lost_is_written_once(url: str, proxy: Proxy, *, reached: bool) -> None:
    """Whether the server had it or not: each exchange is in the ledger once."""
    async with PostgresLedger.open(proxy.url(url), create=True) as ledger:
        run = await a_run(ledger, range(3))
        claims = await claim_all(ledger, run)
        once(proxy, None if reached else False)
        await ledger.record(run, [changed(claim, Outcome.CLOSED, attempts=1) for claim in claims], NOW)
        assert await outcomes_of(ledger, run) == {"closed": 3}
        assert (await ledger.counts(run)).requests == {"close": 3}
        assert len(await ledger.attempts_of(run, session_id(1))) == 1


@pytest.mark.parametrize("reached", [True, False])
async def test_claims_whose_commit_was_lost_are_not_lost(url: str, proxy: Proxy, *, reached: bool) -> None:
    """Else they would be in doubt, though nothing was sent."""
    async with PostgresLedger.open(proxy.url(url), create=True) as ledger:
        run = await a_run(ledger, range(5))
        once(proxy, None if reached else False)
        claims = await ledger.claim(run, 3, NOW)
        assert [claim.session_id for claim in claims] == [session_id(n) for n in range(3)]
        assert len(await claim_all(ledger, run)) == 2


async def test_a_broken_connection_is_replaced(url: str, proxy: Proxy) -> None:
    """For reading, for writing and for permits; several at once, too."""
    async with PostgresLedger.open(proxy.url(url), create=True) as ledger, ledger.budget(BudgetKey("h")) as store:
        run = await a_run(ledger, range(5))
        await store.decide(lambda budget, now: reserve(budget, now, Ask(Terms(50.0, 100.0), 4)))
        proxy.sever()
        assert (await ledger.find_run("last")).name == run.name
        proxy.sever()
        assert len(await claim_all(ledger, run)) == 5
        proxy.sever()
        await store.decide(lambda budget, now: reserve(budget, now, Ask(Terms(50.0, 100.0), 4)))


async def test_a_server_that_stays_away_is_given_up_in_time(url: str, proxy: Proxy) -> None:
    """In one line, without the password."""
    async with PostgresLedger.open(proxy.url(url), create=True) as ledger:
        run = await a_run(ledger, range(2))
        ledger.patience = 0.5
        proxy.close()
        with pytest.raises(LedgerError, match=r"the ledger postgresql://.* failed: ") as failed:
            await claim_all(ledger, run)
        assert "\n" not in str(failed.value)


@pytest.mark.parametrize("taken", [False, True])
async def test_a_transaction_that_a_crash_has_undone_is_done_again(url: str, proxy: Proxy, *, taken: bool) -> None:
    """Its number is one that the server has not given out, as far as it remembers, or by now another one's."""
    async with PostgresLedger.open(proxy.url(url), create=True) as ledger:
        run = await a_run(ledger, range(3))
        ((xid,),) = asked(url, "SELECT pg_current_xact_id()::text")
        async with Database(parse_address(proxy.url(url)), size=1).opened() as database:
            undone = _Unfinished([])
            undone.xid = str(xid) if taken else str(2**40 + 5)
            await database._write(lambda sql: sql.rows("source_done", run=run.id, sha256=None), 5, undone)
        assert (await ledger.find_run("last")).source_done
        assert len(asked(url, "SELECT mark FROM written")) <= 3  # one for each process's pool
