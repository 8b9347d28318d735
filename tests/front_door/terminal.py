"""A closeout that is started from a terminal: a pseudo-terminal of which the test holds the other end."""

import fcntl
import os
import pty
import select
import struct
import subprocess
import termios
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pyte

from tests.forked import Forked
from tests.front_door.support import LONGEST, Desk

CTRL_C = "\x03"
CTRL_D = "\x04"


def squeezed(text: str) -> str:
    """Without spaces and ends of lines: the same text, however it was folded."""
    return "".join(text.split())


class Terminal:
    """What a person at the terminal sees and types. ``seen`` is all that was ever written to it."""

    def __init__(self, process: Forked, master: int, columns: int, rows: int) -> None:
        self.process = process
        self.seen = ""
        self._master = master
        self._screen = pyte.Screen(columns, rows)
        self._stream = pyte.ByteStream(self._screen)

    def type(self, text: str) -> None:
        """As if typed: a Ctrl-C becomes a signal on its way, and a line is read once it is ended."""
        os.write(self._master, text.encode())

    def resize(self, columns: int, rows: int) -> None:
        """As a person drags the window, of which the process is told."""
        _set_size(self._master, columns, rows)
        self._screen.resize(rows, columns)

    @property
    def lines(self) -> list[str]:
        """What the screen shows, without the empty lines at its end."""
        return "\n".join(line.rstrip() for line in self._screen.display).rstrip().split("\n")

    @property
    def shown(self) -> str:
        """The same, squeezed."""
        return squeezed("".join(self._screen.display))

    def asks(self, question: str) -> bool:
        """Whether the question stands as the last text on the screen, with the cursor behind it."""
        cursor, text = self._screen.cursor, "".join(self._screen.display)
        at = cursor.y * self._screen.columns + cursor.x
        return not cursor.hidden and self.shown.endswith(squeezed(question)) and at == len(text.rstrip()) + 1

    def wait_for_question(self, question: str) -> None:
        """Read until it stands."""
        self.wait_until(lambda: self.asks(question), f"{question!r} does not stand")

    def wait_for(self, text: str) -> None:
        """Read until it was written."""
        self.wait_until(lambda: text in self.seen, f"{text!r} did not appear")

    def ended(self) -> int:
        """Wait for the end of the process; returns its exit code."""
        self.wait_until(lambda: self.process.poll() is not None, "the process did not end")
        while self._read(0.0):
            pass
        return self.process.wait()

    def wait_until(self, condition: Callable[[], bool], otherwise: str) -> None:
        """Read until it holds."""
        ends = time.monotonic() + LONGEST
        while not condition():
            assert time.monotonic() < ends, f"{otherwise}:\n{self.seen[-2_000:]!r}\n" + "\n".join(self.lines)
            self._read(0.05)

    def _read(self, seconds: float) -> bool:
        """Whether there was anything to read, within so many seconds."""
        if not select.select([self._master], [], [], seconds)[0]:
            return False
        try:
            piece = os.read(self._master, 65_536)
        except OSError:  # the other end is closed: the process is about to end
            time.sleep(0.01)
            return False
        self.seen += piece.decode(errors="replace")
        self._stream.feed(piece)
        return True


def _set_size(terminal: int, columns: int, rows: int) -> None:
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


@contextmanager
def at_a_terminal(
    desk: Desk, *words: str, columns: int = 200, rows: int = 40, stdin: int = subprocess.DEVNULL
) -> Iterator[Terminal]:
    """A command at work in a session of its own, whose terminal is the test's; killed at the end if still there.

    ``stdin`` may be a descriptor that it reads instead of the terminal.
    """
    master, slave = pty.openpty()
    _set_size(slave, columns, rows)
    process = Forked(words, cwd=desk.home, env=desk.environment() | {"TERM": "xterm"}, stdin=stdin, terminal=slave)
    os.close(slave)
    try:
        yield Terminal(process, master, columns, rows)
    finally:
        process.kill()
        process.wait()
        os.close(master)
