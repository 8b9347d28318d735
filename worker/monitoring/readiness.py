"""Whether a process is ready, and if not why: its run goes on, and all that it needs can be reached."""

from collections.abc import Awaitable, Callable, Mapping

import anyio
from anyio.abc import TaskGroup

from closeout.worker.monitoring.cached_check import PATIENCE, Asked
from closeout.worker.runtime.stop import Stop
from closeout.worker.support.errors import CloseoutError

Check = Callable[[], Awaitable[None]]  # raises CloseoutError where what it is about is not as it should be


class Readiness:
    """Asks all checks at once. ``stop`` is the run's, which is not ready once it ends."""

    def __init__(self, checks: Mapping[str, Check], tasks: TaskGroup, stop: Stop | None = None) -> None:
        self._stop = stop
        self._asked = {name: Asked(_reason_of(check), _failure, tasks) for name, check in checks.items()}

    async def reasons(self) -> dict[str, str]:
        """Why it is not ready, by what is to blame; empty when it is."""
        found: dict[str, str] = {}

        async def ask(name: str, asked: Asked[str | None]) -> None:
            reason = await asked.now()
            if reason is not None:
                found[name] = reason

        async with anyio.create_task_group() as tasks:
            for name, asked in self._asked.items():
                tasks.start_soon(ask, name, asked)
        stop = self._stop
        if stop is not None and stop.requested:
            found["run"] = f"halted: {stop.why}" if stop.state == "halted" else f"draining: {stop.why}"
        return dict(sorted(found.items()))


def _reason_of(check: Check) -> Callable[[], Awaitable[str | None]]:
    async def ask() -> str | None:
        await check()
        return None

    return ask


def _failure(error: Exception | None) -> str | None:
    if error is None:
        return f"no answer within {PATIENCE:.0f} s"
    return str(error) if isinstance(error, CloseoutError) else f"unexpected {type(error).__name__}"
