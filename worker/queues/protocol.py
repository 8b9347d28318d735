"""What a queue of sessions offers to the pipeline."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Message:
    """One message as it was delivered; ``receipt`` is what its queue knows the delivery by."""

    receipt: Hashable
    body: bytes


@dataclass(frozen=True, slots=True)
class Depth:
    """How many messages wait (delayed ones included), are with a consumer, and are dead; None where that is unknown."""

    waiting: int | None
    in_flight: int | None
    dead: int | None


class Queue(Protocol):
    """An open queue: each message is delivered to one consumer, until that acknowledges it or is taken for dead.

    All methods raise QueueUnreachableError where the server does not answer now, QueueError where trying again makes no
    sense; each says in one line what is wrong, with which queue, and what to do. After an error the same queue
    may be used again: it connects anew by itself. A delivery may be repeated at any time, above all after an error.
    """

    @property
    def name(self) -> str:
        """The address as people may see it: without any password, and the same for all who use this queue."""
        ...

    async def fetch(self, limit: int, wait: float) -> list[Message]:
        """Take up to so many messages; waits up to ``wait`` seconds for the first, and for no other.

        Whoever is cancelled here has taken nothing, or what it took is delivered again later.
        """
        ...

    async def acknowledge(self, messages: Sequence[Message]) -> None:
        """They are done: never delivered again. One that is not held any more is passed over."""
        ...

    async def put_back(self, messages: Sequence[Message], delay: float) -> None:
        """They are to be delivered again, to anybody, in so many seconds; a long delay may be cut short."""
        ...

    async def bury(self, messages: Sequence[Message], why: str) -> None:
        """Move them to the queue's dead-letter place, where they stay with the reason until a person looks."""
        ...

    async def depth(self) -> Depth:
        """How many messages there are."""
        ...

    async def push(self, bodies: Sequence[bytes]) -> None:
        """Add messages, at the end; they are durable when this returns. After an error some may have been added."""
        ...
