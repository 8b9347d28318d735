"""Physical lines of bounded length, numbered, that can be handed back and read again."""

from collections import deque
from collections.abc import Iterable, Iterator
from typing import Self

from worker.sources.bytestream import BrokenOffError
from worker.sources.problems import LONGEST_SHOWN

LONGEST_LINE = 1_048_576
_PEEK_LINES = 50
_PEEK_SIZE = 65_536


class CutLine(str):
    """The beginning of a line too long to be held; ``length`` is how many characters it has in all."""

    __slots__ = ("length",)
    length: int


class Lines:
    """The lines of a text without their ends. ``number`` is the 1-based number of the line handed out last."""

    def __init__(self, chunks: Iterable[str]) -> None:
        self.number = 0
        self._fresh = split_lines(chunks)
        self._returned: deque[str] = deque()
        self._broken: BrokenOffError | None = None

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> str:
        """The next line. Raises BrokenOffError where the text breaks off; its partial last line is left out."""
        if self._returned:
            line = self._returned.popleft()
        elif self._broken is not None:
            raise self._broken
        else:
            line = next(self._fresh)
        self.number += 1
        return line

    def push_back(self, lines: list[str]) -> None:
        """Takes back the lines that were handed out last, in their order, to hand them out again."""
        self._returned.extendleft(reversed(lines))
        self.number -= len(lines)

    def peek(self) -> list[str]:
        """The next lines, a few dozen at most, which stay to be read; a break among them stays too."""
        taken: list[str] = []
        size = 0
        try:
            while len(taken) < _PEEK_LINES and size < _PEEK_SIZE:
                taken.append(next(self))
                size += len(taken[-1])
        except StopIteration:
            pass
        except BrokenOffError as error:
            self._broken = error
        self.push_back(taken)
        return taken


def split_lines(chunks: Iterable[str]) -> Iterator[str]:
    """The lines of a text that comes in chunks, none of which may be longer than LONGEST_LINE.

    Of a longer line only a CutLine is kept.
    """
    tail = _Tail()
    for chunk in chunks:
        first, *others = chunk.split("\n")
        tail.add(first)
        if others:
            yield tail.take()
            tail.add(others.pop())
            yield from others
    if tail.length:
        yield tail.take()


def line_problem(line: str) -> str | None:
    """Why a line cannot be read as a record, or None."""
    if isinstance(line, CutLine):
        return f"the line is {line.length:,} characters long; at most {LONGEST_LINE:,} are read"
    return "contains a NUL byte" if "\0" in line else None


class _Tail:
    """The line that is not complete yet; beyond LONGEST_LINE only its beginning and its length are kept."""

    def __init__(self) -> None:
        self._text = ""
        self.length = 0

    def add(self, text: str) -> None:
        self._text += text
        self.length += len(text)
        if self.length > LONGEST_LINE:
            self._text = self._text[:LONGEST_SHOWN]

    def take(self) -> str:
        line = self._text
        if self.length > LONGEST_LINE:
            line = CutLine(self._text)
            line.length = self.length
        self._text, self.length = "", 0
        return line
