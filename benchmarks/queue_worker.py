"""One of several workers on a queue in a ledger, without HTTP: ``python -m benchmarks.queue_worker LEDGER``.

Begins when there is a file ``go`` in its folder. Prints what it did, and when, as JSON.
"""

import json
import sys
import time
from pathlib import Path

import anyio

from closeout.worker.domain.exchange import Exchange
from closeout.worker.domain.item import Change, Claim, Outcome, Record
from closeout.worker.domain.run import Run
from closeout.worker.domain.session import EvalSummary, SessionState
from closeout.worker.ledger.protocol import Ledger
from closeout.worker.ledger.records import NewRun
from closeout.worker.ledger.sqlite.ledger import SqliteLedger
from closeout.worker.queues.messages import read_message
from closeout.worker.queues.open import open_queue
from closeout.worker.queues.protocol import Queue
from closeout.worker.support.clock import now_ms

QUEUE = "queue:benchmark"
_BATCH = 256
_DAY = 86_400_000


async def work(path: str) -> dict[str, float]:
    """Fetch, admit, acknowledge, claim and record until the queue is empty."""
    async with SqliteLedger.open(Path(path)) as ledger, open_queue(QUEUE, ledger.messages) as queue:
        run = await ledger.create_run(NewRun(QUEUE, "{}", location=queue.name), now_ms())
        print("ready", flush=True)
        while not Path("go").exists():  # noqa: ASYNC110, ASYNC240  # another process says so
            await anyio.sleep(0.01)
        began, count = time.time(), 0
        while done := await _round(ledger, queue, run):
            count += done
        return {"began": began, "ended": time.time(), "sessions": count}


async def _round(ledger: Ledger, queue: Queue, run: Run) -> int:
    messages = await queue.fetch(_BATCH, 0)
    now = now_ms()
    if messages:
        await ledger.intake.take_in(run, [read_message(message.body) for message in messages], now - _DAY, now)
        await queue.acknowledge(messages)
    claims = await ledger.claim(run, _BATCH, now)
    await ledger.record(run, [_closed(claim, now) for claim in claims], now)
    return len(claims)


def _closed(claim: Claim, now: int) -> Record:
    session = SessionState(claim.session_id, "closed", EvalSummary("pending", 4, 0, 0, 4), now - _DAY, now)
    change = Change(
        claim.seq, Outcome.CLOSED, http_status=200, attempts=1, session=session, settle_at=now, looked_at=now
    )
    return Record(Exchange(now, "close", 200, None, 20), (change,))


if __name__ == "__main__":
    print(json.dumps(anyio.run(work, sys.argv[1])))
