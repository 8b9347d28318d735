"""What other runs of a ledger have done with the same sessions on the same host: what it means for a claim. Pure."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from closeout.worker.support.clock import Millis

PUT_OFF_AT_ONCE = 2_000  # sessions in one transaction: others wait for it
_LOOK_LATER: Millis = (
    1_000  # a close that a dead process has sent may still be under way: reading at once would miss it
)
_ASK_AGAIN: Millis = 1_000  # what another run has claimed is soon recorded
CLOSED = "closed in another run of this ledger: looked up before anything is sent for it"
IN_DOUBT = "in doubt in another run of this ledger"


@dataclass(frozen=True, slots=True)
class Held:
    """An item whose session another ``run`` has claimed, has in doubt, or has seen closed.

    ``news``: since this item was last claimed or looked up for what is known elsewhere. ``started_at`` is when the
    session started, as far as that run knows.
    """

    seq: int
    run: int
    outcome: str
    news: bool
    started_at: Millis | None


@dataclass(frozen=True, slots=True)
class PutOff:
    """Why an item is not claimed: it ``waits`` until then, or its session is looked up first, from ``due_at`` on."""

    waits: bool
    due_at: Millis
    detail: str | None = None
    started_at: Millis | None = None


def put_off(found: Iterable[Held], at_work: Callable[[int], bool], now: Millis) -> dict[int, PutOff]:
    """What becomes of each item that another run holds, by its number. ``at_work`` tells whether a run is at work.

    What is claimed by a run at work may be sent at any moment, so it is waited for. What a dead run had claimed, or
    has in doubt, or what was closed, is looked up, once for each piece of news.
    """
    decided: dict[int, PutOff] = {}
    for held in found:
        before = decided.get(held.seq)
        if held.outcome == "claimed" and at_work(held.run):
            decided[held.seq] = PutOff(waits=True, due_at=now + _ASK_AGAIN)
        elif held.news and not (before is not None and (before.waits or before.due_at)):
            decided[held.seq] = _looked_up(held, now)
    return decided


def _looked_up(held: Held, now: Millis) -> PutOff:
    if held.outcome in ("claimed", "in_doubt"):
        return PutOff(waits=False, due_at=now + _LOOK_LATER, detail=IN_DOUBT, started_at=held.started_at)
    return PutOff(waits=False, due_at=0, detail=CLOSED, started_at=held.started_at)


def rows_to_look_up(decided: dict[int, PutOff]) -> list[tuple[int, Millis, str | None, Millis | None]]:
    """Number, due time, detail and start of those that are looked up first: the rows of ``look_first``."""
    return [(seq, one.due_at, one.detail, one.started_at) for seq, one in decided.items() if not one.waits]


def waiting(decided: dict[int, PutOff]) -> list[int]:
    """Those that wait."""
    return [seq for seq, one in decided.items() if one.waits]
