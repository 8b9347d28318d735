"""Contract: runs are made, found, begun and ended."""

from pathlib import Path

import anyio
import pytest

from closeout.worker.domain.item import Record, SourceRow
from closeout.worker.domain.run import RunState, with_elapsed
from closeout.worker.ledger.lease import Terms
from closeout.worker.ledger.membership import RunEnd
from closeout.worker.ledger.protocol import Ledger
from closeout.worker.ledger.records import NewRun
from closeout.worker.support.clock import now_ms
from closeout.worker.support.errors import RunNotFoundError
from tests.ledger.support import NOW, Opener, a_run, claim_all, exchange, outcomes_of, session_id

ELSEWHERE = '{"base_url": "https://elsewhere.example.com"}'
pytestmark = pytest.mark.anyio
TERMS = Terms(lease=30, timeout=29, patience=5)


async def test_a_new_run_is_what_was_asked(ledger: Ledger) -> None:
    """With a short name of letters and digits, nothing read yet."""
    new = NewRun("rows.csv", '{"rate": 5}', job="nightly", location="/rows.csv", source_stat="12:34")
    run = await ledger.create_run(new, NOW)
    assert (run.source, run.options, run.job) == ("rows.csv", '{"rate": 5}', "nightly")
    assert (run.location, run.source_stat, run.created_at) == ("/rows.csv", "12:34", NOW)
    assert (run.rows_read, run.duplicates, run.source_done, run.digest) == (0, 0, False, None)
    assert (run.state, run.why, run.ended_at, run.seconds) == ("running", None, None, 0)
    assert run.name.isalnum()
    assert await ledger.find_run(run.name) == run


async def test_a_run_is_found_by_any_unique_prefix(ledger: Ledger) -> None:
    """Down to what tells it from all others."""
    made = [await a_run(ledger) for _ in range(6)]
    names = [run.name for run in made]
    for run in made:
        for length in range(1, len(run.name) + 1):
            prefix = run.name[:length]
            if sum(name.startswith(prefix) for name in names) == 1:
                assert (await ledger.find_run(prefix)).id == run.id


async def test_an_ambiguous_prefix_is_refused_and_names_the_runs(ledger: Ledger) -> None:
    """The empty one is the prefix of them all."""
    made = [await a_run(ledger) for _ in range(2)]
    with pytest.raises(RunNotFoundError, match="several runs") as caught:
        await ledger.find_run("")
    assert all(run.name in str(caught.value) for run in made)


@pytest.mark.parametrize("name", ["nosuchrun", "%", "_", "*", "last'; --"])
async def test_an_unknown_run_is_refused(ledger: Ledger, name: str) -> None:
    """Patterns are no names."""
    await a_run(ledger)
    with pytest.raises(RunNotFoundError, match="closeout runs"):
        await ledger.find_run(name)


async def test_last_is_the_newest_run(ledger: Ledger) -> None:
    """And nothing in an empty ledger."""
    with pytest.raises(RunNotFoundError):
        await ledger.find_run("last")
    made = [await a_run(ledger) for _ in range(3)]
    assert (await ledger.find_run("last")).id == made[-1].id
    assert [run.id for run in await ledger.runs()] == [run.id for run in reversed(made)]


async def test_the_end_of_a_run_is_kept_and_its_time_adds_up(ledger: Ledger) -> None:
    """Over all processes that worked on it; going on clears how it ended."""
    run = await a_run(ledger)
    await ledger.end_run(run, RunEnd("halted", "a brake", 2.5), NOW + 9)
    halted = await ledger.find_run(run.name)
    assert (halted.state, halted.why, halted.ended_at, halted.seconds) == ("halted", "a brake", NOW + 9, 2.5)
    await ledger.start_run(run, '{"rate": 7}')
    again = await ledger.find_run(run.name)
    assert (again.state, again.why, again.ended_at, again.options) == ("running", None, None, '{"rate": 7}')
    assert abs((again.begun_at or 0) - now_ms()) < 60_000
    assert with_elapsed(again, (again.begun_at or 0) + 500).seconds == 3.0
    await ledger.end_run(run, RunEnd("finished", None, 1.5), NOW + 99)
    ended = await ledger.find_run(run.name)
    assert (ended.seconds, ended.begun_at) == (4.0, None)


async def test_a_canary_that_has_passed_has_passed_for_the_life_of_its_run(ledger: Ledger) -> None:
    """However often the run is begun again; and for no other run."""
    run, other = await a_run(ledger), await a_run(ledger)
    assert not (await ledger.find_run(run.name)).canary_passed
    await ledger.pass_canary(run)
    await ledger.start_run(run, run.options)
    await ledger.end_run(run, RunEnd("halted", "why", 1.0), NOW)
    assert (await ledger.find_run(run.name)).canary_passed
    assert not (await ledger.find_run(other.name)).canary_passed


