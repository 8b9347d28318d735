"""Several processes at work on one run: who leads, who is dead, and what an answer that comes late is worth."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from functools import partial

import anyio
import psycopg
import pytest

from tests.ledger.support import NOW, a_run, changed, claim_all, closed, outcomes_of, results_of, rows, session_id
from tests.postgres.proxy import proxied
from tests.postgres.test_opening import asked
from worker.errors import LedgerError, RunBusyError
from worker.lease import Terms
from worker.ledger.crew import Crew, LeaseLostError, RunEnd
from worker.ledger.postgres.address import parse_address
from worker.ledger.postgres.ledger import PostgresLedger
from worker.models import NEVER, Outcome, Run

pytestmark = pytest.mark.anyio
TERMS = Terms(lease=30, timeout=29, patience=5)
Pair = tuple[PostgresLedger, Crew]


@asynccontextmanager
async def at_work(url: str, run: Run, terms: Terms = TERMS) -> AsyncIterator[Pair]:
    """One more process at work on the run, which has begun if it leads."""
    async with PostgresLedger.open(url) as ledger, ledger.joined(run, terms) as crew:
        if crew.leading:
            await ledger.start_run(run, "{}")
            await crew.begin()
        await crew.ready()
        yield ledger, crew


async def taken_for_dead(url: str, crew: Crew) -> None:
    """Time passes without a word of this worker; it does not know yet."""
    number = getattr(crew, "owner", None)
    assert isinstance(number, int)
    asked(url, f"UPDATE workers SET lease_until = now() - interval '1 ms' WHERE id = {number}")  # noqa: S608  # a number


@pytest.fixture
async def run(url: str) -> Run:
    """Six sessions to close."""
    async with PostgresLedger.open(url, create=True) as ledger:
        return await a_run(ledger, range(6))


@pytest.fixture
async def pair(url: str, run: Run) -> AsyncIterator[tuple[Pair, Pair]]:
    """The lead, and another."""
    async with AsyncExitStack() as stack:
        yield tuple([await stack.enter_async_context(at_work(url, run)) for _ in range(2)])  # type: ignore[misc]  # two


async def test_the_first_leads_and_another_takes_over_when_it_leaves(run: Run, pair: tuple[Pair, Pair]) -> None:
    """And one that leaves is no end of the run while the other is there; the last one ends it."""
    (lead, leading), (other, following) = pair
    assert (leading.first, leading.leading, following.first, following.leading) == (True, True, False, False)
    assert not await leading.leave(RunEnd("interrupted", "TERM", 2.0), NOW)
    assert (await other.find_run(run.name)).state == "running"
    with anyio.fail_after(10):
        await following.until(lambda: following.leading)
    assert await following.leave(RunEnd("interrupted", "TERM", 1.5), NOW)
    found = await lead.find_run(run.name)
    assert (found.state, found.seconds) == ("interrupted", 3.5)


async def test_the_end_of_a_run_reaches_all(run: Run, pair: tuple[Pair, Pair]) -> None:
    """Whoever ends it; who leaves after that changes nothing."""
    (lead, leading), (_, following) = pair
    assert await following.leave(RunEnd("halted", "too many failures", 0.0), NOW)
    with anyio.fail_after(10):
        await leading.until(lambda: leading.over)
    assert not await leading.leave(RunEnd("finished", None, 1.0), NOW)
    found = await lead.find_run(run.name)
    assert (found.state, found.why) == ("halted", "too many failures")


async def test_each_claims_what_others_have_not(run: Run, pair: tuple[Pair, Pair]) -> None:
    """And gives back its own alone; the fleet's list tells of all."""
    (lead, _), (other, _) = pair
    mine, theirs = await lead.claim(run, 2, NOW), await other.claim(run, 9, NOW)
    assert [claim.session_id for claim in mine + theirs] == [session_id(n) for n in range(6)]
    await lead.release(theirs)
    assert await outcomes_of(lead, run) == {"in_doubt": 6}
    await other.release(theirs)
    assert await outcomes_of(lead, run) == {"in_doubt": 2, "pending": 4}
    workers = await other.workers()
    assert [(each.run, each.leads, each.claims) for each in workers] == [(run.name, True, 2), (run.name, False, 0)]
    assert all(29 < (each.lease_left or 0) <= 30 for each in workers)


