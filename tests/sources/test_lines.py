from collections.abc import Iterator
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from closeout.worker.sources.decoding import decoded
from closeout.worker.sources.decompress import BrokenOffError
from closeout.worker.sources.lines import LONGEST_LINE, CutLine, Lines, line_problem


def cut(text: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted(place % (len(text) + 1) for place in places), len(text)]
    return [text[start:end] for start, end in pairwise(edges)]


def all_of(lines: Lines) -> list[str]:
    """The lines to the end, through all pauses."""
    found = list(lines)
    while lines.paused:
        lines.go_on()
        found += lines
    return found


def never(_: list[str]) -> bool:
    return False


@given(
    st.lists(st.sampled_from(["a", "é", "\r", "\n", "\r\n", "\u2028", "\x0b", "\U0001f600", '"']), max_size=40),
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "latin-1"]),
    st.lists(st.integers(0, 200), max_size=8),
)
@settings(max_examples=150, deadline=None)
def test_lines_do_not_depend_on_where_the_bytes_are_cut(parts: list[str], encoding: str, places: list[int]) -> None:
    """Nor on pauses, which are where two cuts meet."""
    text = "".join(parts)
    content = text.encode(encoding, "ignore")
    kept = content.decode(encoding)
    expected = kept.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    if expected[-1] == "":
        expected.pop()
    assert all_of(Lines(decoded(iter(cut(content, places))))) == expected


@pytest.mark.parametrize("surplus", [0, 1, 70_000, 3 * LONGEST_LINE])
def test_of_a_line_too_long_only_its_beginning_and_length_are_kept(surplus: int) -> None:
    text = "a\n" + "x" * (LONGEST_LINE + surplus) + "\nb"
    chunks = [text[start : start + 65_536] for start in range(0, len(text), 65_536)]
    first, long, last = Lines(chunks)
    assert (first, last) == ("a", "b")
    assert isinstance(long, CutLine) == (surplus > 0)
    assert len(long) == (200 if surplus else LONGEST_LINE)
    if isinstance(long, CutLine):
        assert long.length == LONGEST_LINE + surplus
        assert f"{long.length:,} characters" in (line_problem(long) or "")


def test_lines_handed_back_come_again_under_the_same_numbers() -> None:
    lines = Lines(["a\nb\nc\nd"])
    taken = [next(lines), next(lines), next(lines)]
    lines.push_back(taken[1:])
    assert lines.number == 1
    assert [(line, lines.number) for line in lines] == [("b", 2), ("c", 3), ("d", 4)]


def test_a_break_among_peeked_lines_comes_only_when_they_are_read() -> None:
    def breaking() -> Iterator[str]:
        yield "a\nb\npartial"
        raise BrokenOffError("gone")

    lines = Lines(breaking())
    assert lines.peek(never) == ["a", "b"]
    assert [next(lines), next(lines)] == ["a", "b"]
    with pytest.raises(BrokenOffError):
        next(lines)
    assert lines.number == 2


def test_peeking_takes_a_bounded_number_of_lines_and_none_away() -> None:
    lines = Lines(iter([f"{number}\n" for number in range(1_000)]))
    assert len(lines.peek(never)) == 200
    assert sum(1 for _ in lines) == 1_000


def test_lines_end_at_a_pause_and_go_on_after_it() -> None:
    """A line that the pause cuts in two comes whole, after it."""
    lines = Lines(["a\nb", "", "c\nd\n", ""])
    assert (list(lines), lines.paused) == (["a"], True)
    assert list(lines) == []
    lines.go_on()
    assert (list(lines), lines.paused) == (["bc", "d"], True)
    lines.go_on()
    assert (list(lines), lines.paused, lines.number) == ([], False, 3)


def test_peeking_waits_through_pauses_for_what_it_needs_and_no_longer() -> None:
    """What it does not need may never come."""

    def arriving() -> Iterator[str]:
        yield from ("\n", "", "a\nb\n")
        raise AssertionError("more was asked for than was needed")

    lines = Lines(arriving())
    assert lines.peek(lambda beginning: "a" in beginning) == ["", "a"]
    assert [next(lines), next(lines), next(lines)] == ["", "a", "b"]
