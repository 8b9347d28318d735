"""Telling people of troubles that work without an end bears: a line in the log, and a call to a webhook."""

from types import TracebackType
from typing import Self

import anyio
from pydantic import SecretStr

from closeout.jobs.runner.notify import call
from closeout.worker.config.network import Network
from closeout.worker.runtime.stop import Alarm
from closeout.worker.support.log import get_logger

_BACKLOG = 100


class Alerting:
    """Open as a context; ``url`` may be None. What cannot be told stops nothing."""

    def __init__(self, url: SecretStr | None, network: Network) -> None:
        self._url = url
        self._network = network
        self._send, self._receive = anyio.create_memory_object_stream[Alarm](_BACKLOG)
        self._tasks = anyio.create_task_group()

    async def __aenter__(self) -> Self:
        await self._tasks.__aenter__()
        self._tasks.start_soon(self._post)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """What is still to be told is told, as each call is bounded in time."""
        self._send.close()
        await self._tasks.__aexit__(kind, error, trace)

    def tell(self, alarm: Alarm) -> None:
        get_logger().warning("over" if alarm.over else "trouble", about=alarm.about, what=alarm.text)
        if self._url is not None:
            try:
                self._send.send_nowait(alarm)
            except anyio.WouldBlock:
                get_logger().warning("too many alerts wait to be sent: this one is left out", about=alarm.about)

    async def _post(self) -> None:
        with self._receive:
            async for alarm in self._receive:
                text = f"closeout work: {alarm.about}: {alarm.text}"
                content = {"text": text, "about": alarm.about, "over": alarm.over}
                await call("an alert", self._url, self._network, content)
