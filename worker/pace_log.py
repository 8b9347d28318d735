"""Keeps in the ledger which rate was allowed when: it changes by 429s, quiet hours and people's word."""

import anyio

from closeout.worker.context import Context
from closeout.worker.ledger.report_store import PaceSample

_LOOK = 2.0  # seconds: far more than a row costs, and soon enough for whoever watches


async def note_paces(context: Context) -> None:
    """Look every few seconds, until cancelled, and note what is not as it was."""
    noted: PaceSample | None = None
    while True:
        pace = context.gate.pace
        sample = PaceSample(context.now(), round(pace.rate, 1), pace.cause)
        if noted is None or (noted.allowed, noted.waiting) != (sample.allowed, sample.waiting):
            await context.ledger.reports.note_pace(context.run, sample)
            noted = sample
        await anyio.sleep(_LOOK)
