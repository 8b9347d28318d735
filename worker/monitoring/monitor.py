"""What is told about: a run, or whatever else goes on for long, while it goes."""

import asyncio
import platform
import socket
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from importlib.metadata import version

import anyio

from closeout.worker.monitoring.cached_check import Asked
from closeout.worker.monitoring.readiness import Check, Readiness
from closeout.worker.monitoring.samples import RunSampler, Sample, build_sample, queue_samples
from closeout.worker.monitoring.server import Watched, serve_operations
from closeout.worker.queues.protocol import Depth, Queue
from closeout.worker.runtime.context import Context
from closeout.worker.runtime.stop import Stop
from closeout.worker.support.errors import HaltError
from closeout.worker.support.log import get_logger


class Monitor:
    """Answers for as long as a command lives: of what it watches, and else that there is nothing, ``between``."""

    def __init__(self) -> None:
        self.between = "nothing is worked on now"
        self._watched: Watched | None = None

    async def reasons(self) -> Mapping[str, str]:
        return {"run": self.between} if self._watched is None else await self._watched.reasons()

    async def samples(self) -> Sequence[Sample]:
        told = [] if self._watched is None else await self._watched.samples()
        return [*told, build_sample(version("closeout"), platform.python_version())]

    async def watch(
        self,
        checks: Mapping[str, Check],
        take: Callable[[], Iterable[Sample]],
        stop: Stop | None = None,
        queue: Queue | None = None,
    ) -> None:
        """Tell of this until cancelled: the checks say what is ready, ``take`` gives the metrics of now."""
        async with anyio.create_task_group() as tasks:
            depth = None
            if queue is not None:
                depth = Asked[Depth | None](queue.depth, lambda _: None, tasks)
                checks = {**checks, "queue": _reached(queue)}
            self._watched = _Watched(Readiness(checks, tasks, stop), take, depth)
            try:
                await anyio.sleep_forever()
            finally:
                self._watched = None

    async def watch_run(self, context: Context, queue: Queue | None = None) -> None:
        """The same of a run, and the queue that feeds it."""

        async def closing_goes_on() -> None:
            if context.hold.why is not None:
                raise HaltError(f"closing is paused: {context.hold.why}")

        async def lease_is_held() -> None:
            if not context.crew.may_send():
                raise HaltError(
                    "the ledger received no heartbeat of this process in time: nothing is closed until it does"
                )

        checks = {
            "ledger": context.ledger.expect_writable,
            "lease": lease_is_held,
            "brake": closing_goes_on,
        }
        await self.watch(checks, RunSampler(context).take, context.stop, queue)


@asynccontextmanager
async def telling(listener: socket.socket) -> AsyncIterator[Monitor]:
    """Answer on a socket that listens.

    The server is a task of its own and none of a group: what goes wrong in the work must come out of here as it is.
    """
    told = Monitor()
    serving = asyncio.get_running_loop().create_task(serve_operations(listener, told))
    try:
        yield told
    finally:
        serving.cancel()
        with anyio.CancelScope(shield=True):
            await asyncio.wait({serving})
        failure = None if serving.cancelled() else serving.exception()
        if failure is not None:
            get_logger().warning("--listen broke off", error=type(failure).__name__)


def _reached(queue: Queue) -> Check:
    async def check() -> None:
        await queue.depth()

    return check


class _Watched:
    def __init__(
        self, readiness: Readiness, take: Callable[[], Iterable[Sample]], depth: Asked[Depth | None] | None
    ) -> None:
        self._readiness = readiness
        self._take = take
        self._depth = depth

    async def reasons(self) -> Mapping[str, str]:
        return await self._readiness.reasons()

    async def samples(self) -> Sequence[Sample]:
        depth = await self._depth.now() if self._depth is not None else None
        return [*self._take(), *queue_samples(depth)]
