"""Asking something that may be slow, such as a ledger under load, for the sake of somebody who will not wait long."""

import time
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

import anyio
from anyio.abc import TaskGroup

_T = TypeVar("_T")
PATIENCE = 2.0  # seconds; those who ask (a kubelet, a scraper) give up after a few
KEPT = 1.0  # seconds for which an answer is good enough: many who ask must not be a burden


class Asked(Generic[_T]):
    """One question, asked once at a time, whoever wants to know.

    A call that does not answer is neither repeated nor cancelled (the ledger's cannot be): the next who wants to know
    waits for it again. ``failed`` says what it means that the call raised this, or that it did not answer (None).
    """

    def __init__(
        self,
        ask: Callable[[], Awaitable[_T]],
        failed: Callable[[Exception | None], _T],
        tasks: TaskGroup,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ask = ask
        self._failed = failed
        self._tasks = tasks
        self._clock = clock
        self._answered: anyio.Event | None = None
        self._answer: tuple[float, _T] | None = None

    async def now(self) -> _T:
        """The answer, a moment old at most. Raises nothing."""
        if self._answered is None:
            if self._answer is not None and self._clock() - self._answer[0] < KEPT:
                return self._answer[1]
            self._answered = anyio.Event()
            self._tasks.start_soon(self._work, self._answered)
        answered = self._answered
        with anyio.move_on_after(PATIENCE):
            await answered.wait()
        if answered.is_set() and self._answer is not None:
            return self._answer[1]
        return self._failed(None)

    async def _work(self, answered: anyio.Event) -> None:
        try:
            value = await self._ask()
        except Exception as error:  # an unexpected one must not end the run that is asked about
            value = self._failed(error)
        self._answer = self._clock(), value
        self._answered = None
        answered.set()
