"""Verdicts where closing never ends: they come in all the same, and what never ends is given up."""

from closeout.worker.config.settings import Settings
from closeout.worker.ledger.records import COLUMNS
from closeout.worker.support.clock import parse_instant
from tests.engine.settling_world import START, VERDICTS, Fate, settle

_RECORDED_AT, _SETTLED_AT = COLUMNS.index("recorded_at"), COLUMNS.index("settled_at")
NEVER_ENDS = float("inf")


def one_at(second: float, *, final: float = 4.0) -> Fate:
    """A session closed then whose verdict comes so many seconds later."""
    return Fate(START / 1000 + second, START + round(1000 * second), 1.0, final, VERDICTS[0])


def age_when_settled(row: tuple[object, ...]) -> int:
    """Milliseconds from the close."""
    closed, settled = parse_instant(row[_RECORDED_AT]), parse_instant(row[_SETTLED_AT])
    assert closed is not None
    assert settled is not None
    return settled - closed


def test_few_sessions_are_settled_while_closing_goes_on() -> None:
    """None waits for company that never comes, and each costs about one look."""
    fates = [one_at(40.0 * number) for number in range(30)]
    found = settle(fates, Settings(rate=50, settle_for=120), stopped=60)
    assert found.settled == found.shown == 30
    assert max(age_when_settled(row) for row in found.rows.values()) < 90_000
    assert found.requests < 2.2 * 30


def test_what_never_ends_is_given_up_session_by_session() -> None:
    """The time for settling counts from each close, as there is no last one."""
    fates = [one_at(0, final=NEVER_ENDS), *(one_at(30.0 * number) for number in range(1, 60))]
    found = settle(fates, Settings(rate=50, settle_for=120, first_look=5), stopped=60)
    assert found.settled == 59
    endless = settle(fates[:1], Settings(rate=50, settle_for=120, first_look=5), stopped=3_600)
    assert endless.settled == 0
    assert endless.requests < 12


def test_a_stop_looks_once_at_what_is_due() -> None:
    """And at nothing that is not: the next process does."""
    fates = [one_at(number / 10, final=1.0) for number in range(40)] + [one_at(15.0, final=1.0)]
    found = settle(fates, Settings(rate=200, first_look=10), stopped=5)
    assert found.settled == 40
    assert found.seconds < 10
