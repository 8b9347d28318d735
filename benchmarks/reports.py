"""Reports: a page about a run of a million sessions, made from its ledger: how long it takes, and how much memory."""

from contextlib import closing
from pathlib import Path

from benchmarks.figures import Figure, Target
from benchmarks.processes import CLOSEOUT, run, run_module
from benchmarks.resume import ITEMS, build_ledger
from closeout.worker.ledger.sqlite.file import connect

_REPORTS = 3
# Five and a half hours of work at 50/s, with every latency up to 200 ms and some failures of a few kinds.
_SPREAD = """
UPDATE attempts SET at = at + seq * 20, ms = 15 + (seq * 7919) % 185,
    http_status = CASE WHEN seq % 500 = 0 THEN 429 WHEN seq % 100 = 1 THEN 404 WHEN seq % 100 = 2 THEN NULL ELSE 200
    END;
UPDATE items SET outcome = 'not_found', http_status = 404, error = 'not_found' WHERE seq % 100 = 1;
UPDATE runs SET ended_at = created_at + 20000000, seconds = 20000;
"""


def measure(folder: Path) -> list[Figure]:
    """As HTML, and as markdown, which has no rows."""
    work = folder / "reports"
    work.mkdir()
    run_module("reports", work)  # a child's peak memory begins with that of the process that starts it
    pages = [run([*CLOSEOUT, "report", "last", "-o", "report.html"], work)[0] for _ in range(_REPORTS)]
    texts = [run([*CLOSEOUT, "report", "last", "-o", "report.md"], work)[0] for _ in range(_REPORTS)]
    return [
        Figure(f"report of {ITEMS:,}", "s", [usage.seconds for usage in pages], Target("at most", 15)),
        Figure(f"report of {ITEMS:,}, memory", "MiB", [usage.peak for usage in pages], Target("at most", 200)),
        Figure(f"report of {ITEMS:,}, page", "MiB", [(work / "report.html").stat().st_size / 2**20]),
        Figure(f"report of {ITEMS:,}, markdown", "s", [usage.seconds for usage in texts]),
    ]


def build(ledger: Path) -> None:
    """The ledger of a long night."""
    build_ledger(ledger, "http://127.0.0.1:1")
    with closing(connect(ledger)) as connection:
        connection.execute(_SPREAD)


if __name__ == "__main__":
    build(Path("closeout.db"))
    print("{}")
