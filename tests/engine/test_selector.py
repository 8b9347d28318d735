"""Which sessions a rule chooses: nothing protected, nothing by guess, and no match lost to a wider rule."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from closeout.worker.domain.session import LIVE_STATUSES, TERMINAL_STATUSES, SessionRow
from closeout.worker.policy.selection import SWEEP_PROTECTED, Age, Selection, listings, mismatch

HOUR = 3_600_000
NOW = 500 * HOUR
USER, AGENT = "e0d00000-0000-4000-8000-00000000000a", "a9e00000-0000-4000-8000-00000000000b"
ROW = SessionRow(
    session_id="0190c1f2-0000-7000-8000-000000000001",
    status="active",
    started_at=NOW - 48 * HOUR,
    channel="voice",
    priority="low",
    session_type="test",
    assigned_agent_id=AGENT,
    end_user_id=USER,
    last_message_at=NOW - 24 * HOUR,
    ttl_expires_at=NOW,
    updated_at=NOW - 24 * HOUR,
)
ANY = Selection(statuses=("active", "paused"))
# Each rule that the row above just meets, the field that it needs, and a value of it that does not.
RULES: list[tuple[dict[str, Any], str, object]] = [
    ({"channel": "voice"}, "channel", "sms"),
    ({"priority": "low"}, "priority", "urgent"),
    ({"session_type": "test"}, "session_type", "live"),
    ({"assistant": AGENT}, "assigned_agent_id", USER),
    ({"end_user": USER}, "end_user_id", AGENT),
    ({"started_after": NOW - 48 * HOUR}, "started_at", NOW - 48 * HOUR - 1),
    ({"started_after": Age(48 * HOUR)}, "started_at", NOW - 48 * HOUR - 1),
    ({"started_before": NOW - 48 * HOUR}, "started_at", NOW - 48 * HOUR + 1),
    ({"started_before": Age(48 * HOUR)}, "started_at", NOW - 48 * HOUR + 1),
    ({"idle_for": 24 * HOUR}, "last_message_at", NOW - 24 * HOUR + 1),
    ({"idle_for": 24 * HOUR}, "started_at", NOW - 24 * HOUR + 1),
    ({"expired": True}, "ttl_expires_at", NOW + 1),
]
each_rule = pytest.mark.parametrize(
    ("rule", "field", "other"), RULES, ids=[f"{next(iter(rule))}-{field}" for rule, field, _ in RULES]
)

statuses = st.sampled_from([*sorted(LIVE_STATUSES | TERMINAL_STATUSES), "hibernating"])
instants = st.integers(NOW - 100 * HOUR, NOW + 10 * HOUR) | st.sampled_from([NOW - 24 * HOUR, NOW - 48 * HOUR, NOW])
ages = st.sampled_from([0, 1, HOUR, 24 * HOUR, 48 * HOUR]) | st.integers(0, 100 * HOUR)
bounds = st.none() | instants | ages.map(Age)


def mostly(usual: object, *others: object) -> st.SearchStrategy[Any]:
    """The usual value in most cases, so that many sessions meet many rules at once."""
    return st.sampled_from([usual] * (3 * len(others)) + list(others))


def near(usual: object) -> st.SearchStrategy[Any]:
    """Mostly this instant, else none or any."""
    return mostly(usual, None).flatmap(lambda value: st.just(value) if value is not None else st.none() | instants)


rows = st.builds(
    SessionRow,
    session_id=st.just(ROW.session_id),
    status=st.just("active") | statuses,
    started_at=near(ROW.started_at),
    closed_at=mostly(None, NOW),
    channel=mostly("voice", None, "sms"),
    priority=mostly("low", None, "high"),
    session_type=mostly("test", None, "live"),
    assigned_agent_id=mostly(AGENT, None),
    end_user_id=mostly(USER, None),
    last_message_at=near(ROW.last_message_at),
    ttl_expires_at=near(ROW.ttl_expires_at),
)
selections = st.builds(
    Selection,
    statuses=st.lists(statuses, max_size=4, unique=True).map(lambda some: ("active", *some)),
    protected=st.just(SWEEP_PROTECTED) | st.frozensets(statuses, max_size=3),
    channel=st.sampled_from([None, "voice"]),
    priority=st.sampled_from([None, "low"]),
    session_type=st.sampled_from([None, "test"]),
    assistant=st.sampled_from([None, AGENT]),
    end_user=st.sampled_from([None, USER]),
    started_after=bounds,
    started_before=bounds,
    idle_for=st.none() | ages,
    expired=st.booleans(),
)
nows = st.just(NOW) | instants


def changed(field: str, value: Any) -> SessionRow:
    """The session with another value in this field."""
    return replace(ROW, **{field: value})


@each_rule
def test_a_boundary_is_inclusive(rule: dict[str, Any], field: str, other: object) -> None:
    """The session that just meets a rule is chosen, and the one a millisecond off is not."""
    selection = replace(ANY, **rule)
    assert mismatch(selection, ROW, NOW) is None
    assert mismatch(selection, changed(field, other), NOW) is not None


@each_rule
def test_a_field_that_is_not_told_is_never_guessed(rule: dict[str, Any], field: str, other: object) -> None:
    """Where the rule needs it. Where no rule does, it does not matter."""
    without = changed(field, None)
    assert "not told" in (mismatch(replace(ANY, **rule), without, NOW) or "")
    assert mismatch(ANY, without, NOW) is None
    assert other is not None


@pytest.mark.parametrize("status", sorted(LIVE_STATUSES | TERMINAL_STATUSES))
def test_only_the_statuses_that_were_named_are_chosen(status: str) -> None:
    """And of those none that has ended, and none that a sweep protects."""
    chosen = mismatch(replace(ANY, statuses=("active",)), replace(ROW, status=status), NOW) is None
    assert chosen == (status == "active")
    named = mismatch(replace(ANY, statuses=(status,)), replace(ROW, status=status), NOW) is None
    assert named == (status in {"active", "paused"})
    lifted = replace(ANY, statuses=(status,), protected=frozenset())
    assert (mismatch(lifted, replace(ROW, status=status), NOW) is None) == (status in LIVE_STATUSES)


def test_what_sweeps_protect() -> None:
    """To the letter."""
    assert set(SWEEP_PROTECTED) == {
        "waiting_for_human", "awaiting_approval", "ringing", "queued", "pending_dispatch", "transferred",
    }  # fmt: skip


def test_ages_are_on_the_clock_that_is_given() -> None:
    """The server's: an hour later an hour more is old enough."""
    selection = replace(ANY, idle_for=25 * HOUR)
    assert mismatch(selection, ROW, NOW) is not None
    assert mismatch(selection, ROW, NOW + HOUR) is None
    recent = replace(ANY, started_after=Age(48 * HOUR))
    assert mismatch(recent, ROW, NOW) is None
    assert mismatch(recent, ROW, NOW + 1) is not None


