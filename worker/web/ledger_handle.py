"""The ledger under the live page: it may appear later, go away, or be replaced by another file of its name."""

from contextlib import AsyncExitStack
from pathlib import Path

import anyio

from closeout.worker.ledger.open import open_ledger
from closeout.worker.ledger.protocol import Ledger

Mark = tuple[int, int] | None


class OpenedLedger:
    """Opened when it is asked for, for reading alone; again when another file has come to its place."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._stack = AsyncExitStack()
        self._ledger: Ledger | None = None
        self._mark: Mark = None
        self._turn = anyio.Lock()

    async def get(self) -> Ledger:
        """The ledger as it is there now. Raises LedgerError in one line."""
        async with self._turn:
            mark = _mark(self.address)
            if self._ledger is None or mark != self._mark:
                await self.close()
                self._ledger = await self._stack.enter_async_context(open_ledger(self.address, read_only=True))
                self._mark = mark
            return self._ledger

    async def close(self) -> None:
        """Let go of it."""
        self._ledger = None
        await self._stack.aclose()


def _mark(address: str) -> Mark:
    """What tells a file from another that takes its place; None where there is none, and for a server's ledger."""
    try:
        stat = Path(address).stat()
    except OSError:
        return None
    return stat.st_dev, stat.st_ino
