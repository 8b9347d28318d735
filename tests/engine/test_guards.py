"""What a guard makes of a look at a session, and of the lack of one."""

from dataclasses import replace

import pytest

from closeout.worker.config.settings import Settings
from closeout.worker.domain.item import Outcome
from closeout.worker.domain.session import LIVE_STATUSES, SessionRow
from closeout.worker.policy.guards import (
    Guards,
    guards_of,
    known_too_long_ago,
    listed_statuses,
    seen_change,
    seen_too_long_ago,
    unseen_change,
)
from closeout.worker.policy.verdict import Halt
from closeout.worker.support.clock import NEVER
from tests.engine.support import MAX_ATTEMPTS, NOW, SESSION, WAIT, a_claim, a_judge, an_answer

HOUR = 3_600_000
ROW = SessionRow(session_id=SESSION, status="active", started_at=NOW - 48 * HOUR, last_message_at=NOW - 30 * HOUR)
FRESH = a_claim(first_attempt_at=None)


def guards(**values: object) -> Guards:
    """Those of such settings."""
    return guards_of(Settings.model_validate(values))


@pytest.mark.parametrize(
    ("row", "why"),
    [
        (ROW, None),
        (replace(ROW, status="paused"), "guard: another status: paused"),
        (replace(ROW, status="hibernating"), "guard: another status: hibernating"),
        (replace(ROW, status="waiting_for_human"), "protected: waiting_for_human"),
        (replace(ROW, last_message_at=NOW - HOUR), "guard: not idle for so long"),
        (replace(ROW, started_at=NOW - HOUR), "guard: not idle for so long"),
        (replace(ROW, last_message_at=None), "guard: last_message_at is not told"),
    ],
)
def test_what_a_guard_says_no_to_is_skipped(row: SessionRow, why: str | None) -> None:
    """With what was seen; the rest may be closed now, as if never tried."""
    change = seen_change(FRESH, row, a_judge(), guards(only_status="active", idle_for="24h"), NOW)
    expected = (Outcome.PENDING, 0) if why is None else (Outcome.SKIPPED, None)
    assert (change.outcome, change.due_at) == expected
    assert (change.detail, change.session, change.looked_at) == (why, row, NOW)


@pytest.mark.parametrize(
    ("planned", "found", "why"),
    [
        ({}, {}, None),
        ({}, {"status": "paused"}, "changed since the plan: it was active, and is paused"),
        ({}, {"updated_at": NOW}, "changed since the plan: updated_at is another"),
        ({}, {"updated_at": None}, "changed since the plan: updated_at is another"),
        ({"updated_at": None}, {"updated_at": None}, "changed since the plan: updated_at is another"),
    ],
)
def test_what_is_not_as_it_was_planned_is_skipped(
    planned: dict[str, object], found: dict[str, object], why: str | None
) -> None:
    """A session that does not tell when it was changed may have been."""
    was = {"status": "active", "updated_at": NOW - HOUR}
    claim = replace(FRESH, **(was | planned))  # type: ignore[arg-type]  # each row names the fields it means
    row = replace(ROW, **(was | found))  # type: ignore[arg-type]
    change = seen_change(claim, row, a_judge(), guards(as_planned=True), NOW)
    assert (change.outcome, change.detail) == (Outcome.PENDING if why is None else Outcome.SKIPPED, why)


def test_what_was_tried_before_is_not_as_if_never_tried() -> None:
    """It stays one of those that a cap counts."""
    assert seen_change(a_claim(attempts=2), ROW, a_judge(), guards(idle_for="1h"), NOW).due_at == 1


@pytest.mark.parametrize("status", ["closed", "expired", "error", "superseded"])
def test_a_session_that_has_ended_was_closed_before(status: str) -> None:
    """Whatever the guards say; its verdict is still looked for."""
    row = replace(ROW, status=status, closed_at=NOW - HOUR)
    change = seen_change(FRESH, row, a_judge(), guards(only_status="active"), NOW)
    assert (change.outcome, change.session, change.attempts) == (Outcome.ALREADY_CLOSED, row, 0)


