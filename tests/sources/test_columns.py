from collections.abc import Sequence

import pytest

from closeout.worker.sources.columns import Layout, layout_of
from closeout.worker.sources.names import name_key
from closeout.worker.support.errors import SourceError
from tests.sources.reading import A, B


def found(head: Sequence[Sequence[str]], id_column: str | None) -> tuple[int, int | None, bool, int]:
    """Where the id and the reason stand, whether there is a header, and which record is the first row."""
    layout, first = layout_of(head, id_column)
    return layout.id_at, layout.reason_at, layout.header is not None, first


@pytest.mark.parametrize(
    ("head", "id_column", "expected"),
    [
        ([["name", "session_id", "reason"]], None, (1, 2, True, 1)),
        ([["Reason", " SESSION_ID\xa0"]], None, (1, 0, True, 1)),
        ([["id", "conversation_id"], ["7", A]], None, (1, None, True, 1)),
        ([["id", "Conversation Id", "x"], ["7", A, B]], None, (1, None, True, 1)),
        ([["id", "ID"]], "2", (1, None, True, 1)),
        ([["id", "ID"]], "ID", (1, None, True, 1)),
        ([["id", "Ticket"]], "ticket", (1, None, True, 1)),
        ([["a", "2", "c"], ["x", A, "y"]], "2", (1, None, True, 1)),
        ([["a", "2", "c"]], "2", (1, None, False, 0)),
        ([["ticket", "reason"]], "1", (0, 1, True, 1)),
        ([["ticket", "x"], [A, "y"]], "1", (0, None, True, 1)),
        ([["ticket", "x"], ["bad", "y"]], "1", (0, None, False, 0)),
        ([["reason", "id"], [A, "y"]], "reason", (0, None, True, 1)),
        ([["x", A, B]], "3", (2, None, False, 0)),
        ([["id", A]], "2", (1, None, False, 0)),
        ([["id", "session"], [A, "Monday"]], None, (0, None, True, 1)),
        ([["session_id", "session"], [A, B]], None, (0, None, True, 1)),
        ([["x", A, A.upper()]], None, (1, None, False, 0)),
        ([["ticket"], [A]], None, (0, None, True, 1)),
        ([["ticket"], ["bad"]], None, (0, None, False, 0)),
        ([["ticket"]], None, (0, None, False, 0)),
        ([["#TYPE Selected"], ["x", "session_id"], ["y", A]], None, (1, None, True, 2)),
        ([["Sessions of May", ""], ["x", "session_id"], ["y", A]], None, (1, None, True, 2)),
        ([["# by hand"], [A]], None, (0, None, False, 1)),
        ([["# session_id", "x"], [A, "y"]], None, (0, None, True, 1)),
        ([["# id"], ["x", "session_id"], ["y", A]], None, (1, None, True, 2)),
        ([["of", B], ["x", "session_id"], ["y", A]], "session_id", (1, None, True, 2)),
        ([["Title"], ["x", A]], None, (1, None, False, 0)),
    ],
)
def test_the_columns_found(
    head: Sequence[Sequence[str]], id_column: str | None, expected: tuple[int, int | None, bool, int]
) -> None:
    assert found(head, id_column) == expected


@pytest.mark.parametrize(
    ("head", "id_column", "words"),
    [
        ([["name", "Age"]], None, "has no column session_id, conversation_id or id, only: name, Age; name the id"),
        ([["Ticket", "Age"]], "tickets", "has no column 'tickets', only: Ticket, Age; did you mean 'Ticket'?"),
        ([["a", "b"]], "zzzz", "has no column 'zzzz', only: a, b; correct --id-column"),
        ([["a", "b"]], "3", "has no header, so no column '3'"),
        ([["session_id", "b"]], "3", "has no column '3'"),
        ([["a", "b"]], "0", "has no column '0'"),
        ([[A, "b"]], "session", "has no header, so no column 'session': give the id column's number, 1 to 2"),
        ([[A, "b"]], "3", "has no header, so no column '3'"),
        ([["session_id"], [A]], "idd", "has no column 'idd', only: session_id; correct --id-column"),
        ([["a"] * 500], "id", "a, a, ...; "),
        ([["name", "uuid"], ["x", A]], None, "has no column session_id"),
        ([["a title", " with a comma"], ["y", "z", A]], None, "has no column session_id"),
        ([["ID", "Session ID"], [A, B]], None, "column 1 'ID' (0b5c8d1e…), column 2 'Session ID' (f47ac10b…)"),
        ([["ID", "Session ID"], ["", B]], None, "more than one column that may hold the session id"),
        ([["ID", "Session ID"], [A, "x"]], None, "more than one column that may hold the session id"),
        ([["ID", "Session ID"]], None, "more than one column that may hold the session id"),
        ([["session_id", "x", "Session ID"], ["7", "x", B]], None, "such as --id-column 3"),
        ([["session_id", "session_id"], [A, B]], "session_id", "more than one column that may hold the session id"),
        ([["2", "session_id"], [A, B]], "2", "more than one column that may hold the session id"),
        ([["id", A]], None, "has its names in the rows, beside the values"),
        ([["id", "session"], [A, B]], None, "column 1 'id' (0b5c8d1e…), column 2 'session' (f47ac10b…)"),
        ([["id", "uuid"], ["7", B]], None, "column 1 'id' (7), column 2 'uuid' (f47ac10b…)"),
        ([["id", "session"], [A, ""]], None, "more than one column that may hold the session id"),
        ([["x", A, B]], None, "column 2 (0b5c8d1e…), column 3 (f47ac10b…)"),
        ([["x", f"{A} {B}"], ["y", A]], None, "has no column session_id"),
        ([[A, f"see {B}"]], None, "column 1 (0b5c8d1e…), column 2 (see f47a…)"),
        ([["session_id", "reason", "Reason"]], None, "has the column 'reason' more than once (columns 2 and 3)"),
    ],
)
def test_what_no_column_or_more_than_one_answers_is_refused(
    head: Sequence[Sequence[str]], id_column: str | None, words: str
) -> None:
    with pytest.raises(SourceError) as refusal:
        layout_of(head, id_column)
    assert words in str(refusal.value)
    assert len(str(refusal.value)) < 400


@pytest.mark.parametrize(
    "name", ["session_id", "Session ID", "sessionId", "SESSION-ID", " 'Session_Id' ", "\ufeffsession id", "session.id"]
)
def test_a_name_is_the_same_in_any_spelling(name: str) -> None:
    assert name_key(name) == name_key("session_id")


@pytest.mark.parametrize("name", ["session", "sessions_id", "parent_session_id", "session_id_old", "session_id2", ""])
def test_another_name_is_another(name: str) -> None:
    assert name_key(name) != name_key("session_id")


@pytest.mark.parametrize(
    ("cells", "fits"),
    [
        ([A, "x", "y"], True),
        ([A, "x"], False),
        ([A, "x", "y", "", " "], True),
        ([A, "x", "y", "", "z"], False),
        ([A], False),
    ],
)
def test_a_record_has_the_width_of_its_table(cells: list[str], fits: bool) -> None:
    assert Layout(0, None, ("id", "a", "b"), narrowest=3, widest=3, length=3).fits(cells) is fits
