"""Several processes at work on one run: who leads, who is dead, and what an answer that comes late is worth."""

from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import replace
from functools import partial
from typing import Any

import anyio
import psycopg
import pytest

from closeout.worker.domain.item import Outcome
from closeout.worker.domain.run import Run
from closeout.worker.ledger.lease import Terms
from closeout.worker.ledger.membership import LeaseLostError, Membership, RunEnd
from closeout.worker.ledger.postgres.address import parse_address
from closeout.worker.ledger.postgres.ledger import PostgresLedger
from closeout.worker.support.clock import NEVER
from closeout.worker.support.errors import LedgerError, RunBusyError
from tests.ledger.support import NOW, a_run, changed, claim_all, closed, outcomes_of, results_of, rows, session_id
from tests.postgres.proxy import proxied
from tests.postgres.test_opening import asked

pytestmark = pytest.mark.anyio
TERMS = Terms(lease=30, timeout=29, patience=60)
HELD_UP = """
CREATE OR REPLACE FUNCTION hold_up() RETURNS trigger LANGUAGE plpgsql AS
    'BEGIN PERFORM pg_advisory_xact_lock(hashtext(TG_TABLE_SCHEMA)); RETURN NEW; END';
CREATE TRIGGER hold_up BEFORE UPDATE ON runs FOR EACH ROW WHEN (NEW.ended_at IS NOT NULL) EXECUTE FUNCTION hold_up();
"""
# Whether whoever leaves waits at its end, and what came of the heartbeats of the worker $1 since: one was taken in, or
# waits as that of the one that leaves does.
IS_LEAVING = "SELECT clock_timestamp() FROM pg_stat_activity WHERE pg_backend_pid() = ANY (pg_blocking_pids(pid))"
HAS_BEATEN = """
SELECT 1 FROM workers WHERE id = %s AND beat_at > %s UNION ALL
SELECT 1 FROM pg_stat_activity one, pg_stat_activity other
WHERE one.pid = ANY (pg_blocking_pids(other.pid)) AND pg_backend_pid() = ANY (pg_blocking_pids(one.pid))
GROUP BY one.pid HAVING count(*) > 1
"""
Pair = tuple[PostgresLedger, Membership]


@asynccontextmanager
async def at_work(url: str, run: Run, terms: Terms = TERMS) -> AsyncIterator[Pair]:
    """One more process at work on the run, which has begun if it leads."""
    async with PostgresLedger.open(url) as ledger, ledger.joined(run, terms) as crew:
        crew.shares = lambda: True
        if crew.leading:
            await ledger.start_run(run, "{}")
            await crew.begin()
        await crew.ready()
        yield ledger, crew


async def taken_for_dead(url: str, crew: Membership) -> None:
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
    with anyio.fail_after(60):
        await following.until(lambda: following.leading)
    assert await following.leave(RunEnd("interrupted", "TERM", 1.5), NOW)
    found = await lead.find_run(run.name)
    assert (found.state, found.seconds) == ("interrupted", 3.5)


async def test_the_end_of_a_run_reaches_all(run: Run, pair: tuple[Pair, Pair]) -> None:
    """Whoever ends it; who leaves after that changes nothing."""
    (lead, leading), (_, following) = pair
    assert await following.leave(RunEnd("halted", "too many failures", 0.0), NOW)
    with anyio.fail_after(60):
        await leading.until(lambda: leading.over)
    assert not await leading.leave(RunEnd("finished", None, 1.0), NOW)
    found = await lead.find_run(run.name)
    assert (found.state, found.why) == ("halted", "too many failures")


@contextmanager
def endings_held_up(url: str) -> Iterator["psycopg.Connection[Any]"]:
    """Whoever ends a run waits at the end of that transaction for a lock, which this connection holds."""
    place = parse_address(url)
    with psycopg.connect(place.url, autocommit=True, options=f"-csearch_path={place.schema}") as holding:
        holding.execute(HELD_UP)
        holding.execute("SELECT pg_advisory_lock(hashtext(current_schema()))")
        try:
            yield holding
        finally:
            holding.execute("DROP FUNCTION hold_up CASCADE")


async def told(connection: "psycopg.Connection[Any]", query: str, *values: object) -> tuple[Any, ...]:
    """What the server says once it has anything to say."""
    while (row := connection.execute(query.encode(), values).fetchone()) is None:  # noqa: ASYNC110  # it is the server's
        await anyio.sleep(0.02)
    return tuple(row)


async def test_nobody_takes_the_lead_of_a_run_that_is_just_ending(url: str, run: Run) -> None:
    """The lead has left and its end is not yet to be seen: whoever took over now would begin what is over anew."""
    terms = Terms(lease=30, timeout=1, patience=5)
    with endings_held_up(url) as holding, anyio.fail_after(60):
        async with at_work(url, run, terms) as (lead, leading), at_work(url, run, terms) as (_, following):
            async with anyio.create_task_group() as ending:
                ending.start_soon(leading.leave, RunEnd("halted", "too many failures", 2.0), NOW)
                since = await told(holding, IS_LEAVING)
                await told(holding, HAS_BEATEN, getattr(following, "owner", None), *since)
                holding.execute("SELECT pg_advisory_unlock(hashtext(current_schema()))")
            await following.until(lambda: following.over or following.leading)
            assert (following.over, following.leading) == (True, False)
            found = await lead.find_run(run.name)
            assert (found.state, found.why, found.seconds) == ("halted", "too many failures", 2.0)


