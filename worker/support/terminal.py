"""What may be written to a terminal, and who writes to it: its display and a question take turns."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio

_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


class Screen:
    """Whoever holds the ``turn`` may write to the terminal.

    The display holds it while it is drawn, and gives it up as soon as it is ``wanted``: by then it has left the screen.
    """

    def __init__(self) -> None:
        self.turn = anyio.Lock()
        self._wanted = anyio.Event()
        self._waiting = 0  # questions, including the one that stands

    @asynccontextmanager
    async def cleared(self) -> AsyncIterator[None]:
        """The turn of a question, which begins once the display has left the screen, and goes before all others."""
        self._waiting += 1
        self._wanted.set()
        try:
            async with self.turn:  # it is handed on in order: a display that waits to come back is behind
                yield
        finally:
            self._waiting -= 1
            if not self._waiting:
                self._wanted = anyio.Event()

    async def wanted(self, seconds: float) -> bool:
        """Whether a question wants the turn, now or within so many seconds."""
        with anyio.move_on_after(seconds):
            await self._wanted.wait()
            return True
        return False


def printable(text: str) -> str:
    """The text on one line, without what would move a cursor or fail to be encoded."""
    return _UNPRINTABLE.sub("�", text)
