"""Admitting rows that come when they come, from a program that gives them one after another."""

from collections.abc import AsyncIterator

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

from closeout.worker.domain.item import SourceRow
from closeout.worker.feeds.source import RowDigest, admit_rows, end_of_source
from closeout.worker.runtime.context import Context

_BATCH = 2_000
_LINGER = 0.02  # seconds for which a batch waits to grow: a commit costs as much as dozens of rows


class Streaming:
    """Admits until the rows end or the run stops; what has come is admitted without waiting for more.

    Where the rows break off, the run halts in good order, and ``error`` is what they raised.
    """

    def __init__(self, rows: AsyncIterator[SourceRow]) -> None:
        self._rows = rows
        self._whole = False
        self.error: Exception | None = None

    async def run(self, context: Context) -> None:
        send, receive = anyio.create_memory_object_stream[SourceRow](_BATCH)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._admit, context, receive)
            with send:
                await self._read(context, send)

    async def _read(self, context: Context, send: MemoryObjectSendStream[SourceRow]) -> None:
        try:
            with context.stop.interruptible(), context.last_call.interruptible():
                async for row in self._rows:
                    try:
                        send.send_nowait(row)
                    except anyio.WouldBlock:
                        await send.send(row)
                self._whole = True
        except Exception as error:  # of the program that gives the rows; it is told of it when the run has ended
            self.error = error
            context.stop.halt(f"the session ids broke off with {type(error).__name__}")

    async def _admit(self, context: Context, receive: MemoryObjectReceiveStream[SourceRow]) -> None:
        digest = RowDigest()
        with receive:
            async for row in receive:
                rows = [row]
                await anyio.sleep(_LINGER)
                while len(rows) < _BATCH and receive.statistics().current_buffer_used:
                    rows.append(receive.receive_nowait())
                digest.add(rows)
                await admit_rows(context, rows, digest)
        if self._whole:
            await end_of_source(context)
