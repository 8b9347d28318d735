"""An export that is written while the run goes on: each row as soon as it is final.

It stands beside the file that was asked for, with ``.part`` at its name. The file itself is written from the ledger
when the run has ended, in the order of the source and each row once; so nothing that happens to the part can spoil it.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import TextIO

import anyio
import anyio.to_thread

from closeout.worker.domain.item import Change, Outcome, Record
from closeout.worker.export.formats import format_of
from closeout.worker.export.parts import new_part, part_of
from closeout.worker.export.text import Textual
from closeout.worker.ledger.protocol import Ledger
from closeout.worker.ledger.records import COLUMNS, RowFilter
from closeout.worker.runtime.context import Context
from closeout.worker.support.errors import CloseoutError

_EVERY = 1.0  # seconds
_AT_ONCE = 1_000
_OPEN = frozenset({Outcome.PENDING, Outcome.IN_DOUBT})
_CLOSED = frozenset({Outcome.CLOSED, Outcome.ALREADY_CLOSED})
_OUTCOME, _SETTLED = COLUMNS.index("outcome"), COLUMNS.index("eval_settled")


class Following:
    """Writes the part of an export. ``opened`` opens the ledger anew, as a long read must not age the run's own."""

    def __init__(self, output: str, opened: Callable[[], AbstractAsyncContextManager[Ledger]]) -> None:
        self._output = output
        self._opened = opened
        self._final: set[int] = set()

    async def run(self, context: Context) -> None:
        """Write until cancelled. Where it cannot be written, that is said, and the run goes on without it."""
        context.recorder.listeners.append(self._recorded)
        path = part_of(self._output)
        try:
            with await anyio.to_thread.run_sync(new_part, self._output, context.run) as out:
                async with self._opened() as ledger:
                    await self._write(context, ledger, out)
        except (OSError, CloseoutError) as error:
            context.recorder.listeners.remove(self._recorded)
            why = getattr(error, "strerror", None) or str(error)
            context.log.warning("cannot write rows during the run", file=str(path), why=why)

    async def _write(self, context: Context, ledger: Ledger, out: TextIO) -> None:
        lines = Textual(out, format_of(self._output, None))
        lines.finish()  # whoever looks sees the header at once
        if context.run.rows_read:
            async for rows in _final_before(context, ledger):
                await anyio.to_thread.run_sync(_add, lines, rows)
        while True:
            seqs, self._final = sorted(self._final), set()
            for at in range(0, len(seqs), _AT_ONCE):
                rows = await ledger.results_of(seqs[at : at + _AT_ONCE])
                await anyio.to_thread.run_sync(_add, lines, rows)
            await anyio.sleep(_EVERY)

    def _recorded(self, records: Sequence[Record]) -> None:
        self._final.update(change.seq for record in records for change in record.changes if is_final(change))


def is_final(change: Change) -> bool:
    """Whether nothing more is to come: the item has its outcome, and its verdict is final or not waited for."""
    return change.outcome not in _OPEN and change.settle_at is None


async def _final_before(context: Context, ledger: Ledger) -> AsyncIterator[list[tuple[object, ...]]]:
    """What earlier processes have finished of a run that is gone on with."""
    chosen = RowFilter(outcomes=frozenset(Outcome) - _OPEN)
    async for batch in ledger.results(context.run, chosen):
        yield [row for row in batch if row[_OUTCOME] not in _CLOSED or row[_SETTLED] or not context.settings.settle]


def _add(lines: Textual, rows: Sequence[Sequence[object]]) -> None:
    lines.write(rows)
    lines.finish()
