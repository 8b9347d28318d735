"""Contract: work on a run of which nothing comes leaves the run and its rows as they were."""

from dataclasses import asdict

import pytest

from closeout.worker.domain.item import Outcome
from closeout.worker.domain.run import Run, RunState, with_actual_state
from closeout.worker.ledger.membership import RunEnd
from closeout.worker.ledger.protocol import Ledger
from closeout.worker.support.clock import NEVER
from tests.ledger.support import NOW, a_run, changed, claim_all, closed, outcomes_of, results_of, rows

pytestmark = pytest.mark.anyio
LATER = NOW + 60_000
BAD = (Outcome.NOT_FOUND, Outcome.REJECTED, Outcome.FAILED)


async def ended_run(ledger: Ledger, state: RunState = "finished") -> Run:
    """A run of four sessions that ended a minute ago: one closed, three badly."""
    run = await a_run(ledger, range(4))
    good, *bad = await claim_all(ledger, run)
    ends = [
        changed(claim, outcome, attempts=number, http_status=400 + number, error=f"http_{number}", detail=f"d{number}")
        for number, (claim, outcome) in enumerate(zip(bad, BAD, strict=True), 1)
    ]
    await ledger.record(run, [changed(good, Outcome.CLOSED, session=closed(0), settled=True), *ends], NOW)
    await ledger.source_done(run)
    await ledger.end_run(run, RunEnd(state, "why" if state != "finished" else None, 3.5, {"outage": 2.0}), NOW)
    return await ledger.find_run(run.name)


async def as_stored(ledger: Ledger, run: Run) -> tuple[object, object]:
    """All that the ledger says of a run."""
    return asdict(await ledger.find_run(run.name)), await results_of(ledger, run)


@pytest.mark.parametrize("end", ["interrupted", "halted"])
@pytest.mark.parametrize("state", ["finished", "halted", "interrupted", "planned"])
@pytest.mark.parametrize("parked", [False, True])
async def test_a_retry_that_is_not_answered_changes_nothing(
    ledger: Ledger, state: RunState, end: RunState, *, parked: bool
) -> None:
    """Neither the run nor a row, although closes were tried and found no connection."""
    run = await ended_run(ledger, state)
    before = await as_stored(ledger, run)
    assert await ledger.retry(run, parked=parked) == 3
    assert await as_stored(ledger, run) == before, "to mark is to change nothing yet"
    await ledger.start_run(run, '{"other": 1}')
    claims = await claim_all(ledger, run, LATER)
    again = [changed(c, Outcome.PENDING, due_at=LATER, error="connection_failed", attempts=0) for c in claims]
    await ledger.record(run, again, LATER)
    await ledger.end_run(run, RunEnd(end, "gone", 9.0, {"outage": 9.0}), LATER)
    assert await as_stored(ledger, run) == before
    assert await claim_all(ledger, run, LATER) == []
    assert await ledger.retry(run) == 3, "and it can be attempted again"


@pytest.mark.parametrize("answered", [Outcome.CLOSED, Outcome.NOT_FOUND, Outcome.IN_DOUBT])
async def test_one_answer_is_enough_for_the_run_to_end_anew(ledger: Ledger, answered: Outcome) -> None:
    """What was not answered keeps what it was, and is gone on with."""
    run = await ended_run(ledger)
    await ledger.retry(run)
    await ledger.start_run(run, "{}")
    first, *rest = await claim_all(ledger, run, LATER)
    due = NEVER if answered is Outcome.IN_DOUBT else None
    await ledger.record(run, [changed(first, answered, attempts=1, due_at=due)], LATER)
    await ledger.release(rest)
    await ledger.end_run(run, RunEnd("interrupted", "Ctrl-C", 1.0), LATER)
    found = await ledger.find_run(run.name)
    assert (found.state, found.why, found.ended_at, found.seconds, found.was) == (
        "interrupted",
        "Ctrl-C",
        LATER,
        4.5,
        None,
    )
    outcomes = [row["outcome"] for row in await results_of(ledger, run)]
    assert outcomes == ["closed", answered, "rejected", "failed"]
    assert sum((await ledger.counts(run)).again.values()) == 2
    await ledger.start_run(run, "{}")
    assert [claim.seq for claim in await claim_all(ledger, run, LATER)] == [claim.seq for claim in rest]