async def test_while_the_lead_counts_only_it_takes_up_what_is_fresh(run: Run, pair: tuple[Pair, Pair]) -> None:
    """A cap or a canary is of the whole run; what was tried before is for all."""
    (lead, leading), (other, _) = pair
    leading.shares = lambda: False
    await leading.begin()
    (claim,) = await lead.claim(run, 1, NOW, 1)
    await lead.record(run, [changed(claim, Outcome.PENDING, due_at=NOW, attempts=1)], NOW)
    assert [again.seq for again in await other.claim(run, 9, NOW)] == [claim.seq]
    leading.shares = lambda: True
    await leading.begin()
    assert len(await other.claim(run, 9, NOW)) == 5


async def test_what_a_dead_worker_had_claimed_is_in_doubt(url: str, run: Run, pair: tuple[Pair, Pair]) -> None:
    """For whoever leads; the dead one finds out that it is lost, gets nothing, and begins anew."""
    (lead, leading), (other, following) = pair
    claims = await lead.claim(run, 2, NOW)
    await taken_for_dead(url, leading)
    with anyio.fail_after(10):
        await leading.until(lambda: leading.lost)
        await following.until(lambda: following.leading)
    assert not leading.may_send()
    assert {doubt.seq for doubt in await other.due_doubts(run, 9, NOW)} == {claim.seq for claim in claims}
    assert await lead.claim(run, 9, NOW) == []
    with pytest.raises(LeaseLostError):
        await lead.admit(run, rows([7]), "d", NOW)
    await leading.rejoin()
    assert (leading.term, leading.lost, leading.leading, leading.may_send()) == (1, False, False, True)
    await following.begin()
    assert len(await lead.claim(run, 9, NOW)) == 4


async def test_a_late_answer_counts_where_it_is_a_close_that_was_acknowledged(
    url: str, run: Run, pair: tuple[Pair, Pair]
) -> None:
    """Its exchange is kept in any case. What others found out meanwhile is never made worse."""
    (lead, leading), (other, following) = pair
    one, two, three, four, five, six = await claim_all(lead, run)
    await taken_for_dead(url, leading)
    with anyio.fail_after(10):
        await following.until(lambda: following.leading)
    found = closed(3, status="expired")
    await other.record(
        run,
        [
            changed(two, Outcome.PENDING, due_at=NOW, attempts=1),
            changed(four, Outcome.CLOSED, session=found, settled=True, http_status=200),
            changed(five, Outcome.CLOSED, session=found, settled=True, http_status=200),
            changed(six, Outcome.FAILED, attempts=3),
        ],
        NOW,
    )
    late = [changed(claim, Outcome.CLOSED, session=closed(), attempts=1) for claim in (one, two, four, six)]
    late += [changed(three, Outcome.PENDING, due_at=0), changed(five, Outcome.IN_DOUBT, due_at=NOW)]
    await lead.record(run, late, NOW + 9)
    outcomes = [row["outcome"] for row in await results_of(other, run)]
    assert outcomes == ["closed", "closed", "in_doubt", "closed", "closed", "closed"]
    assert (await results_of(other, run))[3]["final_status"] == "expired"
    assert await claim_all(other, run, NEVER - 1) == []
    assert [len(await other.attempts_of(run, session_id(n))) for n in range(6)] == [1, 2, 1, 2, 2, 2]


async def test_an_answer_for_what_another_has_claimed_changes_nothing_but_for_the_better(
    url: str, run: Run, pair: tuple[Pair, Pair]
) -> None:
    """A worker that has begun anew may have answers of before; a close that is acknowledged ends all claims."""
    (lead, leading), (other, following) = pair
    one, two, *_ = await claim_all(lead, run)
    await taken_for_dead(url, leading)
    with anyio.fail_after(10):
        await following.until(lambda: following.leading)
        await leading.until(lambda: leading.lost)
    await other.record(run, [changed(each, Outcome.PENDING, due_at=NOW) for each in (one, two)], NOW)
    await leading.rejoin()
    assert len(await other.claim(run, 9, NOW)) == 2
    await lead.record(run, [changed(one, Outcome.PENDING, due_at=NOW), changed(two, Outcome.CLOSED)], NOW)
    assert await lead.claim(run, 9, NOW) == []
    await other.record(run, [changed(one, Outcome.CLOSED), changed(two, Outcome.IN_DOUBT, due_at=NOW)], NOW)
    assert [row["outcome"] for row in (await results_of(other, run))[:2]] == ["closed", "closed"]


