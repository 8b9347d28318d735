"""What settling may cost and how long it may take, whatever becomes of the sessions meanwhile."""

import pytest

from closeout.worker.config.settings import Settings
from closeout.worker.domain.session import EvalSummary
from tests.engine.settling_world import START, VERDICTS, Fate, settle

NONE = EvalSummary()
FOREVER = float("inf")


def none_of(count: int, **fate: float) -> list[Fate]:
    """Sessions without any evaluation, closed at once."""
    return [Fate(1_000.0, START + at * 1_000, 0.0, 0.0, NONE, **fate) for at in range(count)]


def at_work_until(second: float) -> Fate:
    """A session that is closed so late: as long does closing go on."""
    return Fate(second, START, 0.0, 0.0, NONE)


@pytest.mark.parametrize("final", [31.0, 45.0, 56.0])
def test_a_verdict_that_is_there_in_time_is_not_left_open(final: float) -> None:
    """The next look may be planned for later than --settle-for: a last one is made before it is over."""
    done = settle([Fate(1_000.0, START + at, 0.1, final, VERDICTS[0]) for at in range(30)], Settings(settle_for=60))
    assert done.settled == 30
    assert done.seconds <= 61


def test_settling_is_over_when_its_time_is_also_if_it_began_beside_closing() -> None:
    """Single reads of 3,000 sessions at 10/s would take five minutes."""
    fates = [Fate(1_000.0, START + at, 0.1, 0.5, VERDICTS[0]) for at in range(3_000)]
    chosen = Settings(settle_for=60, rate=10, first_look=1)
    done = settle([*fates, at_work_until(1_100.0)], chosen, list_status=403)
    assert done.seconds <= 62


def test_a_session_that_is_deleted_is_not_read_again_and_again() -> None:
    """Also where its verdict was believed already, and it was followed."""
    done = settle([*none_of(20, deleted=60.0), at_work_until(1_400.0)])
    assert done.settled == 21
    assert done.shown == 21
    assert done.requests <= 60


def test_a_session_that_is_opened_again_is_counted_once() -> None:
    """Where its verdict was believed already, it is open again; the others stay as they are."""
    done = settle([*none_of(20, reopened=60.0), at_work_until(1_400.0)], Settings(settle_for=60))
    assert done.shown == done.settled
    assert done.requests <= 150


def test_a_look_that_fails_takes_nothing_back() -> None:
    """What was believed is believed until something else is known."""
    done = settle([*none_of(20), at_work_until(1_200.0)], list_status=403, read_trouble=0.5)
    assert done.settled == 21
    assert done.shown == 21


def test_verdicts_that_do_not_come_are_not_asked_for_all_the_time() -> None:
    """While it is not known how long they take, a few are followed, and the rest is looked at ever more rarely."""
    done = settle([Fate(1_000.0, START + at * 1_000, 0.1, FOREVER, VERDICTS[0]) for at in range(200)])
    assert done.settled == 0
    assert done.requests <= 60


def test_waiting_for_company_does_not_ask_the_ledger_all_the_time() -> None:
    """A few times a second are enough."""
    fates = [Fate(1_000.0 + 3 * at, START + at, 0.1, 200.0, VERDICTS[0]) for at in range(40)]
    done = settle(fates, Settings(settle_for=300))
    assert done.settled == 40
    assert done.asked <= 12 * (120 + done.seconds)


def test_runs_that_are_queued_late_do_not_put_off_the_rest_for_long() -> None:
    """They are there after 40 s, and verdicts after a minute: what was believed too early is looked at late, once."""
    fates = [Fate(1_000.0 + at / 10, START + at * 500, 40.0, 60.0, VERDICTS[0]) for at in range(3_000)]
    done = settle(fates)
    assert done.settled == 3_000
    assert done.seconds <= 200


def test_what_was_closed_long_ago_is_looked_at_once_and_not_waited_for() -> None:
    """``closeout settle`` the day after: verdicts that are there are taken in, and the rest is left open at once."""
    done_by_now = [Fate(1_000.0, START + at, 0.1, 3_600.0, VERDICTS[0]) for at in range(300)]
    never = [Fate(1_000.0, START + 1_000 + at, 0.1, FOREVER, VERDICTS[0]) for at in range(300)]
    done = settle(done_by_now + never, later=86_400.0)
    assert done.settled == 300
    assert done.seconds <= 10
    assert done.requests <= 10


def test_what_was_closed_just_now_is_waited_for_also_alone() -> None:
    """Its verdict may still come."""
    done = settle([Fate(1_000.0, START + at, 0.1, 60.0, VERDICTS[0]) for at in range(30)], later=10.0)
    assert done.settled == 30