async def test_what_was_sent_and_is_not_answered_is_never_put_back(ledger: Ledger) -> None:
    """A claim that nobody recorded may have been sent: the run is not finished, and it is looked up."""
    run = await ended_run(ledger)
    await ledger.retry(run)
    await ledger.start_run(run, "{}")
    (claim,) = await ledger.claim(run, 1, LATER)
    await ledger.end_run(run, RunEnd("interrupted", "Ctrl-C twice", 1.0), LATER)
    assert (await ledger.find_run(run.name)).state == "interrupted"
    assert (await outcomes_of(ledger, run))["in_doubt"] == 1
    await ledger.start_run(run, "{}")
    assert [doubt.seq for doubt in await ledger.due_doubts(run, 9, LATER)] == [claim.seq]


async def test_a_process_that_dies_before_anything_has_come_of_it_leaves_the_old_end(ledger: Ledger) -> None:
    """Whoever finds the run sees how it had ended; the next one to fail gives that back, too."""
    run = await ended_run(ledger)
    before = await as_stored(ledger, run)
    await ledger.retry(run)
    await ledger.start_run(run, "{}")
    left = await ledger.find_run(run.name)
    assert left.state == "running"
    assert with_actual_state(left) == run
    assert await results_of(ledger, run) == before[1]
    await ledger.start_run(run, "{}")
    await ledger.end_run(run, RunEnd("halted", "gone", 1.0), LATER)
    assert await as_stored(ledger, run) == before


@pytest.mark.parametrize("begun", [False, True])
async def test_what_broke_off_without_an_end_is_put_back(ledger: Ledger, *, begun: bool) -> None:
    """Before it was begun, or after."""
    run = await ended_run(ledger)
    before = await as_stored(ledger, run)
    await ledger.retry(run)
    if begun:
        await ledger.start_run(run, "{}")
    await ledger.put_back(run)
    assert await as_stored(ledger, run) == before
    assert await claim_all(ledger, run, LATER) == []


async def test_a_run_that_never_ended_ends_as_it_ends(ledger: Ledger) -> None:
    """There is nothing to be put back."""
    run = await a_run(ledger, [1])
    await ledger.end_run(run, RunEnd("interrupted", "Ctrl-C", 1.0), NOW)
    assert (await ledger.find_run(run.name)).state == "interrupted"


async def test_coming_to_its_end_is_something(ledger: Ledger) -> None:
    """An interrupted run of which nothing was left is finished now; a finished one stays as it was."""
    run = await ended_run(ledger, "interrupted")
    await ledger.start_run(run, "{}")
    await ledger.end_run(run, RunEnd("finished", None, 1.0), LATER)
    finished = await ledger.find_run(run.name)
    assert (finished.state, finished.ended_at) == ("finished", LATER)
    await ledger.start_run(run, "{}")
    await ledger.end_run(run, RunEnd("finished", None, 1.0), LATER + 1)
    assert await ledger.find_run(run.name) == finished


async def test_a_row_admitted_is_something(ledger: Ledger) -> None:
    """So is the end of a source that had not been reached before."""
    for more in ([9], []):
        run = await a_run(ledger, [1])
        await ledger.end_run(run, RunEnd("halted", "a", 1.0), NOW)
        await ledger.start_run(run, "{}")
        if more:
            await ledger.admit(run, rows(more), "digest", LATER)
        else:
            await ledger.source_done(run)
        await ledger.end_run(run, RunEnd("halted", "b", 1.0), LATER)
        assert (await ledger.find_run(run.name)).why == "b"


async def test_a_raised_cap_of_which_nothing_comes_is_as_it_was(ledger: Ledger) -> None:
    """What the lower one had left out is skipped, in the same words."""
    run = await a_run(ledger, range(3))
    await ledger.skip_fresh(run, "over --limit 0", NOW)
    await ledger.source_done(run)
    await ledger.end_run(run, RunEnd("finished", None, 1.0), NOW)
    before = await as_stored(ledger, run)
    await ledger.start_run(run, "{}")
    assert await ledger.unskip(run, "over --limit ") == 3
    await ledger.end_run(run, RunEnd("halted", "gone", 1.0), LATER)
    assert await as_stored(ledger, run) == before