@pytest.mark.parametrize("status", [None, 429, 500, 503, 404])
def test_what_could_not_be_looked_up_is_looked_up_later(status: int | None) -> None:
    """A 404 of a proxy tells nothing of the session. It stays parked: nothing is closed meanwhile."""
    change = unseen_change(FRESH, an_answer(status, kind="read", from_api=False), a_judge(), NOW)
    assert not isinstance(change, Halt)
    assert (change.outcome, change.due_at) == (Outcome.PENDING, NEVER + NOW + WAIT)


def test_what_can_never_be_looked_up_has_failed() -> None:
    """After as many looks as a close has attempts; being throttled is no failure of the session."""
    tired = replace(FRESH, looks=MAX_ATTEMPTS - 1)
    failed = unseen_change(tired, an_answer(500, kind="read"), a_judge(), NOW)
    throttled = unseen_change(tired, an_answer(429, kind="read"), a_judge(), NOW)
    assert not isinstance(failed, Halt)
    assert not isinstance(throttled, Halt)
    assert (failed.outcome, failed.error) == (Outcome.FAILED, "http_500")
    assert throttled.outcome is Outcome.PENDING


def test_what_something_else_answers_to_the_last_ends_the_run_and_not_the_session() -> None:
    """Nothing is said of a session that the API did not say."""
    tired = replace(FRESH, looks=MAX_ATTEMPTS - 1)
    halt = unseen_change(tired, an_answer(403, kind="read", from_api=False), a_judge(), NOW)
    assert isinstance(halt, Halt)
    assert halt.change.outcome is Outcome.PENDING
    assert "not as the API answers" in halt.why


def test_a_session_that_does_not_exist_is_not_found() -> None:
    """By the API's own word."""
    change = unseen_change(FRESH, an_answer(404, kind="read"), a_judge(), NOW)
    assert not isinstance(change, Halt)
    assert (change.outcome, change.http_status) == (Outcome.NOT_FOUND, 404)


@pytest.mark.parametrize("status", [401, 403])
def test_a_key_that_may_not_read_ends_the_run(status: int) -> None:
    """Nothing is closed unseen."""
    halt = unseen_change(FRESH, an_answer(status, kind="read"), a_judge(), NOW)
    assert isinstance(halt, Halt)
    assert halt.change.outcome is Outcome.PENDING


@pytest.mark.parametrize("settings", [{"idle_for": "24h"}, {"rule": "{}"}])
@pytest.mark.parametrize(
    ("age", "old"), [(300_000, False), (300_001, True), (None, True), (-1_000, False), (-1_001, True)]
)
def test_what_was_seen_longer_ago_than_state_max_age_is_looked_up_again(
    settings: dict[str, object], age: int | None, old: bool
) -> None:
    """To the millisecond; and what was never seen, or by a clock that was ahead of ours, too."""
    claim = replace(FRESH, looked_at=None if age is None else NOW - age)
    assert seen_too_long_ago(claim, Settings.model_validate(settings | {"state_max_age": "5m"}), NOW) is old


@pytest.mark.parametrize(
    ("looked_at", "old"), [(None, False), (NOW - 300_001, True), (NOW, False), (NOW + 3_600_000, True)]
)
def test_what_was_closed_once_is_closed_again_on_a_recent_look_alone(looked_at: int | None, old: bool) -> None:
    """What was never closed before needs none; nor does anything where no guard goes by how it was."""
    claim = replace(FRESH, looked_at=looked_at)
    assert known_too_long_ago(claim, Settings(), NOW) is old
    assert not seen_too_long_ago(claim, Settings(), NOW)
    assert not seen_too_long_ago(claim, Settings(), NOW)


@pytest.mark.parametrize(
    ("asked", "first"),
    [({}, ["active", "paused"]), ({"only_status": "ringing,paused"}, ["paused", "ringing", "active"])],
)
def test_the_lists_of_all_live_statuses_are_looked_through(asked: dict[str, str], first: list[str]) -> None:
    """Those that are asked for first; what the dialect does not know is left out."""
    for api in ("1.21", "1.90"):
        found = listed_statuses(Settings.model_validate({**asked, "api": api}))
        assert list(found[: len(first)]) == first
        assert set(found) == LIVE_STATUSES - ({"pending_dispatch"} if api == "1.21" else set())
