"""What a ledger offers as a queue: messages of named queues, held for a while by whoever fetched them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from closeout.worker.models import Millis


@dataclass(frozen=True, slots=True)
class Delivery:
    """One message as it was given out for the so-and-so-many-th time (from 1)."""

    seq: int
    number: int
    body: bytes


@dataclass(frozen=True, slots=True)
class MessageCounts:
    """How many messages of a queue wait (delayed ones included), are held by somebody, and are dead."""

    waiting: int
    in_flight: int
    dead: int


class MessageStore(Protocol):
    """The messages in a ledger. All methods raise LedgerError; what one wrote is durable when it returns.

    A number is never given to a second message, also once the first is gone.
    """

    async def push(self, queue: str, bodies: Sequence[bytes], now: Millis) -> None: ...
    async def any_due(self, queue: str, now: Millis) -> bool:
        """Whether anything could be fetched now. Cheap: it is asked many times a second."""
        ...

    async def fetch(self, queue: str, limit: int, now: Millis, until: Millis) -> list[Delivery]:
        """Hold up to so many due messages until then; nobody else gets them before. The longest due come first."""
        ...

    async def acknowledge(self, deliveries: Sequence[Delivery]) -> None:
        """Delete them, whoever holds them now; what is gone or dead is passed over."""
        ...

    async def put_back(self, deliveries: Sequence[Delivery], due: Millis) -> None:
        """They are due then, except those that have been given out again since."""
        ...

    async def bury(self, deliveries: Sequence[Delivery], why: str, now: Millis) -> None:
        """They stay, and are never due again; what is gone is passed over."""
        ...

    async def counts(self, queue: str, now: Millis) -> MessageCounts: ...
    async def dead(self, queue: str, limit: int) -> list[tuple[bytes, str]]:
        """The newest dead messages, each with the reason."""
        ...