async def test_the_time_of_a_process_that_died_is_that_until_its_last_exchange(ledger: Ledger) -> None:
    """It never said how long it worked; so rates stay right over all processes."""
    run = await a_run(ledger)
    assert await ledger.last_exchange(run) is None
    begun = (await ledger.find_run(run.name)).begun_at or 0
    for at in (begun + 700, begun + 4_000, begun + 3_000):
        await ledger.record(run, [Record(exchange("list", at=at), ())], at)
    assert await ledger.last_exchange(run) == begun + 3_000
    await ledger.start_run(run, "{}")
    assert (await ledger.find_run(run.name)).seconds == 3.0


async def test_the_unfinished_run_of_a_source_is_the_newest_one(ledger: Ledger) -> None:
    """Finished and planned ones do not count, nor those of other sources."""
    assert await ledger.unfinished_of("/a.csv") is None
    first = await a_run(ledger, location="/a.csv")
    second = await a_run(ledger, location="/a.csv")
    await a_run(ledger, location="/b.csv")
    third = await a_run(ledger, location="/a.csv")
    await ledger.end_run(third, RunEnd("planned", None, 0), NOW)
    found = await ledger.unfinished_of("/a.csv")
    assert found is not None
    assert found.id == second.id
    await ledger.end_run(second, RunEnd("finished", None, 0), NOW)
    await ledger.end_run(first, RunEnd("interrupted", "Ctrl-C", 0), NOW)
    found = await ledger.unfinished_of("/a.csv")
    assert found is not None
    assert found.id == first.id


async def test_runs_do_not_touch_each_other(ledger: Ledger) -> None:
    """The same sessions may stand in several runs of one ledger; on two hosts they are not the same."""
    one, two = await a_run(ledger, range(5)), await a_run(ledger, range(3), options=ELSEWHERE)
    assert len(await claim_all(ledger, one)) == 5
    assert await outcomes_of(ledger, one) == {"in_doubt": 5}
    assert await outcomes_of(ledger, two) == {"pending": 3}
    await ledger.start_run(two, "{}")
    assert await ledger.due_doubts(one, 10, NOW) == []
    assert len(await claim_all(ledger, two)) == 3


async def test_what_was_written_is_there_for_the_next_process(opener: Opener, tmp_path: Path) -> None:
    """Closed and opened again."""
    async with opener(tmp_path) as ledger:
        run = await a_run(ledger, range(4))
    async with opener(tmp_path) as ledger:
        assert (await ledger.find_run("last")).name == run.name
        assert await outcomes_of(ledger, run) == {"pending": 4}


async def test_two_who_write_at_the_same_moment_take_turns(opener: Opener, tmp_path: Path) -> None:
    """Whoever waits for the other lets it work meanwhile: it would wait for ever otherwise."""

    async def make_runs(ledger: Ledger) -> None:
        for _ in range(30):
            await a_run(ledger)

    async with opener(tmp_path) as one, opener(tmp_path) as two:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(make_runs, one)
            tasks.start_soon(make_runs, two)
        assert len(await one.runs()) == 60


@pytest.mark.parametrize("state", ["finished", "halted"])
async def test_a_run_that_ended_after_it_was_looked_at_is_over_for_who_comes_late(
    ledger: Ledger, state: RunState
) -> None:
    """It is neither begun nor ended once more: what its end was, and how long it took, stays as it is."""
    seen = await a_run(ledger, range(3))
    await ledger.end_run(seen, RunEnd(state, "why", 2.5, {"throttled": 1.5}), NOW)
    ended = await ledger.find_run(seen.name)
    async with ledger.joined(seen, TERMS) as crew:
        with anyio.fail_after(60):
            await crew.ready()
        assert (crew.over, crew.leading, crew.first) == (True, False, False)
        assert not await crew.leave(RunEnd("interrupted", None, 1.0), NOW + 1)
    assert await ledger.find_run(seen.name) == ended


async def test_who_has_seen_the_end_of_a_run_goes_on_with_it(ledger: Ledger) -> None:
    """As do those who come to one that was interrupted meanwhile, or who work on it alone, such as for its verdicts."""
    halted, interrupted, alone = [await a_run(ledger, [number]) for number in range(3)]
    await ledger.end_run(halted, RunEnd("halted", "why", 1.0), NOW)
    await ledger.end_run(interrupted, RunEnd("interrupted", "why", 1.0), NOW)
    await ledger.end_run(alone, RunEnd("finished", None, 1.0), NOW)
    for run in (await ledger.find_run(halted.name), interrupted, alone):
        async with ledger.joined(run, TERMS, alone=run is alone) as crew:
            assert (crew.over, crew.leading, crew.first) == (False, True, True)
            await ledger.start_run(run, "{}")
            await ledger.admit(run, [SourceRow(9, session_id(9))], "", NOW)  # something comes of it
            assert await crew.leave(RunEnd("finished", None, 1.0), NOW + 1)
        assert (await ledger.find_run(run.name)).seconds == 2.0
