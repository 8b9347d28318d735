"""Sessions and pages as the API sends them, and as it may send them after its next release."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from closeout.worker.api.schemas import parse_page, parse_rows, parse_session
from closeout.worker.domain.session import EvalSummary, SessionRow, SessionState
from closeout.worker.support.clock import parse_instant
from tests.api.support import GOOD, SESSION

EVALS = {
    "eval_status": "partial", "total": 9, "succeeded": 5, "failed": 3, "pending": 1, "critical_total": 4,
    "critical_succeeded": 2, "critical_failed": 1, "critical_pending": 1,
}  # fmt: skip
PLAIN = SessionState(
    SESSION,
    "closed",
    started_at=parse_instant("2026-03-01T10:00:00Z"),
    closed_at=parse_instant("2026-03-02T10:00:00Z"),
)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
odd_sessions = st.fixed_dictionaries(
    {},
    optional={
        "id": st.just(SESSION) | json_values,
        "status": st.just("closed") | json_values,
        "started_at": json_values,
        "closed_at": st.just("2026-03-02T10:00:00Z") | json_values,
        "eval_summary": json_values
        | st.dictionaries(st.sampled_from(sorted(EVALS)), st.integers(-1, 9) | json_values, max_size=5),
        "metadata": json_values,
    },
)


def body(value: object) -> bytes:
    """Its JSON."""
    return json.dumps(value).encode()


def session(**changes: object) -> SessionState | None:
    """What is made of a good session with these fields changed."""
    return parse_session(body(GOOD | changes))


def test_a_session_is_read() -> None:
    """What is needed of it."""
    assert session() == PLAIN
    found = session(eval_summary=EVALS)
    assert found is not None
    assert found.evals == EvalSummary("partial", 9, 5, 3, 1, 4, 2, 1, 1)


def test_half_a_character_is_not_kept() -> None:
    """JSON may hold one, but no ledger could be read again that did: neither its exports nor its reports."""
    odd = GOOD | {"status": "new\ud800", "eval_summary": EVALS | {"eval_status": "\udfff"}}
    for found in (parse_session(body(odd)), *(parse_page(body({"items": [odd, odd]})) or [()])[0]):
        assert found is not None
        assert (found.status, found.evals.status, found.evals.total) == ("new?", "?", 9)


def test_an_id_is_lower_case() -> None:
    """As the ledger writes it."""
    found = session(id=SESSION.upper())
    assert found is not None
    assert found.session_id == SESSION


def test_unknown_fields_and_values_are_no_error() -> None:
    """The API drifts between releases; a status is kept letter for letter."""
    found = session(
        surface="web", memory_sync_state="pending", status="Hibernating", eval_summary={"eval_status": "x?"}
    )
    assert found is not None
    assert (found.status, found.evals.status) == ("Hibernating", "x?")


@pytest.mark.parametrize("value", [None, 5, True, [], {}, "not a time", 1e999, 10**30])
@pytest.mark.parametrize("field", ["started_at", "closed_at"])
def test_a_mistyped_optional_field_is_as_good_as_absent(field: str, value: object) -> None:
    """The rest of the session stays usable."""
    found = session(**{field: value})
    assert found is not None
    assert getattr(found, field) is None
    assert found.status == "closed"


@pytest.mark.parametrize("value", [None, 5, "none", [], True])
def test_a_mistyped_summary_is_as_good_as_absent(value: object) -> None:
    """No verdict is known then."""
    found = session(eval_summary=value)
    assert found == PLAIN


@pytest.mark.parametrize("value", [-1, "3", 2.5, None, True, 2**62, 10**40, [1], {}])
@pytest.mark.parametrize("name", ["total", "critical_pending"])
def test_a_mistyped_count_leaves_the_other_counts(name: str, value: object) -> None:
    """Also one that no ledger can hold."""
    found = session(eval_summary=EVALS | {name: value})
    assert found is not None
    expected = EvalSummary("partial", 9, 5, 3, 1, 4, 2, 1, 1)
    assert getattr(found.evals, name) == 0
    assert (found.evals.status, found.evals.failed) == (expected.status, expected.failed)


@pytest.mark.parametrize("field", ["id", "status"])
@pytest.mark.parametrize("value", [None, 5, [], {}, True, "absent"])
def test_without_id_or_status_a_session_is_unusable(field: str, value: object) -> None:
    """Absent or mistyped."""
    changed = GOOD | {field: value}
    if value == "absent":
        del changed[field]
    assert parse_session(body(changed)) is None


@pytest.mark.parametrize(
    "text", [b"", b"null", b"[]", b"<html>", b'{"id": "x"', b"\xff\xfe", b'"closed"', b"[" * 100_000]
)
def test_what_is_no_session_is_none(text: bytes) -> None:
    """A proxy's page, a cut body, nonsense."""
    assert parse_session(text) is None
    assert parse_page(text) is None


@given(st.binary())
def test_no_bytes_raise(text: bytes) -> None:
    """Whatever arrives."""
    parse_session(text)
    parse_page(text)


@given(odd_sessions | json_values)
def test_no_json_raises(value: object) -> None:
    """And what is usable can be stored: text that encodes, counts that fit."""
    found = parse_session(body(value))
    assert parse_session(body(value)) == found
    if found is not None:
        (found.session_id + found.status + found.evals.status).encode()
        assert all(0 <= count < 2**62 for count in _counts(found.evals))


def _counts(evals: EvalSummary) -> list[int]:
    return [evals.total, evals.succeeded, evals.failed, evals.pending, evals.critical_total, evals.critical_pending]


