"""Contract: one ledger, one session of a host, one close in flight, and none that is known to be closed unseen."""

from dataclasses import replace

import pytest

from closeout.worker.domain.item import Change, Claim, Outcome, Record
from closeout.worker.domain.run import Run
from closeout.worker.domain.session import SessionState
from closeout.worker.ledger.protocol import Ledger
from closeout.worker.support.clock import NEVER, Millis
from tests.ledger.support import (
    DAY,
    NOW,
    a_run,
    changed,
    claim_all,
    closed,
    exchange,
    outcomes_of,
    results_of,
    session_id,
)

pytestmark = pytest.mark.anyio

SAME_HOST = (
    "https://api.example.com",
    "https://API.Example.COM/",
    "https://api.example.com:443",
    "https://api.example.com./base",
    "https://api.example.com/v2",
)
OTHER_HOSTS = (
    "https://api-sandbox.featherhq.com",
    "https://api.example.com:8443",
    "https://eu.api.example.com",
    "http://127.0.0.1:443",
)


def on(url: str) -> str:
    """The options of a run on that host."""
    return f'{{"base_url": "{url}"}}'


async def close_all(ledger: Ledger, run: Run) -> None:
    """Claim what can be claimed, and record that it was closed."""
    records = [
        changed(claim, Outcome.CLOSED, attempts=1, session=replace(closed(), session_id=claim.session_id))
        for claim in await claim_all(ledger, run)
    ]
    await ledger.record(run, records, NOW)


def seen(claim: Claim, status: str = "active", closed_at: Millis | None = None) -> Record:
    """The record of a read that found a session so."""
    session = SessionState(claim.session_id, status, closed_at=closed_at)
    outcome = Outcome.ALREADY_CLOSED if session.terminal else Outcome.PENDING
    change = Change(claim.seq, outcome, due_at=None if session.terminal else 0, attempts=0, session=session)
    return Record(exchange("read"), (change,))


async def known(ledger: Ledger, run: Run) -> list[str]:
    """The sessions that are to be looked up before anything is sent for them."""
    return [claim.session_id for claim in await ledger.due_known(run, 100)]


async def test_what_an_earlier_run_closed_is_looked_up_and_the_rest_is_claimed(ledger: Ledger) -> None:
    """At once, however many of them there are; and it was never tried in this run."""
    await close_all(ledger, await a_run(ledger, range(3)))
    run = await a_run(ledger, range(5))
    claims = await ledger.claim(run, 2, NOW)
    assert [claim.session_id for claim in claims] == [session_id(3), session_id(4)]
    assert await known(ledger, run) == [session_id(number) for number in range(3)]
    assert await ledger.due_doubts(run, 9, NEVER - 1) == []
    assert (await ledger.due_known(run, 1))[0].started_at == NOW - DAY, "so that a page of the listing is found"
    assert await ledger.taken_count(run) == 2
    assert await claim_all(ledger, run) == []


async def test_a_cap_and_a_canary_are_for_others(ledger: Ledger) -> None:
    """What is known takes none of the room."""
    await close_all(ledger, await a_run(ledger, range(3)))
    run = await a_run(ledger, range(9))
    assert [claim.session_id for claim in await ledger.claim(run, 256, NOW, 2)] == [session_id(3), session_id(4)]
    assert len(await known(ledger, run)) == 3


async def test_what_is_known_is_not_left_out_by_a_cap(ledger: Ledger) -> None:
    """Also where it stands behind all that the cap let through."""
    await close_all(ledger, await a_run(ledger, range(7, 9)))
    run = await a_run(ledger, range(9))
    assert len(await ledger.claim(run, 256, NOW, 2)) == 2
    assert await ledger.skip_fresh(run, "over --limit 2", NOW) == 5
    assert await ledger.skip_fresh(run, "over --limit 2", NOW) == 0
    assert await known(ledger, run) == [session_id(7), session_id(8)]


@pytest.mark.parametrize("url", SAME_HOST)
async def test_a_host_is_known_however_it_is_written(ledger: Ledger, url: str) -> None:
    """And in whatever dialect, for whatever organisation and profile it was asked."""
    more = '"api": "1.90", "organisation": "acme", "profile": "eu"'
    await close_all(ledger, await a_run(ledger, [1], options=f'{{"base_url": "{SAME_HOST[0]}", {more}}}'))
    run = await a_run(ledger, [1], options=on(url))
    assert await claim_all(ledger, run) == []
    assert await known(ledger, run) == [session_id(1)]


