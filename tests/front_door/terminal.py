"""A closeout that is started from a terminal: a pseudo-terminal of which the test holds the other end."""

import os
import pty
import select
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tests.forked import Forked
from tests.front_door.support import LONGEST, Desk

CTRL_C = "\x03"


class Terminal:
    """What a person at the terminal sees and types."""

    def __init__(self, process: Forked, master: int) -> None:
        self.process = process
        self.seen = ""
        self._master = master

    def type(self, text: str) -> None:
        """As if typed: a Ctrl-C becomes a signal on its way, and a line is read once it is ended."""
        os.write(self._master, text.encode())

    def wait_for(self, text: str) -> None:
        """Read until it is on the screen."""
        self._read_until(lambda: text in self.seen, f"{text!r} did not appear")

    def ended(self) -> int:
        """Wait for the end of the process; returns its exit code."""
        self._read_until(lambda: self.process.poll() is not None, "the process did not end")
        return self.process.wait()

    def _read_until(self, condition: Callable[[], bool], otherwise: str) -> None:
        ends = time.monotonic() + LONGEST
        while not condition():
            assert time.monotonic() < ends, f"{otherwise}:\n{self.seen}"
            if select.select([self._master], [], [], 0.05)[0]:
                try:
                    self.seen += os.read(self._master, 65_536).decode(errors="replace")
                except OSError:  # the other end is closed: the process is about to end
                    time.sleep(0.01)


@contextmanager
def at_a_terminal(desk: Desk, *words: str, columns: int = 200) -> Iterator[Terminal]:
    """A command at work in a session of its own, whose terminal is the test's; killed at the end if still there."""
    master, slave = pty.openpty()
    environment = desk.environment() | {"TERM": "xterm", "COLUMNS": str(columns), "LINES": "40"}
    process = Forked(words, cwd=desk.home, env=environment, terminal=slave)
    os.close(slave)
    try:
        yield Terminal(process, master)
    finally:
        process.kill()
        process.wait()
        os.close(master)
