"""A run within a program ends when its caller is cancelled, as a command does when it is interrupted."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

import anyio

from closeout.worker.runtime.stop import Stop

_T = TypeVar("_T")
INTERRUPTED = 130


class Caller:
    """Who waits for a run, and may no longer want to."""

    def __init__(self) -> None:
        self.left = anyio.Event()
        self.insists = anyio.Event()

    async def interrupts(self, stop: Stop, give_up: anyio.CancelScope) -> None:
        """As ``watch_signals``: the first cancellation stops the run, the second gives up on what is in flight."""
        await self.left.wait()
        stop.request("interrupted", "cancelled by its caller", INTERRUPTED)
        await self.insists.wait()
        give_up.cancel()


async def draining(work: Callable[[Caller], Awaitable[_T]]) -> _T:
    """Do the work in a task of its own, which a cancellation does not reach: it is told, and waited for.

    The cancellation goes on its way once the work has ended. Errors come as they were raised, in no group.
    """
    caller, ended = Caller(), anyio.Event()
    results: list[_T] = []
    errors: list[Exception] = []

    async def shielded() -> None:
        with anyio.CancelScope(shield=True):
            try:
                results.append(await work(caller))
            except Exception as error:  # raised again below, outside the group
                errors.append(error)
            finally:
                ended.set()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(shielded)
        await _told(caller, ended)
    if errors:
        raise errors[0]
    return results[0]


async def _told(caller: Caller, ended: anyio.Event) -> None:
    """Wait for the end, and tell of each cancellation meanwhile."""
    try:
        await ended.wait()
    except anyio.get_cancelled_exc_class():
        caller.left.set()
        with anyio.CancelScope(shield=True):
            try:
                await ended.wait()
            except anyio.get_cancelled_exc_class():  # only a native one comes through a shield
                caller.insists.set()
                await ended.wait()
        raise
