"""Reading closed sessions again and comparing them with the ledger: for ``closeout verify``. It changes neither."""

from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field

from closeout.worker.agreement import disagreement, gone
from closeout.worker.ledger.protocol import Ledger
from closeout.worker.lookup import Lookup, Sighting
from closeout.worker.models import ClosedItem, Run
from closeout.worker.stopping import Stop

_BATCH = 50_000


@dataclass
class Findings:
    """What came of it so far, in sessions: ``checked``, ``unread`` (nothing was told of them), ``wrong`` by kind."""

    checked: int = 0
    unread: int = 0
    wrong: Counter[str] = field(default_factory=Counter)


async def batches(ledger: Ledger, run: Run, sample: int | None) -> AsyncIterator[list[ClosedItem]]:
    """A random sample of a run's closed sessions; all of them, by their start, where ``sample`` is None."""
    if sample is not None:
        yield await ledger.closed_sample(run, sample)
        return
    last = None
    while batch := await ledger.closed_by_start(run, _BATCH, last):
        last = batch[-1].claim
        yield batch


class Verification:
    """Compares batch after batch. ``tell`` is called with a session id and what does not agree."""

    def __init__(self, lookup: Lookup, tell: Callable[[str, str], None], stop: Stop) -> None:
        self.findings = Findings()
        self._lookup = lookup
        self._stop = stop
        self._tell = tell
        self._items: dict[int, ClosedItem] = {}

    async def check(self, items: Sequence[ClosedItem]) -> None:
        """Look each of them up, once."""
        self._items = {item.claim.seq: item for item in items}
        await self._lookup.states([item.claim for item in items], self._compare)

    async def give_back(self) -> None:
        """Permits that were not used are free for others."""
        await self._lookup.gate.pace.give_back()

    async def _compare(self, sighting: Sighting) -> None:
        for claim, session in sighting.seen:
            self.findings.checked += 1
            self._found(claim.session_id, disagreement(self._items[claim.seq], session))
        if sighting.unseen is None:
            return
        status = sighting.answer.api_status
        if status == 404:
            self.findings.checked += 1
            self._found(sighting.unseen.session_id, gone(self._items[sighting.unseen.seq]))
            return
        self.findings.unread += 1
        if status in (401, 403):
            self._stop.halt(f"the API answered {status}: the key may not read sessions")

    def _found(self, session_id: str, wrong: str | None) -> None:
        if wrong is not None:
            self.findings.wrong[wrong.partition(":")[0]] += 1
            self._tell(session_id, wrong)
