"""Physical lines of bounded length, numbered, that can be handed back and read again."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Self

from closeout.worker.sources.decompress import BrokenOffError
from closeout.worker.sources.session_ids import LONGEST_SHOWN

LONGEST_LINE = 1_048_576
_PEEK_LINES = 200
_PEEK_SIZE = 65_536


class CutLine(str):
    """The beginning of a line too long to be held; ``length`` is how many characters it has in all."""

    __slots__ = ("length",)
    length: int


class Lines:
    """The lines of a text without their ends. ``number`` is the 1-based number of the line handed out last.

    The text comes in chunks, none longer than LONGEST_LINE; of a line longer than that only a CutLine is kept. An
    empty chunk is a pause: iteration ends there with ``paused`` set, and begins again after ``go_on``. ``broken`` is
    the break that has ended the text, if one has.
    """

    def __init__(self, chunks: Iterable[str]) -> None:
        self.number = 0
        self.paused = False
        self.broken: BrokenOffError | None = None
        self._chunks = iter(chunks)
        self._tail = _Tail()
        self._fresh = self._split()
        self._returned: deque[str] = deque()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> str:
        """The next line. Raises BrokenOffError where the text breaks off; its partial last line is left out."""
        if self._returned:
            line = self._returned.popleft()
        elif self.broken is not None:
            raise self.broken
        else:
            line = next(self._fresh)
        self.number += 1
        return line

    def go_on(self) -> None:
        """After a pause: the next line is worth asking for again, which waits for more of the text."""
        self.paused = False
        self._fresh = self._split()

    def push_back(self, lines: list[str]) -> None:
        """Takes back the lines that were handed out last, in their order, to hand them out again."""
        self._returned.extendleft(reversed(lines))
        self.number -= len(lines)

    def peek(self, enough: Callable[[list[str]], bool]) -> list[str]:
        """The next lines until they are ``enough``, a few dozen at most, waited for through pauses.

        They stay to be read; a break among them stays too.
        """
        taken: list[str] = []
        size = 0
        while len(taken) < _PEEK_LINES and size < _PEEK_SIZE and not enough(taken):
            try:
                taken.append(next(self))
                size += len(taken[-1])
            except StopIteration:
                if not self.paused:
                    break
                self.go_on()
            except BrokenOffError:
                break
        self.push_back(taken)
        return taken

    def _split(self) -> Iterator[str]:
        """The lines as far as the next pause, or to the end."""
        tail = self._tail
        try:
            for chunk in self._chunks:
                if not chunk:
                    self.paused = True
                    return
                first, *others = chunk.split("\n")
                tail.add(first)
                if others:
                    yield tail.take()
                    tail.add(others.pop())
                    yield from others
        except BrokenOffError as error:
            self.broken = error
            raise
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
