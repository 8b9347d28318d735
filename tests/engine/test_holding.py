"""Where work has no end the brake pauses closing: one session is tried now and then, until one goes well."""

import anyio
import pytest

from closeout.worker.config.settings import Settings
from closeout.worker.domain.item import Change, Outcome
from closeout.worker.policy.circuit_breaker import CircuitBreaker
from closeout.worker.runtime.stop import Alarm, Alarms
from closeout.worker.stages.breaker_probe import BreakerProbe
from closeout.worker.support.clock import NEVER
from tests.engine.virtual_time import run_virtually
from tests.report.support import Standing


class Held:
    """Work without an end whose first session failed, at a time that passes by itself; ``sent`` are seconds."""

    def __init__(self) -> None:
        self.told: list[Alarm] = []
        self.context = Standing(Settings(max_failures="0", probe_every=10)).context
        self.context.alarms = Alarms(self.told.append)
        self.sent: list[float] = []

    async def close(self, *outcomes: Outcome) -> None:
        """Send as soon as that may be, and end so; the brake has the first one before it begins."""
        began = anyio.current_time()
        self.context.ended([Change(1, Outcome.NOT_FOUND, http_status=404)])
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(BreakerProbe(self.context).run)
            for seq, outcome in enumerate(outcomes, 2):
                if self.context.hold.closed:
                    await self.context.hold.passage()
                self.context.hold.sent(seq)
                self.sent.append(anyio.current_time() - began)
                self.context.ended([Change(99, Outcome.CLOSED), Change(seq, outcome)])
            self.context.closing_done.set()


def test_one_session_is_tried_ever_more_rarely() -> None:
    """What others end with, which were sent before, says nothing. Doubt is no answer."""
    held = Held()
    ends = [Outcome.NOT_FOUND, Outcome.PENDING, Outcome.FAILED, Outcome.CLOSED, Outcome.CLOSED, Outcome.ALREADY_CLOSED]
    run_virtually(lambda: held.close(*ends))
    assert held.sent == pytest.approx([10, 30, 70, 150, 150, 150])
    assert [alarm.over for alarm in held.told] == [False, True]
    assert "1 of 1 session failed" in held.told[0].text
    assert held.context.brake.total == 4  # it counts anew
    assert held.context.stop.state is None


def test_a_brake_that_acts_again_is_told_again() -> None:
    """Each time once."""
    held = Held()
    run_virtually(lambda: held.close(Outcome.CLOSED, Outcome.REJECTED, Outcome.ALREADY_CLOSED, Outcome.CLOSED))
    assert held.sent == pytest.approx([10, 10, 20, 20])
    assert [alarm.over for alarm in held.told] == [False, True, False, True]


def test_pauses_do_not_grow_for_ever() -> None:
    """Twenty times the first one is the longest."""
    held = Held()
    run_virtually(lambda: held.close(*[Outcome.FAILED] * 8, Outcome.CLOSED))
    pauses = [after - before for before, after in zip(held.sent, held.sent[1:], strict=False)]
    assert pauses == pytest.approx([20, 40, 80, 160, 200, 200, 200, 200])


def test_without_alarms_the_brake_ends_the_run() -> None:
    """As ever."""
    context = Standing(Settings(max_failures="0")).context
    context.ended([Change(1, Outcome.NOT_FOUND, http_status=404)])
    assert context.stop.state == "halted"
    assert context.hold.why is None


def test_a_probe_in_doubt_is_waited_for() -> None:
    """It will be read, and that tells."""
    hold = CircuitBreaker()
    hold.engage("too many")
    assert hold.closed
    hold.allow_probe()
    assert not hold.closed
    hold.sent(7)
    assert hold.closed
    hold.ended(Change(7, Outcome.IN_DOUBT))
    hold.ended(Change(7))
    hold.ended(Change(8, Outcome.CLOSED))
    assert not hold.concluded.is_set()
    hold.ended(Change(7, Outcome.ALREADY_CLOSED))
    assert hold.concluded.is_set()
    assert hold.went_well
    hold.release()
    assert not hold.closed
    hold.sent(9)
    assert not hold.closed


def test_a_probe_that_stays_in_doubt_for_ever_is_waited_for_no_longer() -> None:
    """It cannot be read, so it tells nothing: another one is tried, where closing would be paused for good."""
    hold = CircuitBreaker()
    hold.engage("too many")
    hold.allow_probe()
    hold.sent(7)
    hold.ended(Change(7, Outcome.IN_DOUBT, due_at=NEVER - 1))
    assert not hold.concluded.is_set()
    hold.ended(Change(7, Outcome.IN_DOUBT, due_at=NEVER))
    assert hold.concluded.is_set()
    assert not hold.went_well


def test_a_trouble_is_told_once() -> None:
    """And its end, if it was told."""
    told: list[Alarm] = []
    alarms = Alarms(told.append)
    alarms.end("API", "all is well")
    for _ in range(3):
        alarms.begin("API", "no answer")
    alarms.begin("queue", "no answer")
    alarms.end("API", "it answers again")
    alarms.begin("API", "no answer")
    assert [(alarm.about, alarm.over) for alarm in told] == [
        ("API", False),
        ("queue", False),
        ("API", True),
        ("API", False),
    ]
