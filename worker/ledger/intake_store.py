"""What a ledger keeps of the messages that queues have given it, so that a repetition is known."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from closeout.worker.models import Millis, Outcome, QueuedRow, Run


@dataclass(frozen=True, slots=True)
class TakenIn:
    """What became of messages: how many were duplicates, and how many of the others were invalid.

    ``again`` are the outcomes of rows that are open again.
    """

    duplicates: int = 0
    invalid: int = 0
    again: Mapping[Outcome, int] = field(default_factory=dict)


class IntakeStore(Protocol):
    """All methods raise LedgerError; what one wrote is durable when it returns."""

    async def take_in(
        self, run: Run, rows: Sequence[QueuedRow], since: Millis, now: Millis, *, parked: bool = False
    ) -> TakenIn:
        """Add what messages of the run's queue ask for; parked, or due at their time.

        A key that this queue has given ``since`` then, to whatever run, is a duplicate and changes nothing. Where this
        run holds the session of another key, its row is in doubt, to be looked up, if the run was done with it, and the
        new one counts as a duplicate: rows read are duplicates and rows, always. What other runs have done with a
        session counts when it is claimed.
        """
        ...

    async def forget_keys(self, before: Millis, limit: int) -> int:
        """Forget some of the keys that messages bore before then; returns how many, 0 at the end."""
        ...