@pytest.mark.parametrize("url", OTHER_HOSTS)
async def test_another_host_has_other_sessions(ledger: Ledger, url: str) -> None:
    """The same id is another session there."""
    await close_all(ledger, await a_run(ledger, [1], options=on(SAME_HOST[0])))
    assert len(await claim_all(ledger, await a_run(ledger, [1], options=on(url)))) == 1


@pytest.mark.parametrize("outcome", [Outcome.SKIPPED, Outcome.NOT_FOUND, Outcome.REJECTED, Outcome.FAILED])
async def test_what_an_earlier_run_did_not_close_is_claimed(ledger: Ledger, outcome: Outcome) -> None:
    """There is nothing to look for."""
    other = await a_run(ledger, [1])
    (claim,) = await claim_all(ledger, other)
    await ledger.record(other, [changed(claim, outcome)], NOW)
    assert len(await claim_all(ledger, await a_run(ledger, [1]))) == 1


async def test_what_an_earlier_run_found_closed_is_looked_up(ledger: Ledger) -> None:
    """With no word that this ledger has closed it."""
    other = await a_run(ledger, [1])
    (claim,) = await claim_all(ledger, other)
    await ledger.record(other, [seen(claim, "closed", NOW)], NOW)
    run = await a_run(ledger, [1])
    assert await claim_all(ledger, run) == []
    (again,) = await ledger.due_known(run, 9)
    await ledger.record(run, [seen(again, "closed", NOW)], NOW)
    assert (await results_of(ledger, run))[0]["detail"] is None


async def test_the_detail_says_which_run_closed_it_and_when(ledger: Ledger) -> None:
    """Of several the last; and none where the session was opened, and closed by others, since."""
    first = await a_run(ledger, [1, 2])
    await close_all(ledger, first)
    for closed_at, told in ((NOW + 5, True), (NOW + 2_000, True), (NOW + 60_000, False), (None, True)):
        run = await a_run(ledger, [1])
        await claim_all(ledger, run)
        (claim,) = await ledger.due_known(run, 9)
        await ledger.record(run, [seen(claim, "closed", closed_at)], NOW)
        (row,) = await results_of(ledger, run)
        assert (row["outcome"], row["attempts"]) == ("already_closed", 0)
        detail = f"closed by run {first.name} of this ledger at 2026-03-02T10:00:00.005Z"
        assert row["detail"] == (detail if told else None)


async def test_a_session_that_is_live_again_is_claimed_after_one_look(ledger: Ledger) -> None:
    """As if for the first time; and closed by this run, it is news to the next one."""
    await close_all(ledger, await a_run(ledger, [1]))
    run = await a_run(ledger, [1])
    await claim_all(ledger, run)
    (claim,) = await ledger.due_known(run, 9)
    await ledger.record(run, [seen(claim)], NOW)
    (again,) = await claim_all(ledger, run)
    assert (again.fresh, again.attempts) == (True, 0)
    await ledger.record(run, [changed(again, Outcome.CLOSED, attempts=1, session=closed())], NOW)
    later = await a_run(ledger, [1])
    assert await claim_all(ledger, later) == []
    assert await known(ledger, later) == [session_id(1)]


async def test_what_is_closed_between_two_attempts_is_looked_up(ledger: Ledger) -> None:
    """In both directions: it does not matter which run was first, nor that this one has looked before."""
    await close_all(ledger, await a_run(ledger, [1]))
    one, two = await a_run(ledger, [1]), await a_run(ledger, [1])
    for run in (one, two):
        assert await claim_all(ledger, run) == []
        (claim,) = await ledger.due_known(run, 9)
        await ledger.record(run, [seen(claim)], NOW)
    await close_all(ledger, two)
    assert await outcomes_of(ledger, two) == {"closed": 1}
    assert await claim_all(ledger, one) == []
    assert await known(ledger, one) == [session_id(1)]


async def test_a_retry_is_put_off_too(ledger: Ledger) -> None:
    """A close that was refused undone, and that another run has carried out meanwhile."""
    one, two = await a_run(ledger, [1]), await a_run(ledger, [1])
    (claim,) = await claim_all(ledger, one)
    await ledger.record(one, [changed(claim, Outcome.PENDING, due_at=NOW + 5, attempts=1, http_status=503)], NOW)
    await close_all(ledger, two)
    assert await outcomes_of(ledger, two) == {"closed": 1}
    assert await claim_all(ledger, one, NOW + 5) == []
    (doubt,) = [*await ledger.due_doubts(one, 9, NOW + 5), *await ledger.due_known(one, 9)]
    assert (doubt.attempts, doubt.first_attempt_at) == (1, NOW)


