"""JSON documents as streams: whatever the chunks they come in, the same records, and none that is not there."""

import json
from collections.abc import Iterator, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from closeout.worker.sources.decompress import BrokenOffError
from closeout.worker.sources.json_document import HEAD, JsonElements, is_document, take_beginning
from closeout.worker.sources.session_ids import ReadingError
from tests.sources.reading import A, B, read_stdin

moderate = settings(max_examples=200, deadline=None)
scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
names = st.text(max_size=5).map(lambda text: f"x{text}")  # none of those that list, or are an id's
values = st.recursive(scalars, lambda held: st.lists(held, max_size=3) | st.dictionaries(names, held, max_size=3))
records = st.lists(st.dictionaries(names, values, max_size=4), max_size=6)
tokens = [
    "[",
    "]",
    "{",
    "}",
    ",",
    ":",
    '"',
    "\\",
    "\n",
    " ",
    "1",
    "-",
    "tru",
    "null",
    '"items"',
    '"id"',
    f'"{A}"',
    f'"{B}',
]
texts = st.lists(st.sampled_from(tokens), max_size=30).map("".join)
indents = st.sampled_from([None, 0, 2])


def chunked(text: str, size: int) -> Iterator[str]:
    """With a pause behind each."""
    for at in range(0, len(text), size):
        yield text[at : at + size]
        yield ""


def elements(chunks: Iterator[str]) -> list[tuple[int, object]]:
    found: list[tuple[int, object]] = []
    reading = JsonElements(chunks, expects_no_id=True)
    while True:
        found.extend(reading)
        if not reading.paused:
            return found
        reading.go_on()


@given(records, indents, st.integers(1, 40), st.sampled_from(["array", "listing", "pages", "objects"]))
@moderate
def test_the_records_are_those_written_whatever_the_chunks(
    wanted: list[dict[str, object]], indent: int | None, size: int, shape: str
) -> None:
    shapes: dict[str, Sequence[object]] = {
        "array": [wanted],
        "listing": [{"total": len(wanted), "items": wanted, "next_cursor": "c"}],
        "pages": [{"items": [one]} for one in wanted],
        "objects": wanted,
    }
    text = "\n".join(json.dumps(one, indent=indent) for one in shapes[shape])
    found = elements(chunked(text, size))
    assert [record for _, record in found] == wanted
    lines = [line for line, _ in found]
    assert lines == sorted(lines)
    assert all(1 <= line <= text.count("\n") + 1 for line in lines)


@given(texts)
@moderate
def test_whatever_the_text_it_ends_in_one_of_two_errors_or_in_none(text: str) -> None:
    """And an id that is given out stands in the text."""
    is_document(text)
    try:
        found = elements(chunked(text, 3))
    except (BrokenOffError, ReadingError):
        return
    assert all(one not in json.dumps([record for _, record in found]) or one in text for one in (A, B))


@pytest.mark.parametrize("size", [1, 7, 1_000])
def test_the_beginning_is_taken_and_handed_on(size: int) -> None:
    text = "\n \n" + json.dumps({"x": 1}) + "\n" + "y" * HEAD
    head, rest = take_beginning(chunked(text, size))
    assert "\n" in head.lstrip()
    assert "".join(rest) == text


def test_a_record_is_given_out_before_the_rest_has_come() -> None:
    """As from a slow pipe: what has come is closed without waiting for more."""
    asked: list[str] = []

    def slow() -> Iterator[str]:
        for chunk in (f'{{"items":[{{"id":"{A}"}},', "", f'{{"id":"{B}"}}]}}'):
            asked.append(chunk)
            yield chunk

    reading = JsonElements(slow(), expects_no_id=True)
    assert [record for _, record in reading] == [{"id": A}]
    assert (reading.paused, len(asked)) == (True, 2)
    reading.go_on()
    assert [record for _, record in reading] == [{"id": B}]


def test_a_very_long_line_is_no_hindrance() -> None:
    text = json.dumps({"total": 1, "items": [{"id": A, "note": "x" * 900_000}] * 3})
    assert [row.session_id for row in read_stdin(text)] == [A, A, A]


def test_a_value_that_never_ends_is_given_up() -> None:
    text = f'[{{"id": "{A}"}}, "' + "x" * 3_000_000
    rows = read_stdin(text)
    assert [row.session_id for row in rows] == [A, None]
    assert "the JSON" in (rows[1].problem or "")