async def test_a_run_that_ends_before_another_is_heard_of_is_over_for_it(url: str, run: Run) -> None:
    """It has joined, and knows nothing yet of whether the run has begun."""
    async with (
        PostgresLedger.open(url) as other,
        at_work(url, run) as (lead, leading),
        other.joined(run, Terms(lease=30, timeout=1, patience=5)) as following,
    ):
        assert await leading.leave(RunEnd("halted", "too many failures", 2.0), NOW)
        with anyio.fail_after(60):
            await following.ready()
            await following.until(lambda: following.over or following.leading)
        assert (following.over, following.leading) == (True, False)
        assert (await lead.find_run(run.name)).state == "halted"


async def test_who_has_ended_a_run_can_wait_for_those_who_still_record(
    url: str, run: Run, pair: tuple[Pair, Pair]
) -> None:
    """Until they leave, or count as dead; whoever comes later is not waited for."""
    (lead, leading), (_, following) = pair
    await leading.leave(RunEnd("finished", None, 2.0), NOW)
    assert await leading.others()
    with anyio.fail_after(60):
        await following.until(lambda: following.over)
    await following.leave(RunEnd("interrupted", None, 0.0), NOW)
    async with at_work(url, await lead.find_run(run.name)) as (_, again):
        assert again.leading
        assert not await leading.others()
        assert await again.leave(RunEnd("finished", None, 1.0), NOW)
    assert not await following.others()


async def test_a_dead_one_is_waited_for_as_long_as_its_lease(url: str, pair: tuple[Pair, Pair]) -> None:
    """What it records until then is taken in."""
    (_, leading), (_, following) = pair
    await leading.leave(RunEnd("finished", None, 2.0), NOW)
    assert await leading.others()
    await taken_for_dead(url, following)
    assert not await leading.others()


async def test_what_a_lead_waited_for_counts_also_where_others_go_on(run: Run, pair: tuple[Pair, Pair]) -> None:
    """It is of the run, and not of whoever ends it."""
    (lead, leading), (_, following) = pair
    await leading.leave(RunEnd("interrupted", "TERM", 2.0, {"throttled": 1.5}), NOW)
    with anyio.fail_after(60):
        await following.until(lambda: following.leading)
    await following.leave(RunEnd("finished", None, 1.0, {"throttled": 0.25, "paused": 1.0}), NOW)
    found = await lead.find_run(run.name)
    assert (found.seconds, found.waited) == (3.0, {"throttled": 1.75, "paused": 1.0})


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


async def test_nothing_new_is_taken_up_before_a_new_lead_has_taken_over(url: str, run: Run) -> None:
    """It does not know yet how much of a cap is left: neither itself nor any other takes what was never tried."""
    async with at_work(url, run) as (_, leading), at_work(url, run) as one, at_work(url, run) as another:
        await leading.leave(RunEnd("interrupted", "TERM", 1.0), NOW)
        with anyio.fail_after(60):
            while not (one[1].leading or another[1].leading):  # noqa: ASYNC110  # whichever beats first
                await anyio.sleep(0.02)
            (new, lead), (follower, _) = (one, another) if one[1].leading else (another, one)
            for _ in range(2):
                await next_heartbeat(url, lead)
        assert await new.claim(run, 9, NOW) == await follower.claim(run, 9, NOW) == []
        lead.shares = lambda: False
        await lead.begin()
        assert await follower.claim(run, 9, NOW) == []
        assert len(await new.claim(run, 9, NOW, 2)) == 2


async def next_heartbeat(url: str, crew: Membership) -> None:
    """Return once another heartbeat of this worker was taken in."""
    query = f"SELECT beat_at FROM workers WHERE id = {getattr(crew, 'owner', None)}"  # noqa: S608  # a number
    before = asked(url, query)
    while asked(url, query) == before:  # noqa: ASYNC110  # it is the server that knows
        await anyio.sleep(0.02)


async def test_what_a_dead_worker_had_claimed_is_in_doubt(url: str, run: Run, pair: tuple[Pair, Pair]) -> None:
    """For whoever leads; the dead one finds out that it is lost, gets nothing, and begins anew."""
    (lead, leading), (other, following) = pair
    claims = await lead.claim(run, 2, NOW)
    await taken_for_dead(url, leading)
    with anyio.fail_after(60):
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
    with anyio.fail_after(60):
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
    with anyio.fail_after(60):
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
                with anyio.fail_after(60):
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
async def not_begun(url: str, others: str, run: Run, terms: Terms) -> AsyncIterator[tuple[Membership, Membership]]:
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
        with anyio.fail_after(60):
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
                with anyio.fail_after(60), pytest.raises(LedgerError, match=r"the ledger postgresql://.* failed: "):
                    await wait()