def test_a_page_with_a_cursor_has_a_successor() -> None:
    """Which is asked for with it."""
    assert parse_page(body({"items": [GOOD], "has_more": True, "next_cursor": "abc"})) == ((PLAIN,), "abc")


@pytest.mark.parametrize(
    "rest",
    [{"has_more": False, "next_cursor": "abc"}, {"has_more": False}, {}, {"next_cursor": None}, {"has_more": True}],
)
def test_the_last_page_has_none(rest: dict[str, Any]) -> None:
    """Either it says so, or it gives no cursor."""
    assert parse_page(body({"items": [GOOD]} | rest)) == ((PLAIN,), None)


@pytest.mark.parametrize("bad", [{}, None, 5, {"id": SESSION}, {"id": 5, "status": "closed"}, []])
def test_one_bad_item_leaves_the_rest_of_its_page(bad: object) -> None:
    """And the cursor."""
    page = {"items": [GOOD, bad, GOOD], "has_more": True, "next_cursor": "abc"}
    assert parse_page(body(page)) == ((PLAIN, PLAIN), "abc")


@pytest.mark.parametrize("page", [{}, {"items": None}, {"items": {}}, {"items": "x"}, {"has_more": True}])
def test_a_page_without_items_is_unusable(page: object) -> None:
    """Nothing is known of how it goes on."""
    assert parse_page(body(page)) is None


@pytest.mark.parametrize("more", [True, False, "absent"])
@pytest.mark.parametrize("cursor", ["abc", "", None, "absent"])
def test_a_bad_item_does_not_change_how_the_page_goes_on(more: object, cursor: object) -> None:
    """The way round a bad item reads the same page in the same way."""
    rest = {name: value for name, value in (("has_more", more), ("next_cursor", cursor)) if value != "absent"}
    good, drifted = parse_page(body({"items": [GOOD]} | rest)), parse_page(body({"items": [GOOD, {}]} | rest))
    assert good == drifted


@given(items=st.lists(st.just(GOOD) | odd_sessions, max_size=4), more=json_values, cursor=json_values)
def test_a_page_holds_what_its_sessions_are_worth_alone(items: list[Any], more: object, cursor: object) -> None:
    """Whether it is read at once or item by item."""
    page = parse_page(body({"items": items, "has_more": more, "next_cursor": cursor}))
    assert page is not None
    alone = [found for item in items if (found := parse_session(body(item))) is not None]
    assert list(page[0]) == alone
    assert page[1] is None or page[1] == cursor


@given(st.text(st.sampled_from("ab\ud800\udfff\u20ac"), max_size=5))
def test_a_cursor_can_be_sent_back(cursor: str) -> None:
    """Also from a page with a bad item, and one with half a character in it."""
    for items in ([GOOD], [GOOD, {}]):
        page = parse_page(body({"items": items, "has_more": True, "next_cursor": cursor}))
        if page is not None and page[1] is not None:
            page[1].encode()


TOLD = {
    "channel": "voice", "priority": "low", "session_type": "test", "assigned_agent_id": "A9E0", "end_user_id": "E0D0",
    "last_message_at": "2026-03-01T11:00:00Z", "ttl_expires_at": "2026-03-03T10:00:00+01:00",
    "updated_at": "2026-03-01T12:00:00.5Z",
}  # fmt: skip
PERSONAL = {"subject": "PRIVATE", "summary": "PRIVATE", "metadata": {"a": "PRIVATE"}, "context_variables": {}}


def row(**changes: object) -> SessionRow:
    """What a listing makes of a session with all that a rule may choose by."""
    page = parse_rows(body({"items": [GOOD | TOLD | PERSONAL | changes], "has_more": False}))
    assert page is not None
    [found] = page[0]
    return found


def test_a_row_holds_what_a_rule_may_choose_by() -> None:
    """Ids in lower case, instants with their offset."""
    assert row() == SessionRow(
        session_id=SESSION, status="closed", started_at=PLAIN.started_at, closed_at=PLAIN.closed_at, channel="voice",
        priority="low", session_type="test", assigned_agent_id="a9e0", end_user_id="e0d0",
        last_message_at=parse_instant("2026-03-01T11:00:00Z"), ttl_expires_at=parse_instant("2026-03-03T09:00:00Z"),
        updated_at=parse_instant("2026-03-01T12:00:00.500Z"),
    )  # fmt: skip
    assert "PRIVATE" not in repr(row())


@pytest.mark.parametrize("value", [None, 5, True, [], {}, 1e999])
@pytest.mark.parametrize("field", sorted(TOLD))
def test_a_mistyped_field_of_a_row_is_as_good_as_absent(field: str, value: object) -> None:
    """And the row's other fields stay."""
    found = row(**{field: value})
    assert getattr(found, field) is None
    assert (found.session_id, found.status, found.started_at) == (SESSION, "closed", PLAIN.started_at)
    assert found.channel == "voice" or field == "channel"


@given(items=st.lists(st.just(GOOD) | odd_sessions, max_size=4), more=json_values, cursor=json_values)
def test_rows_and_sessions_of_a_page_are_the_same(items: list[Any], more: object, cursor: object) -> None:
    """Whatever the page holds, and however it goes on."""
    text = body({"items": items, "has_more": more, "next_cursor": cursor})
    page, rows = parse_page(text), parse_rows(text)
    assert page is not None
    assert rows is not None
    assert [(one.session_id, one.status, one.evals, one.started_at, one.closed_at) for one in rows[0]] == [
        (one.session_id, one.status, one.evals, one.started_at, one.closed_at) for one in page[0]
    ]
    assert rows[1] == page[1]


@given(st.binary())
def test_no_bytes_raise_in_rows(text: bytes) -> None:
    """Whatever arrives."""
    parse_rows(text)