def test_a_listing_says_what_the_api_can_filter_by() -> None:
    """One status at a time; an idle session is no younger than its idleness."""
    selection = Selection(
        statuses=("active", "ringing", "closed", "paused"), channel="sms", priority="high", assistant=AGENT,
        end_user=USER, text="refund", started_after=Age(50 * HOUR), started_before=Age(HOUR), idle_for=2 * HOUR,
    )  # fmt: skip
    first, second = listings(selection, NOW)
    assert (first.status, second.status) == ("active", "paused")
    assert second == replace(first, status="paused")
    assert (first.channel, first.priority, first.assigned_agent_id, first.end_user_id) == ("sms", "high", AGENT, USER)
    assert first.text == "refund"
    assert (first.started_after, first.started_before) == (NOW - 50 * HOUR, NOW - 2 * HOUR)
    [bare] = listings(Selection(statuses=("active",), session_type="test", expired=True), NOW)
    assert (bare.started_after, bare.started_before, bare.channel, bare.text) == (None, None, None, None)


@given(selection=selections, row=rows, now=nows)
def test_nothing_protected_and_nothing_ended_is_ever_chosen(selection: Selection, row: SessionRow, now: int) -> None:
    """Whatever else the rule says."""
    if row.status in selection.protected or row.status in TERMINAL_STATUSES or row.closed_at is not None:
        assert mismatch(selection, row, now) is not None
    assert all(listing.status not in selection.protected for listing in listings(selection, now))


@given(selection=selections, row=rows, now=nows)
def test_what_is_chosen_is_listed(selection: Selection, row: SessionRow, now: int) -> None:
    """The API is never asked for less than the rule chooses."""
    if mismatch(selection, row, now) is None:
        [listing] = [one for one in listings(selection, now) if one.status == row.status]
        assert listing.channel in (None, row.channel)
        assert listing.priority in (None, row.priority)
        assert listing.end_user_id in (None, row.end_user_id)
        assert listing.assigned_agent_id in (None, row.assigned_agent_id)
        started = row.started_at
        assert listing.started_after is None or (started is not None and listing.started_after <= started)
        assert listing.started_before is None or (started is not None and started <= listing.started_before)


def _wider(draw: st.DrawFn, narrow: Selection) -> Selection:
    """The same rule with some of it taken away or loosened."""
    options: dict[str, list[Any]] = {
        name: [None, getattr(narrow, name)]
        for name in ("channel", "priority", "session_type", "assistant", "end_user", "started_after", "started_before")
    }
    options["idle_for"] = [None, narrow.idle_for, narrow.idle_for and narrow.idle_for // 2]
    options["expired"] = [False, narrow.expired]
    after, before, day = narrow.started_after, narrow.started_before, 24 * HOUR
    if after is not None:
        options["started_after"] += [Age(after.ms + day) if isinstance(after, Age) else after - day]
    if before is not None:
        options["started_before"] += [Age(before.ms // 2) if isinstance(before, Age) else before + day]
    options["statuses"] = [narrow.statuses, (*narrow.statuses, "active")]
    options["protected"] = [narrow.protected, narrow.protected - {"active", "ringing"}]
    return replace(narrow, **{name: draw(st.sampled_from(values)) for name, values in options.items()})


wider_pairs = st.composite(lambda draw: (narrow := draw(selections), _wider(draw, narrow)))()


@given(pair=wider_pairs, row=rows, now=nows)
def test_a_wider_rule_loses_nothing(pair: tuple[Selection, Selection], row: SessionRow, now: int) -> None:
    """What the narrow one chooses, it chooses too."""
    narrow, wide = pair
    if mismatch(narrow, row, now) is None:
        assert mismatch(wide, row, now) is None


@given(row=rows)
def test_a_reason_holds_nothing_personal(row: SessionRow) -> None:
    """It names rules, and never the values of a session but its status."""
    why = mismatch(replace(ANY, assistant=USER, end_user=AGENT, channel="email"), row, NOW)
    assert why is not None
    assert not any(value in why for value in (USER, AGENT, "voice", "sms"))
