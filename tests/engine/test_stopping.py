"""Ending a run early."""

import signal
from collections.abc import Callable

import anyio
import pytest

from closeout.worker.runtime.stop import Stop, watch_signals

pytestmark = pytest.mark.anyio


def test_the_first_request_counts() -> None:
    """What comes later changes neither state, reason nor exit code."""
    stop = Stop()
    assert (stop.requested, stop.state, stop.exit_code) == (False, None, 0)
    stop.halt("the key was revoked")
    stop.request("interrupted", "interrupted by Ctrl-C", 130)
    assert (stop.requested, stop.state, stop.why, stop.exit_code) == (True, "halted", "the key was revoked", 3)


async def test_a_stop_ends_what_waits_interruptibly() -> None:
    """All such waits, also nested ones; what follows the block still runs."""
    stop, after = Stop(), list[int]()

    async def wait(number: int) -> None:
        with stop.interruptible():
            with stop.interruptible():
                await anyio.sleep_forever()
            await anyio.sleep_forever()
        after.append(number)

    with anyio.fail_after(60):
        async with anyio.create_task_group() as tasks:
            for number in range(3):
                tasks.start_soon(wait, number)
            await anyio.wait_all_tasks_blocked()
            assert not after
            stop.halt("enough")
    assert sorted(after) == [0, 1, 2]


async def test_a_stop_leaves_alone_what_is_not_interruptible() -> None:
    """What is in flight comes back."""
    stop, answered = Stop(), anyio.Event()
    with anyio.fail_after(60):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(answered.wait)
            await anyio.wait_all_tasks_blocked()
            stop.halt("enough")
            await anyio.wait_all_tasks_blocked()
            answered.set()
    assert not tasks.cancel_scope.cancel_called


async def test_entering_after_the_stop_is_cancelled_at_once() -> None:
    """Nothing leaves once the run is to end."""
    stop, sent = Stop(), False
    stop.halt("enough")
    with anyio.fail_after(60), stop.interruptible():
        await anyio.lowlevel.checkpoint()
        sent = True
    assert not sent


async def test_a_block_that_was_left_is_forgotten() -> None:
    """A later stop does not reach what has moved on."""
    stop = Stop()
    with stop.interruptible():
        pass
    stop.halt("enough")
    await anyio.lowlevel.checkpoint()


async def _until(condition: Callable[[], bool]) -> None:
    while not condition():
        await anyio.lowlevel.checkpoint()


@pytest.mark.parametrize(("number", "exit_code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
async def test_the_first_signal_drains_and_the_second_gives_up(number: signal.Signals, exit_code: int) -> None:
    """The first stops the run; the second ends the waiting for what is in flight."""
    stop, give_up = Stop(), anyio.CancelScope()
    with anyio.fail_after(60):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(watch_signals, stop, give_up)
            await anyio.wait_all_tasks_blocked()
            signal.raise_signal(number)
            await _until(lambda: stop.requested)
            assert (stop.state, stop.exit_code, give_up.cancel_called) == ("interrupted", exit_code, False)
            signal.raise_signal(number)
            await _until(lambda: give_up.cancel_called)


async def test_a_signal_to_a_halted_run_counts_as_the_first() -> None:
    """A run that drains after a halt is interrupted by the first signal, not yet given up."""
    stop, give_up = Stop(), anyio.CancelScope()
    stop.halt("the key was revoked")
    with anyio.fail_after(60):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(watch_signals, stop, give_up)
            await anyio.wait_all_tasks_blocked()
            signal.raise_signal(signal.SIGINT)
            await _until(lambda: stop.state == "interrupted")
            assert not give_up.cancel_called
            tasks.cancel_scope.cancel()
