"""Taking in from a queue: no more than is soon closed, acknowledged only once the ledger has it, and never given up."""

import signal
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, cast

import anyio
import anyio.lowlevel
import pytest

from closeout.worker.config.settings import Settings
from closeout.worker.domain.item import Outcome, QueuedRow
from closeout.worker.domain.run import Run
from closeout.worker.feeds.queue import Intake
from closeout.worker.ledger.stores import TakenIn
from closeout.worker.queues.protocol import Depth, Message
from closeout.worker.runtime.context import Context
from closeout.worker.runtime.stop import Alarm, Alarms
from closeout.worker.support.clock import Millis
from closeout.worker.support.errors import LedgerError, QueueError, QueueUnreachableError
from tests.engine.virtual_time import run_virtually
from tests.ledger.support import session_id
from tests.report.support import Standing


class FakeQueue:
    """Gives what it holds; ``troubles`` come first, ``elsewhere`` are depths to tell before the true one."""

    name = "queue:fake"

    def __init__(self, bodies: Sequence[bytes] = ()) -> None:
        self.waiting = [Message(number, body) for number, body in enumerate(bodies)]
        self.troubles: list[QueueError] = []
        self.elsewhere: list[Depth] = []
        self.log: list[tuple[str, int]] = []

    async def fetch(self, limit: int, wait: float) -> list[Message]:
        await anyio.lowlevel.checkpoint()
        if self.troubles:
            raise self.troubles.pop(0)
        found, self.waiting = self.waiting[:limit], self.waiting[limit:]
        if not found:
            await anyio.sleep(wait)
        self.log.append(("fetch", len(found)))
        return found

    async def acknowledge(self, messages: Sequence[Message]) -> None:
        self.log.append(("acknowledge", len(messages)))

    async def put_back(self, messages: Sequence[Message], delay: float) -> None:
        assert delay == 0
        self.log.append(("put back", len(messages)))

    async def bury(self, messages: Sequence[Message], why: str) -> None:
        assert why
        self.log.append(("bury", len(messages)))

    async def depth(self) -> Depth:
        return self.elsewhere.pop(0) if self.elsewhere else Depth(len(self.waiting), 0, 0)

    async def push(self, bodies: Sequence[bytes]) -> None:
        raise NotImplementedError


class FakeLedger:
    """Takes all in; ``open`` is how many are still to be closed."""

    def __init__(self, log: list[tuple[str, int]]) -> None:
        self.log = log
        self.open = 0
        self.fails = False
        self.done = False
        self.intake = SimpleNamespace(take_in=self._take_in, forget_keys=self._forget_keys)

    async def _take_in(self, _: Run, rows: Sequence[QueuedRow], since: Millis, now: Millis, *, parked: bool) -> TakenIn:
        assert since < now
        assert not parked
        if self.fails:
            raise LedgerError("disk full")
        self.log.append(("take in", len(rows)))
        self.open += len(rows)
        return TakenIn()

    async def _forget_keys(self, _before: Millis, _limit: int) -> int:
        return 0

    async def backlog(self, _: Run, limit: int, by: Millis) -> int:
        assert by > 0
        return min(self.open, limit)

    async def source_done(self, *_: object) -> None:
        self.done = True


class World:
    """A run that is fed from a queue."""

    def __init__(self, count: int = 0, *, lasting: bool = False, **settings: Any) -> None:
        self.queue = FakeQueue([session_id(number).encode() for number in range(count)])
        self.ledger = FakeLedger(self.queue.log)
        self.told: list[Alarm] = []
        self.context: Context = Standing(Settings(from_queue=True, **settings)).context
        self.context.ledger = cast("Any", self.ledger)
        self.context.alarms = Alarms(self.told.append) if lasting else None

    def run(self, seconds: float = 3_600, *, drain: bool = True) -> list[tuple[str, int]]:
        """Take in for so long at most, in virtual time; what was done, in order."""

        async def take() -> None:
            self.context.now = lambda: round(anyio.current_time() * 1000)
            with anyio.move_on_after(seconds):
                await Intake(self.context, self.queue, drain=drain).run()

        run_virtually(take)
        return self.queue.log


