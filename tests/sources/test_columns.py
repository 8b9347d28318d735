import pytest

from tests.sources.reading import A, B
from worker.errors import SourceError
from worker.sources.columns import Layout, layout_of


@pytest.mark.parametrize(
    ("first", "second", "id_column", "expected"),
    [
        (["name", "session_id", "reason"], None, None, Layout(1, 2, True)),
        (["Reason", " SESSION_ID\xa0"], None, None, Layout(1, 0, True)),
        (["id", "conversation_id"], None, None, Layout(1, None, True)),
        (["id", "conversation_id", "session_id"], None, None, Layout(2, None, True)),
        (["id", "ID"], None, None, Layout(0, None, True)),
        (["id", "Ticket"], None, "ticket", Layout(1, None, True)),
        (["a", "2", "c"], None, "2", Layout(1, None, True)),
        (["ticket", "reason"], None, "1", Layout(0, 1, True)),
        (["ticket", "x"], [A, "y"], "1", Layout(0, None, True)),
        (["ticket", "x"], ["bad", "y"], "1", Layout(0, None, False)),
        (["reason", "id"], [A, "y"], "reason", Layout(0, None, True)),
        (["x", A, B], None, None, Layout(1, None, False)),
        (["x", A, B], None, "3", Layout(2, None, False)),
        (["id", A], None, None, Layout(1, None, False)),
        (["ticket"], [A], None, Layout(0, None, True)),
        (["ticket"], ["bad"], None, Layout(0, None, False)),
        (["ticket"], None, None, Layout(0, None, False)),
    ],
)
def test_the_columns_found(first: list[str], second: list[str] | None, id_column: str | None, expected: Layout) -> None:
    assert layout_of(first, second, id_column) == expected


@pytest.mark.parametrize(
    ("first", "id_column", "words"),
    [
        (["name", "Age"], None, "has no column session_id, conversation_id or id, only: name, Age; name the id"),
        (["Ticket", "Age"], "tickets", "has no column 'tickets', only: Ticket, Age; did you mean 'Ticket'?"),
        (["a", "b"], "zzzz", "has no column 'zzzz', only: a, b; correct --id-column"),
        (["a", "b"], "3", "has no column '3'"),
        (["a", "b"], "0", "has no column '0'"),
        ([A, "b"], "session", "has no header, so no column 'session': give the id column's number, 1 to 2"),
        ([A, "b"], "3", "has no header, so no column '3'"),
        (["a"] * 500, "id", "a, a, ...; "),
    ],
)
def test_a_missing_column_is_refused_with_those_that_are_there(
    first: list[str], id_column: str | None, words: str
) -> None:
    with pytest.raises(SourceError) as refusal:
        layout_of(first, None, id_column)
    assert words in str(refusal.value)
    assert len(str(refusal.value)) < 400
