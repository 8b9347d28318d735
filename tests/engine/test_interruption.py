"""A run within a program: whoever is cancelled waits for it to end, and may insist."""

import asyncio

import anyio
import pytest

from closeout.worker.runtime.cancellation import INTERRUPTED, Caller, draining
from closeout.worker.runtime.stop import Stop

pytestmark = pytest.mark.anyio


class Work:
    """Ends when it was interrupted, and what it has in flight is back; or at once when its caller insists."""

    def __init__(self) -> None:
        self.stop, self.give_up = Stop(), anyio.CancelScope()
        self.back = anyio.Event()
        self.ended = False

    async def __call__(self, caller: Caller) -> str:
        async with anyio.create_task_group() as beside:
            beside.start_soon(caller.interrupts, self.stop, self.give_up)
            with self.give_up:
                await self.back.wait()
            beside.cancel_scope.cancel()
        self.ended = True
        return "done"


async def test_a_native_cancellation_waits_for_what_is_in_flight() -> None:
    """Then it goes on its way."""
    work = Work()
    task = asyncio.create_task(draining(work))
    await anyio.wait_all_tasks_blocked()
    task.cancel()
    await anyio.wait_all_tasks_blocked()
    assert (work.stop.state, work.stop.exit_code, task.done()) == ("interrupted", INTERRUPTED, False)
    work.back.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert work.ended


async def test_a_second_cancellation_gives_up_on_it() -> None:
    """As a second Ctrl-C does."""
    work = Work()
    task = asyncio.create_task(draining(work))
    for _ in range(2):
        await anyio.wait_all_tasks_blocked()
        task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert work.give_up.cancel_called
    assert work.ended


async def test_a_cancelled_scope_waits_as_well() -> None:
    """Of a program that is written with anyio."""
    work = Work()
    with anyio.fail_after(60):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(draining, work)
            await anyio.wait_all_tasks_blocked()
            tasks.cancel_scope.cancel()
            with anyio.CancelScope(shield=True):
                await anyio.wait_all_tasks_blocked()
                assert (work.stop.requested, work.ended) == (True, False)
                work.back.set()
    assert work.ended


async def test_what_it_returns_and_raises_comes_back_as_it_is() -> None:
    """In no group."""

    async def fail(_: Caller) -> None:
        raise LookupError("gone")

    work = Work()
    work.back.set()
    assert await draining(work) == "done"
    with pytest.raises(LookupError, match="gone"):
        await draining(fail)
