"""What a sweep finds and closes, night by night in virtual time."""

import itertools
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import anyio
import httpx
import pytest

from closeout.worker.domain.item import SourceRow
from closeout.worker.domain.run import Tally
from closeout.worker.engine.run import Watcher
from closeout.worker.feeds.sweep import GONE, Sweep
from closeout.worker.runtime.context import Context
from closeout.worker.sandbox import SandboxConfig
from closeout.worker.sandbox.replies import Reply
from closeout.worker.sandbox.times import to_datetime
from tests.engine.night import HOUR, IDLE, KilledError, Town

SWEEP = Sweep(IDLE, 10_000, [])


def test_what_the_rule_chooses_is_closed(tmp_path: Path) -> None:
    """And nothing else."""
    town = Town(tmp_path)
    idle, busy = town.add(300), town.add(300, idle=HOUR)
    ended = town.work(town.begin(), SWEEP)
    assert (ended.state, ended.exit_code) == ("finished", 0)
    assert not town.live(idle)
    assert len(town.live(busy)) == 300


def paused_after(town: Town, closes: int, seconds: float, meanwhile: Callable[[], None]) -> Watcher:
    """A person pauses the run after so many closes, for so long; meanwhile something happens."""

    async def watch(_: Context) -> None:
        while town.closes < closes:  # noqa: ASYNC110  # the sandbox tells nobody
            await anyio.sleep(0.1)
        town.pause(paused=True)
        await anyio.sleep(seconds)
        meanwhile()
        town.pause(paused=False)

    return watch


def test_what_was_listed_too_long_ago_is_listed_again(tmp_path: Path) -> None:
    """After a long pause: what still matches is closed, the rest is skipped and says why."""
    town = Town(tmp_path)
    ids = town.add(300)
    heard = ids[::10]

    def meanwhile() -> None:
        heard[:] = town.live(heard)
        for one in heard:
            town.sandbox.hear_from(one)

    run = town.begin()
    ended = town.work(run, SWEEP, beside=paused_after(town, 50, 400, meanwhile))
    assert ended.state == "finished"
    assert heard
    assert sorted(town.live(ids)) == sorted(heard)
    assert {town.outcomes(run)[one] for one in heard} == {"skipped"}
    assert {town.details(run)[one] for one in heard} == {GONE}
    assert town.oldest <= 300


@pytest.mark.parametrize("later", [10, 1_000])
def test_a_run_that_is_gone_on_with_late_lists_again(tmp_path: Path, later: float) -> None:
    """Soon after, or when all that it knew is too old: either way everything gets its outcome."""
    town = Town(tmp_path, dies_after=80)
    ids = town.add(300)
    run = town.begin()
    with pytest.raises(KilledError):
        town.work(run, SWEEP)
    assert 0 < town.closes < 300
    town.dies_after = None
    town.now += later
    gone = town.live(ids)[:7]
    for one in gone:
        town.sandbox.set_status(one, "waiting_for_human")
    ended = town.work(run, SWEEP)
    assert ended.state == "finished"
    assert sorted(town.live(ids)) == sorted(gone)
    assert set(town.outcomes(run).values()) == {"closed", "skipped"}
    assert town.sandbox.counts.closes_repeated == 0
    assert town.oldest <= 300


def test_nothing_over_max_close_is_even_admitted(tmp_path: Path) -> None:
    """Sessions that come to match between the count and the listing: what is not admitted cannot be closed."""
    town = Town(tmp_path)
    town.add(15)
    lists = itertools.count(1)

    def more(kind: str, _: str | None) -> None:
        if kind == "list" and next(lists) == 3:
            town.add(15)

    town.sandbox.on_request = more
    run, sweep = town.begin(), Sweep(IDLE, 20, [])
    ended = town.work(run, sweep)
    assert "max_close = 20" in (ended.why or "")
    assert len(town.outcomes(run)) <= 20
    ended = town.work(run, sweep)
    assert (ended.state, len(town.outcomes(run)) <= 20) == ("halted", True)
    assert town.work(run, sweep, yes=True).state == "finished"
    assert town.closes == 30


def test_a_retry_takes_up_nothing_new_and_judges_anew(tmp_path: Path) -> None:
    """What failed is closed if the rule still chooses it, and skipped if not; what came to match since is left."""
    town = Town(tmp_path, SandboxConfig(max_faults_per_session=None))
    ids = town.add(40)
    for one in ids[:10]:
        town.sandbox.script(one, ["422"])
    run = town.begin(max_failures="100%")
    assert town.work(run, SWEEP).exit_code == 1
    assert len(town.live(ids)) == 10
    town.now += 60
    new = town.add(20)
    town.sandbox.hear_from(ids[0])
    assert town.store.retry(run, parked=True) == 10
    ended = town.work(run, SWEEP)
    assert ended.state == "finished"
    assert town.live(ids) == [ids[0]]
    assert town.details(run)[ids[0]] == GONE
    assert len(town.live(new)) == 20


