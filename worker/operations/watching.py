"""What is told about: a run, or whatever else goes on for long, while it goes."""

import platform
import socket
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib.metadata import version

import anyio

from worker.context import Context
from worker.operations.readiness import Check, Readiness
from worker.operations.sampling import RunSampler, Sample, build_sample
from worker.operations.server import serve_operations
from worker.stopping import Stop


class _Watched:
    def __init__(self, readiness: Readiness, take: Callable[[], Iterable[Sample]]) -> None:
        self._readiness = readiness
        self._take = take

    async def reasons(self) -> Mapping[str, str]:
        return await self._readiness.reasons()

    async def samples(self) -> Sequence[Sample]:
        return [*self._take(), build_sample(version("closeout"), platform.python_version())]


async def tell(
    listener: socket.socket,
    checks: Mapping[str, Check],
    take: Callable[[], Iterable[Sample]],
    stop: Stop | None = None,
) -> None:
    """Answer on the socket until cancelled: the checks say what is ready, ``take`` gives the metrics of now."""
    async with anyio.create_task_group() as tasks:
        await serve_operations(listener, _Watched(Readiness(checks, tasks, stop), take))


async def tell_of_run(context: Context, listener: socket.socket, checks: Mapping[str, Check]) -> None:
    """The same of a run; ``checks`` are of what it needs besides its ledger."""
    needed = {"ledger": context.ledger.expect_writable, **checks}
    await tell(listener, needed, RunSampler(context).take, context.stop)
