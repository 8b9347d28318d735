"""What a message says."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from closeout.worker.domain.item import QueuedRow, SourceRow
from closeout.worker.queues.messages import read_message, write_message

_NO_INSTANTS: list[object] = ["soon", True, -5, 10**30, float("nan"), float("inf"), []]
ID = "0190c1f2-1111-7000-8000-00000000000a"


def body(**fields: object) -> bytes:
    return json.dumps({"session_id": ID, **fields}).encode()


@pytest.mark.parametrize(
    "text", [ID, ID.upper(), f" {{{ID}}}\n", f"urn:uuid:{ID}", ID.replace("-", ""), f'"{ID}"', "\ufeff" + ID]
)
def test_a_bare_id_in_any_spelling(text: str) -> None:
    """All those that a file may hold."""
    assert read_message(text.encode()) == QueuedRow(SourceRow(0, ID))


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, QueuedRow(SourceRow(0, ID))),
        ({"reason": " resolved ", "key": "k-1"}, QueuedRow(SourceRow(0, ID, "resolved"), "k-1")),
        ({"reason": None, "key": None, "not_before": None}, QueuedRow(SourceRow(0, ID))),
        ({"reason": "", "key": "", "subject": "secret"}, QueuedRow(SourceRow(0, ID))),
        ({"not_before": "2026-03-02T10:00:00Z"}, QueuedRow(SourceRow(0, ID), None, 1_772_445_600_000)),
        ({"not_before": "2026-03-02T11:00:00+01:00"}, QueuedRow(SourceRow(0, ID), None, 1_772_445_600_000)),
        ({"not_before": 1_772_445_600}, QueuedRow(SourceRow(0, ID), None, 1_772_445_600_000)),
        ({"not_before": 1_772_445_600.25}, QueuedRow(SourceRow(0, ID), None, 1_772_445_600_250)),
        ({"not_before": "1960-01-01"}, QueuedRow(SourceRow(0, ID))),
        ({"session_id": ID.upper()}, QueuedRow(SourceRow(0, ID))),
    ],
)
def test_an_object(fields: dict[str, object], expected: QueuedRow) -> None:
    """Fields that are not known here are passed over."""
    assert read_message(body(**fields)) == expected


@pytest.mark.parametrize(
    ("message", "problem"),
    [
        (b"", "the id is empty"),
        (b"typo", "not a UUID: 36 characters expected, found 4"),
        (b"x" * 5_000, "not a UUID: the id is 5,000 characters long"),
        (b"00000000-0000-0000-0000-000000000000", "the nil UUID (all zeros) names no session"),
        (b'{"session_id": ', "not JSON: Expecting value at character 16"),
        (b"{" * 5_000, "not JSON: Expecting property name enclosed in double quotes at character 2"),
        (b'{"x": ' + b"[" * 100_000, "not JSON: nested too deeply, or a number too long"),
        (b'{"id": "x"}', "no field 'session_id'"),
        (b'["x"]', "not a UUID: 36 characters expected, found 5"),
        (body(session_id=7), "field 'session_id' holds a number, not a string"),
        (body(reason=["x"]), "field 'reason' holds an array, not a string"),
        (body(reason="a\0b"), "field 'reason' holds characters that cannot be printed"),
        (body(key=True), "field 'key' holds true or false, not a string"),
        (body(key="k" * 201), "field 'key' is 201 characters long; at most 200 are read"),
        *(
            (body(not_before=value), "invalid 'not_before': use ISO 8601 or seconds since the epoch")
            for value in _NO_INSTANTS
        ),
    ],
)
def test_a_malformed_message_says_what_is_wrong(message: bytes, problem: str) -> None:
    """What stood there is kept, cut; the key is the same for the same text."""
    found = read_message(message)
    assert found.row.session_id is None
    assert found.row.problem == problem
    assert len(found.row.text) <= 200
    assert found.key == read_message(message).key != read_message(message + b"!").key


@given(st.binary(max_size=80) | st.text().map(str.encode))
def test_no_message_breaks_anything(message: bytes) -> None:
    """It is a session or a problem that can be stored and printed."""
    found = read_message(message)
    assert (found.row.session_id is None) != (found.row.problem is None)
    assert f"{found.row.text}{found.row.problem}".encode()


@given(st.none() | st.text(min_size=1).filter(lambda text: text.isprintable() and text.strip() == text))
def test_what_was_written_is_read(reason: str | None) -> None:
    """A row of a source, with its own reason."""
    assert read_message(write_message(SourceRow(7, ID, reason))) == QueuedRow(SourceRow(0, ID, reason))


@pytest.mark.parametrize("text", ["1772445600", "1772445600.0", "2026-03-02T10:00:00Z", "20260302T100000Z"])
def test_an_instant_may_be_text(text: str) -> None:
    """As a column, or a field of an entry of Redis, has it."""
    assert read_message(body(not_before=text)) == QueuedRow(SourceRow(0, ID), None, 1_772_445_600_000)