@pytest.mark.parametrize("guard", [{"idle_for": 24 * HOUR}, {"expired": True}])
def test_guards_that_go_by_the_time_close_nothing_where_the_api_does_not_tell_it(
    tmp_path: Path, guard: dict[str, object]
) -> None:
    """Our own clock may be wrong by hours: then a session that somebody writes in would look idle."""
    town = Town(tmp_path, dated=False)
    ids = town.add(5)

    async def feed(context: Context) -> None:
        rows = [SourceRow(line, one) for line, one in enumerate(ids, 2)]
        await context.ledger.admit(context.run, rows, "", context.now(), parked=True)
        await context.ledger.source_done(context.run)
        context.progress.source_done = True

    ended = town.work(town.begin(rule=None, **guard), SWEEP, feed=feed)
    assert "no Date header" in (ended.why or "")
    assert len(town.live(ids)) == 5


def test_what_was_counted_is_kept(tmp_path: Path) -> None:
    """How many were chosen, and why the others were not; a later process of the run does not change it."""
    town = Town(tmp_path, dies_after=40)
    town.add(100)
    town.add(30, idle=HOUR)
    town.add(20, fields={"last_message_at": "soon"})
    run = town.begin()
    with pytest.raises(KilledError):
        town.work(run, SWEEP)
    counted = Tally(100, {"not idle for so long": 30, "last_message_at is not told": 20})
    assert town.store.run(run.id).tally == counted
    town.dies_after = None
    assert town.work(run, SWEEP).run.tally == counted


@pytest.mark.parametrize("ahead", [-6, 6])
def test_ages_go_by_the_clock_of_the_api_from_the_first_page(tmp_path: Path, ahead: int) -> None:
    """Ours may be days off."""
    town = Town(tmp_path, SandboxConfig(clock_offset=ahead * 24 * HOUR))
    idle, busy = town.add(100), town.add(100, idle=HOUR)
    run = town.work(town.begin(), SWEEP).run
    assert run.tally == Tally(100, {"not idle for so long": 100})
    assert (town.live(idle), town.live(busy)) == ([], busy)


def test_without_the_clock_of_the_api_nothing_is_judged(tmp_path: Path) -> None:
    """One line says so, and nothing has been listed."""
    town = Town(tmp_path, dated=False)
    town.add(10)
    ended = town.work(town.begin(), SWEEP)
    assert "no Date header" in (ended.why or "")
    assert [request.url.path for request in town.requests] == ["/v1/identity/whoami"]


def without_cursor(town: Town, status: int) -> None:
    """Each cursor is refused, so all but the first page of each listing."""

    def spoil(request: httpx.Request, reply: Reply) -> Reply:
        return Reply(status, b'{"error": "x", "message": "x"}') if "cursor" in request.url.params else reply

    town.spoil = spoil


def in_a_circle(town: Town) -> None:
    """The second page of each listing leads back to itself."""

    def spoil(request: httpx.Request, reply: Reply) -> Reply:
        cursor = request.url.params.get("cursor")
        page = json.loads(reply.body) if cursor else {}
        return replace(reply, body=json.dumps(page | {"next_cursor": cursor}).encode()) if page else reply

    town.spoil = spoil


@pytest.mark.parametrize("trouble", [400, 404, 410, 422, "circle"])
def test_a_cursor_that_fails_is_gone_around(tmp_path: Path, trouble: int | str) -> None:
    """Everything is found all the same, and counted once."""
    town = Town(tmp_path)
    ids = town.add(900)
    in_a_circle(town) if trouble == "circle" else without_cursor(town, int(trouble))
    ended = town.work(town.begin(rate=500), SWEEP)
    assert (ended.state, ended.why, town.live(ids)) == ("finished", None, [])
    assert ended.run.tally == Tally(900)


def test_cursors_that_fail_again_and_again_from_the_same_place_halt(tmp_path: Path) -> None:
    """More sessions of one instant than a page holds cannot be told apart by their start."""
    town = Town(tmp_path)
    instant = to_datetime(town.sandbox.now_us() - 5 * 86_400_000_000)
    town.add(300, started=(instant, instant))
    town.add(10)
    without_cursor(town, 400)
    ended = town.work(town.begin(), SWEEP)
    assert "answered 400" in (ended.why or "")
    assert town.closes == 0
    assert len(town.requests) < 12


def test_at_a_low_pace_nothing_is_admitted_too_early(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A page tells of more than can be closed before it is old, so it is asked for again."""
    town = Town(tmp_path)
    ids = town.add(250)
    parked: list[object] = []
    monkeypatch.setattr(town.store, "park", parked.append)
    ended = town.work(town.begin(rate=0.5), SWEEP)
    assert (ended.state, town.live(ids), parked) == ("finished", [], [])
    assert town.oldest <= 300
