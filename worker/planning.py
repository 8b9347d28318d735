"""The planning stage: in place of closing, it waits until every session of the source has been looked up."""

import anyio

from closeout.worker.context import Context
from closeout.worker.models import NEVER

_LOOK = 0.1


class Planning:
    """Runs until nothing is left to be looked up, or the run stops."""

    def __init__(self, context: Context) -> None:
        self._context = context

    async def run(self) -> None:
        """Nothing is closed: that this has ended lets the other stages end."""
        context = self._context
        try:
            with context.stop.interruptible(), context.last_call.interruptible():
                while not context.progress.source_done or await self._left():  # noqa: ASYNC110  # the ledger is asked
                    await anyio.sleep(_LOOK)
        finally:
            context.end_closing()

    async def _left(self) -> bool:
        await self._context.recorder.flush()
        return bool(await self._context.ledger.parked(self._context.run, 1, NEVER - 1))
