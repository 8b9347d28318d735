"""The fence itself: a worker stands still between its permit and its request, and finds its lease over."""

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from closeout import close_sessions
from closeout.worker.ledger.lease import Terms
from closeout.worker.pace.budget import Lane
from closeout.worker.runtime.gate import Gate
from tests.fleet.support import LEASE, RATE, TIMEOUT, Fleet, fleet
from tests.front_door.support import KEY, quick
from tests.postgres.databases import done_with, url_of
from tests.postgres.proxy import Proxy, proxied

_SLACK = Terms(LEASE, TIMEOUT, 0).slack


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    """An empty ledger on the shared server."""
    yield url_of(tmp_path)
    done_with(tmp_path)


class Freeze:
    """Has the whole process stand still right after a permit: there it cannot be seen that time has passed.

    The database is out of reach from then on, so that nothing but the lease as it is known here can tell; it is back
    once the lease is over on the server, too. ``unsent``: what was claimed then and had not been sent.
    """

    def __init__(self, work: Fleet, proxy: Proxy, at: int) -> None:
        self.unsent: set[str] = set()
        self.before = self.after = 0  # requests by then
        self._work, self._proxy, self._left = work, proxy, at
        self._enter = Gate.enter
        self.healing: asyncio.Task[None] | None = None

    async def enter(self, gate: Gate, lane: Lane) -> None:
        """What ``Gate.enter`` does, and at the permit that was meant much later."""
        await self._enter(gate, lane)
        self._left -= lane == "close"
        if self._left == 0 and self.healing is None:
            self._proxy.hold()
            time.sleep(_SLACK)  # noqa: ASYNC251  # the process stands still, and with it the loop
            posts, claimed = self._work.witness.posts(), "SELECT session_id FROM results WHERE outcome = 'in_doubt'"
            self.unsent = {row["session_id"] for row in self._work.asked(claimed)} - set(posts)
            self.before = len(self._work.witness.log)
            self.healing = asyncio.create_task(self._heal())

    async def _heal(self) -> None:
        await asyncio.sleep(LEASE)
        self.after = len(self._work.witness.log)
        self._proxy.heal()


def test_what_has_its_permit_is_not_sent_when_the_lease_might_end_before_its_answer(
    tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a word from the database, and although the API is there; it is looked up first later on."""
    with fleet(tmp_path, url, quick(latency=0.02)) as work, proxied(url) as proxy:
        work.ids = work.sandbox.add_sessions(120)
        freeze = Freeze(work, proxy, at=60)

        async def enter(gate: Gate, lane: Lane = "close") -> None:
            await freeze.enter(gate, lane)

        monkeypatch.setattr(Gate, "enter", enter)
        result = asyncio.run(
            close_sessions(
                work.ids,
                api_key=KEY,
                base_url=work.desk.url or "",
                ledger=proxy.url(url),
                rate=f"{RATE}/s",
                timeout=TIMEOUT,
                lease=LEASE,
                first_look="300ms",
                none_grace="500ms",
            )
        )
        assert result.exit_code == 0
        assert freeze.unsent, "nothing was claimed: nothing was tested"
        log = work.witness.log
        assert log[freeze.before : freeze.after] == [], "it sends what its lease does not cover"
        later = log[freeze.after :]
        first = {session: kind for kind, session in reversed(later) if session in freeze.unsent}
        assert set(first.values()) == {"read"}, "what others may have looked after is sent without a look"
        work.expect_truth()
