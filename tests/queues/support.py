"""What the queues' tests share: fresh queues on real servers, one kind each, and consumers of them."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import anyio

from closeout.worker.ledger.sqlite.ledger import SqliteLedger
from closeout.worker.ledger.stores import MessageStore
from closeout.worker.queues.open import open_queue
from closeout.worker.queues.protocol import Message, Queue

VISIBILITY = 1.0  # seconds: after that, what a dead consumer held is given out again
LONGEST = 60.0  # seconds after which a test gives up waiting: it says nothing of speed


@dataclass(frozen=True)
class Rig:
    """A fresh queue: its address, the ledger that holds it if one does, and what lies at its dead-letter place.

    ``dead`` gives the bodies and, for each, a text that holds the reason. ``many`` are more messages than the server
    takes at once.
    """

    url: str
    dead: Callable[[], Awaitable[list[tuple[bytes, str]]]]
    store: MessageStore | None = None
    many: int = 2_500

    def opened(self) -> AbstractAsyncContextManager[Queue]:
        """One more user of the queue."""
        return open_queue(self.url, self.store)


async def fetch_all(queue: Queue, count: int, limit: int = 100) -> list[Message]:
    """Exactly so many messages, in whatever batches they come."""
    found: list[Message] = []
    with anyio.fail_after(LONGEST):
        while len(found) < count:
            found += await queue.fetch(limit, 0.2)
    assert len(found) == count
    return found


def bodies(count: int, first: int = 0) -> list[bytes]:
    """So many different ones."""
    return [f"message {first + number:06}".encode() for number in range(count)]


@asynccontextmanager
async def _embedded(folder: Path) -> AsyncIterator[Rig]:
    async with SqliteLedger.open(folder / "ledger.db", create=True) as ledger:
        store = ledger.messages
        yield Rig(f"queue:sessions?visibility={VISIBILITY}s", lambda: store.dead("sessions", 1_000), store)


# Every implementation of the protocol, by name: the contract is tested against each.
IMPLEMENTATIONS: dict[str, Callable[[Path], AbstractAsyncContextManager[Rig]]] = {"embedded": _embedded}
