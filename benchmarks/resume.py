"""Resume: from the start of the process to its first request, on a ledger where nearly all of a run is done."""

import os
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

from benchmarks.figures import Figure, Target
from benchmarks.processes import CLOSEOUT, Child, running
from benchmarks.server import Server, running_server
from closeout.worker.config.settings import Settings
from closeout.worker.domain.item import SourceRow
from closeout.worker.domain.run import Run
from closeout.worker.ledger.membership import RunEnd
from closeout.worker.ledger.records import NewRun
from closeout.worker.ledger.sqlite.file import connect
from closeout.worker.ledger.sqlite.store import SqliteStore
from closeout.worker.support.clock import now_ms

ITEMS = 1_000_000
LEFT = 1_000
RESUMES = 3
_BATCH = 2_000
_DONE = """
UPDATE items SET outcome = 'closed', due_at = NULL, http_status = 200, attempts = 1, first_attempt_at = :now,
    recorded_at = :now, started_at = :now, closed_at = :now, final_status = 'closed', eval_status = 'success',
    eval_settled = 1, settled_at = :now, eval_total = 3, eval_succeeded = 3, eval_failed = 0, eval_pending = 0
WHERE seq < (SELECT max(seq) FROM items) - :left + 1;
INSERT INTO attempts (run, item, at, kind, http_status, ms)
SELECT run, seq, :now, 'close', 200, 20 FROM items WHERE outcome = 'closed';
"""


def measure(folder: Path) -> list[Figure]:
    """Resume with the ledger's pages out of the page cache, so that the disk counts; and once more with them in it."""
    work = folder / "resume"
    work.mkdir()
    ledger = work / "closeout.db"
    with running_server(folder) as server:
        build_ledger(ledger, server.url)
        cold = [_resume(work, server, cold=True) for _ in range(RESUMES)]
        warm = [_resume(work, server, cold=False) for _ in range(RESUMES)]
    return [
        Figure(f"resume of {ITEMS:,}, first request, cold", "s", cold, Target("at most", 3)),
        Figure(f"resume of {ITEMS:,}, first request, warm", "s", warm, Target("at most", 3)),
        Figure(f"resume of {ITEMS:,}, ledger file", "MiB", [ledger.stat().st_size / 2**20]),
    ]


def build_ledger(path: Path, url: str) -> None:
    """A run whose process was stopped shortly before its end, with an exchange for every item that is done."""
    connection = connect(path, create=True)
    connection.pragma("synchronous", "off")  # only to be done sooner; the file is the same
    connection.pragma("cache_size", -(2**20))
    store = SqliteStore(connection)
    now = now_ms()
    run = store.create_run(NewRun(source="sessions.csv", options=Settings(base_url=url).model_dump_json()), now)
    for rows in _batches():
        store.admit(run, rows, "", now)
    store.source_done(run)
    with connection:
        connection.execute(_DONE, {"now": now, "left": LEFT})
    _stop(store, run)


def _stop(store: SqliteStore, run: Run) -> None:
    store.end_run(run, RunEnd("interrupted", "interrupted by Ctrl-C", 600.0), now_ms())
    store.close()


def _batches() -> Iterator[list[SourceRow]]:
    for first in range(0, ITEMS, _BATCH):
        yield [SourceRow(first + at + 2, str(uuid.uuid4())) for at in range(_BATCH)]


def _resume(work: Path, server: Server, *, cold: bool) -> float:
    """Seconds until the first request is at the server."""
    if cold:
        _forget_pages(work / "closeout.db")
    server.stats()
    with running([*CLOSEOUT, "resume", "last", "--rate", "5/s", "--no-settle", "--json"], work) as child:
        arrived = _first_arrival(server, child)
        seconds = arrived - child.began
        child.interrupt()
        child.finish()
    return seconds


def _first_arrival(server: Server, child: Child) -> float:
    """When the first request arrived. Only its arrival ends the wait: asking costs the server nothing before."""
    while True:
        child.poll()
        time.sleep(0.1)
        first_at = server.stats()["first_at"]
        if first_at is not None:
            return float(first_at)


def _forget_pages(path: Path) -> None:
    """Ask the kernel to drop its copy of a file."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