def test_the_ledger_comes_first() -> None:
    """Then the malformed are buried and the others acknowledged."""
    world = World(3)
    world.queue.waiting.insert(1, Message("bad", b"typo"))
    assert world.run()[:4] == [("fetch", 4), ("take in", 4), ("bury", 1), ("acknowledge", 3)]
    assert world.ledger.done
    assert world.context.progress.rows_read == 4


def test_no_more_is_fetched_than_is_soon_closed() -> None:
    """Two minutes' worth, a second's worth at a time; the rest stays in the queue."""
    world = World(10_000, rate=10)
    world.context.progress.outcomes[Outcome.CLOSED] = 1
    world.run(600)
    assert world.ledger.open == 1_200
    assert len(world.queue.waiting) == 8_800
    assert max(count for _, count in world.queue.log) == 10


def test_until_one_has_ended_well_few_are_taken() -> None:
    """Another host, or a key that is refused, must not swallow a queue; what ended badly proves nothing."""
    world = World(100, rate=10)
    world.context.progress.outcomes.update({Outcome.NOT_FOUND: 50, Outcome.INVALID: 5})
    world.run(600)
    assert world.ledger.open == 10


def test_while_closing_is_held_one_is_there_to_try_it_with() -> None:
    """And no other."""
    world = World(10, lasting=True)
    world.context.hold.engage("too many")
    world.run(60, drain=False)
    assert world.ledger.open == 1


def test_a_cap_takes_no_more_than_it_closes() -> None:
    """What lies beyond it stays in the queue."""
    world = World(10)
    world.context.quota.left = 4
    world.run(60)
    assert world.ledger.open == 4
    assert not world.ledger.done
    world.context.quota.left = 0
    world.run(60)
    assert world.ledger.done


def test_a_drain_waits_for_what_others_hold() -> None:
    """It may come back."""
    world = World()
    world.queue.elsewhere = [Depth(0, 2, 0), Depth(1, 0, 0), Depth(None, None, None)]
    world.run()
    assert world.queue.log == [("fetch", 0)] * 3
    assert world.ledger.done


def test_a_stop_puts_back_what_was_just_fetched() -> None:
    """Others have it at once."""
    world = World(5)
    fetch = world.queue.fetch

    async def interrupted(limit: int, wait: float) -> list[Message]:
        found = await fetch(limit, wait)
        world.context.stop.interrupt(signal.SIGTERM)
        return found

    world.queue.fetch = interrupted  # type: ignore[method-assign]
    assert world.run() == [("fetch", 5), ("put back", 5)]
    assert not world.ledger.done


def test_a_ledger_that_fails_loses_no_message() -> None:
    """They are put back, and the error ends the work."""
    world = World(5)
    world.ledger.fails = True
    with pytest.raises(LedgerError):
        world.run()
    assert world.queue.log == [("fetch", 5), ("put back", 5)]


def test_work_without_an_end_waits_for_its_queue_and_says_so_once() -> None:
    """Whatever is the matter; it goes on when the queue answers again."""
    world = World(2, lasting=True)
    world.queue.troubles = [QueueUnreachableError("away")] * 30 + [QueueError("refused")] * 5
    world.run(24 * 3_600, drain=False)
    assert [(alarm.text, alarm.over) for alarm in world.told] == [("away", False), ("queue:fake answers again", True)]
    assert world.ledger.open == 2
    assert world.context.stop.state is None


@pytest.mark.parametrize("error", [QueueError("refused"), QueueUnreachableError("away")])
def test_a_drain_gives_up_a_queue_that_is_of_no_use(error: QueueError) -> None:
    """At once where trying again makes no sense, else after --give-up-after; what was taken is resumable."""
    world = World(2, give_up_after=60)
    world.queue.troubles = [error] * 1_000
    world.run(7_200)
    assert (world.context.stop.state, world.context.stop.why) == ("halted", str(error))
    assert len(world.queue.troubles) == 999 if type(error) is QueueError else len(world.queue.troubles) < 995
    assert not world.ledger.done


def test_a_queue_that_is_away_for_a_moment_does_not_end_a_drain() -> None:
    """It is tried again."""
    world = World(2, give_up_after=60)
    world.queue.troubles = [QueueUnreachableError("away")] * 3
    world.run()
    assert (world.ledger.open, world.ledger.done, world.context.stop.state) == (2, True, None)