async def test_a_doubt_that_arises_after_admission_is_looked_up(ledger: Ledger) -> None:
    """Whichever of the two runs was made first; once the close that may be under way has ended."""
    one, two = await a_run(ledger, [1]), await a_run(ledger, [1])
    (claim,) = await claim_all(ledger, two)
    await ledger.record(two, [changed(claim, Outcome.IN_DOUBT, due_at=NOW + 5, attempts=1)], NOW)
    assert await claim_all(ledger, one) == []
    (doubt,) = await ledger.due_doubts(one, 9, NOW + 1_000)
    await ledger.record(one, [seen(doubt)], NOW)
    assert len(await claim_all(ledger, one)) == 1
    (own,) = await ledger.due_doubts(two, 9, NOW + 5)
    await ledger.record(two, [Record(exchange("read"), (Change(own.seq, Outcome.PENDING, due_at=NOW + 6),))], NOW)
    assert await claim_all(ledger, two, NOW + 6) == [], "the first one has it now"


async def test_what_is_put_off_here_holds_up_nobody_else(ledger: Ledger) -> None:
    """Else two runs would look for each other without end."""
    await close_all(ledger, await a_run(ledger, [1]))
    one, two = await a_run(ledger, [1]), await a_run(ledger, [1])
    await claim_all(ledger, one)
    await claim_all(ledger, two)
    (claim,) = await ledger.due_known(two, 9)
    await ledger.record(two, [seen(claim)], NOW)
    assert len(await claim_all(ledger, two)) == 1


async def test_what_is_released_or_begun_anew_is_looked_up_once_more(ledger: Ledger) -> None:
    """A resumed run asks again for what it could not read."""
    await close_all(ledger, await a_run(ledger, [1]))
    run = await a_run(ledger, [1])
    await claim_all(ledger, run)
    (claim,) = await ledger.due_known(run, 9)
    given_up = Change(claim.seq, Outcome.IN_DOUBT, due_at=NEVER, looks=8)
    await ledger.record(run, [Record(exchange("read", 410), (given_up,))], NOW)
    assert await known(ledger, run) == []
    await ledger.start_run(run, "{}")
    assert await known(ledger, run) == [session_id(1)]


async def test_a_look_that_is_too_old_is_repeated(ledger: Ledger) -> None:
    """What was claimed for it is as if it had not been."""
    await close_all(ledger, await a_run(ledger, [1]))
    run = await a_run(ledger, [1])
    await claim_all(ledger, run)
    (claim,) = await ledger.due_known(run, 9)
    await ledger.record(run, [seen(claim)], NOW)
    await ledger.look_first(await claim_all(ledger, run))
    assert await known(ledger, run) == [session_id(1)]
    assert await ledger.taken_count(run) == 0


async def test_a_run_without_a_host_gets_it_when_any_run_begins(ledger: Ledger) -> None:
    """As an older version has left it: what it closed counts all the same."""
    old = await a_run(ledger, [1], options=on(SAME_HOST[0]))
    await close_all(ledger, old)
    assert (await ledger.find_run(old.name)).host == "api.example.com"


async def test_many_runs_of_the_same_file_close_each_session_once(ledger: Ledger) -> None:
    """Claims in turn, of five runs at once."""
    runs = [await a_run(ledger, range(20)) for _ in range(5)]
    claimed = [claim.session_id for _ in range(5) for run in runs for claim in await ledger.claim(run, 3, NOW)]
    assert sorted(claimed) == [session_id(number) for number in range(20)]


async def test_two_runs_that_have_both_tried_do_not_put_each_other_off_without_end(ledger: Ledger) -> None:
    """What one has put off for the other's doubt is no doubt of its own: once that is cleared up, the other goes on."""
    one, other = await a_run(ledger, [1]), await a_run(ledger, [1])
    [claim] = await ledger.claim(one, 9, NOW)
    await ledger.record(one, [changed(claim, Outcome.PENDING, due_at=NOW + 1)], NOW)
    [claim] = await ledger.claim(other, 9, NOW)
    await ledger.record(other, [changed(claim, Outcome.IN_DOUBT, due_at=NOW + 1, attempts=1)], NOW)
    assert await ledger.claim(one, 9, NOW + 5) == []
    [doubt] = await ledger.due_doubts(other, 9, NOW + 5)
    assert await ledger.due_doubts(one, 9, NOW + 5_000), "put off, to be looked up"
    live = Change(doubt.seq, Outcome.PENDING, due_at=NOW + 6, attempts=1, session=SessionState(session_id(1), "active"))
    await ledger.record(other, [Record(exchange("read"), (live,))], NOW + 6)
    assert [claim.session_id for claim in await ledger.claim(other, 9, NOW + 7)] == [session_id(1)]