async def test_a_dead_lead_that_is_still_writing_is_taken_over_from_later(url: str, run: Run) -> None:
    """Its last transaction hangs, as when the network was cut in the middle of it: that may yet be written."""
    place = parse_address(url)
    async with at_work(url, run) as (_, leading):
        with psycopg.connect(place.url, options=f"-csearch_path={place.schema}") as hanging:
            hanging.execute("SELECT 1 FROM workers FOR KEY SHARE")
            await taken_for_dead(url, leading)
            async with at_work(url, run) as (_, following):
                assert (following.first, following.leading) == (False, False)
                hanging.rollback()
                with anyio.fail_after(10):
                    await following.until(lambda: following.leading)


async def test_what_is_in_flight_at_an_exit_is_looked_up_once_it_is_over(run: Run, pair: tuple[Pair, Pair]) -> None:
    """Nobody waits for the lease of a worker that has said goodbye."""
    (_, _), (other, following) = pair
    await other.claim(run, 1, NOW)
    await following.leave(RunEnd("interrupted", "INT, twice", 0.0), NOW)
    lead = pair[0][0]
    assert await lead.due_doubts(run, 9, NOW + 28_999) == []
    assert len(await lead.due_doubts(run, 9, NOW + 29_000)) == 1


async def test_who_must_be_alone_is_alone(url: str, run: Run) -> None:
    """A plan, or settling: nobody joins it, and it joins nobody. To open rows again holds the run for a moment."""
    async with PostgresLedger.open(url) as ledger, PostgresLedger.open(url) as other:
        async with ledger.joined(run, TERMS, alone=True):
            assert await other.busy(run)
            for taking in (other.joined(run, TERMS), other.locked(run)):
                with pytest.raises(RunBusyError, match=run.name):
                    async with taking:
                        pass
        await other.end_run(run, RunEnd("interrupted", None, 0), NOW)
        asked(url, "DELETE FROM workers")
        async with ledger.joined(run, TERMS):
            with pytest.raises(RunBusyError):
                async with other.joined(run, TERMS, alone=True):
                    pass
        asked(url, "DELETE FROM workers")
        async with ledger.locked(run):
            with pytest.raises(RunBusyError):
                async with other.joined(run, TERMS):
                    pass


@asynccontextmanager
async def not_begun(url: str, others: str, run: Run, terms: Terms) -> AsyncIterator[tuple[Crew, Crew]]:
    """A lead that has not begun the run, and another that waits for it, with these terms and by this address."""
    async with (
        PostgresLedger.open(url) as ledger,
        PostgresLedger.open(others) as other,
        ledger.joined(run, TERMS) as leading,
        other.joined(run, terms) as following,
    ):
        yield leading, following


async def test_who_is_taken_for_dead_before_the_run_has_begun_joins_anew(url: str, run: Run) -> None:
    """As when the database crashed meanwhile: it had waited for the lead for ever, and had not said a word."""
    async with not_begun(url, url, run, TERMS) as (leading, following):
        assert (leading.leading, following.leading) == (True, False)
        await taken_for_dead(url, following)
        with anyio.fail_after(10):
            await following.until(lambda: following.lost)
            await leading.begin()
            await following.ready()
        assert (following.lost, following.may_send()) == (False, True)


async def test_a_database_that_stays_away_is_given_up_by_who_waits_for_the_others(url: str, run: Run) -> None:
    """It asks for nothing itself, so only its heartbeats tell."""
    short = replace(TERMS, patience=0.5)
    with proxied(url) as proxy:
        async with not_begun(url, proxy.url(url), run, short) as (_, following):
            proxy.close()
            for wait in (following.ready, partial(following.until, lambda: following.over)):
                with anyio.fail_after(10), pytest.raises(LedgerError, match=r"the ledger postgresql://.* failed: "):
                    await wait()
