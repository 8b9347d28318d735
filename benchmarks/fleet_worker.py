"""One worker of a fleet on a PostgreSQL ledger, without HTTP: it claims and records until nothing is left.

``python -m benchmarks.fleet_worker ADDRESS RUN`` says that it is ready, begins once ``go`` is in its folder, and
prints how many sessions it did and from when until when.
"""

import json
import sys
import time
from pathlib import Path

import anyio

from closeout.worker.domain.exchange import Exchange
from closeout.worker.domain.item import Change, Claim, Outcome, Record
from closeout.worker.domain.session import EvalSummary, SessionState
from closeout.worker.ledger.lease import terms_of
from closeout.worker.ledger.open import open_ledger
from closeout.worker.support.clock import Millis, now_ms

_BATCH = 256
_EVALS = EvalSummary("success", 9, 8, 1, 0, 4, 3, 1, 0)


def _closed(claim: Claim, now: Millis) -> Record:
    session = SessionState(claim.session_id, "closed", _EVALS, started_at=now - 60_000, closed_at=now)
    change = Change(claim.seq, Outcome.CLOSED, http_status=200, attempts=1, session=session, settled=True)
    return Record(Exchange(now, "close", 200, None, 12), (change,))


async def _work(address: str, name: str) -> None:
    async with open_ledger(address) as ledger:
        run = await ledger.find_run(name)
        async with ledger.joined(run, terms_of(None, 30, 60)) as crew:
            if crew.leading:
                await ledger.start_run(run, run.options)
                await crew.begin()
            await crew.ready()
            print("ready", flush=True)
            while not Path("go").exists():  # noqa: ASYNC110, ASYNC240  # as others do, and nothing else runs here
                await anyio.sleep(0.01)
            sessions, began = 0, time.monotonic()
            while claims := await ledger.claim(run, _BATCH, now_ms()):
                now = now_ms()
                await ledger.record(run, [_closed(claim, now) for claim in claims], now)
                sessions += len(claims)
            print(json.dumps({"sessions": sessions, "began": began, "ended": time.monotonic()}), flush=True)


if __name__ == "__main__":
    anyio.run(_work, sys.argv[1], sys.argv[2])
