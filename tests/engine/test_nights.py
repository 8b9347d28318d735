"""Whole nights in virtual time, held against the truth: what was closed, what was left, and what it cost."""

import random
from pathlib import Path

import anyio
import pytest

from closeout.worker.domain.session import TERMINAL_STATUSES
from closeout.worker.feeds.sweep import Sweep
from closeout.worker.policy.anomaly import night_counts
from closeout.worker.policy.selection import SWEEP_PROTECTED
from closeout.worker.runtime.context import Context
from closeout.worker.sandbox import SandboxConfig
from tests.engine.night import HOUR, IDLE, KilledError, Town

MIX = {
    "active": 6.0, "paused": 3.0, "waiting_for_human": 1.0, "awaiting_approval": 1.0, "ringing": 1.0, "queued": 1.0,
    "transferred": 1.0, "closed": 3.0, "expired": 1.0, "error": 1.0, "superseded": 1.0,
}  # fmt: skip
SWEEP = Sweep(IDLE, 10_000, [])


def matching(town: Town, ids: list[str]) -> set[str]:
    """Those of them that are active or paused; all are idle."""
    return {one for one in ids if town.sandbox.store.by_id[one].status in IDLE.statuses}


def closed(town: Town) -> set[str]:
    """What our closes ended; nothing may have been closed twice, nor on what was seen long ago."""
    assert town.sandbox.counts.closes_repeated == 0
    assert town.oldest <= 300
    return {one for one, session in town.sandbox.store.by_id.items() if session.closes_effective}


def test_a_world_of_all_kinds_is_swept(tmp_path: Path) -> None:
    """Of 4,000 sessions just those that match are closed, for hardly more than a request each."""
    town = Town(tmp_path)
    idle = town.add(2_000, status=MIX)
    town.add(1_000, status=MIX, idle=23 * HOUR)
    town.add(500, status=MIX, fields={"last_message_at": None})
    town.add(500, status=MIX, fields={"last_message_at": "yesterday", "session_type": None})
    wanted = matching(town, idle)
    ended = town.work(town.begin(rate=500), SWEEP)
    assert ended.state == "finished"
    assert closed(town) == wanted
    assert 500 < len(wanted) < 1_200
    assert len(town.requests) <= 1.08 * len(wanted)


@pytest.mark.parametrize("seed", range(3))
def test_a_person_who_comes_between_the_list_and_the_close_is_not_hung_up_on(tmp_path: Path, seed: int) -> None:
    """At any moment, to any session: from the next list of the protected ones on, a minute later, it is left alone."""
    town, luck = Town(tmp_path), random.Random(seed)
    ids = town.add(300)
    came: dict[str, float] = {}

    async def people(_: Context) -> None:
        while live := [one for one in town.live(ids) if one not in came]:
            one = luck.choice(live)
            town.sandbox.set_status(one, luck.choice(sorted(SWEEP_PROTECTED - {"pending_dispatch"})))
            came.setdefault(one, town.clock())
            await anyio.sleep(luck.uniform(1, 8))

    run = town.begin(rate=2)
    ended = town.work(run, SWEEP, beside=people)
    assert ended.state == "finished"
    assert closed(town) | set(came) == set(ids)
    late = [post - at for one, at in came.items() for post in town.sandbox.truth(one).post_times]
    assert max(late) < 70, sorted(late)[-5:]
    spared = {one for one, outcome in town.outcomes(run).items() if outcome == "skipped"}
    assert spared == set(town.live(ids)) & set(town.outcomes(run))
    assert len(spared) > 4


def test_a_week_of_nights_with_crashes(tmp_path: Path) -> None:
    """Killed in three of seven, at any request, and gone on with a moment or hours later: each is closed once."""
    town, luck = Town(tmp_path, SandboxConfig(second_close="409")), random.Random(7)
    wanted: set[str] = set()
    for night in range(7):
        wanted |= matching(town, town.add(200, status=MIX))
        sweep = Sweep(IDLE, 10_000, night_counts(town.store.runs()))
        run = town.begin()
        if night in (1, 3, 4):
            town.dies_after = len(town.requests) + luck.randint(8, 90)
            with pytest.raises(KilledError):
                town.work(run, sweep)
            town.dies_after = None
            town.now += luck.choice([5, 600, 4 * HOUR])
        assert town.work(run, sweep).state == "finished"
        assert closed(town) == wanted
        assert set(town.outcomes(run).values()) <= {"closed", "already_closed"}
        town.now += 20 * HOUR
    assert len(night_counts(town.store.runs())) == 7
    left = [one for one in town.sandbox.store.by_id.values() if one.status not in TERMINAL_STATUSES]
    assert {one.status for one in left} <= SWEEP_PROTECTED
