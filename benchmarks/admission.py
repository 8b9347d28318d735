"""Admission: rows a second and peak memory, through the front door. The rate is so low that hardly anything is sent."""

import time
from dataclasses import dataclass
from pathlib import Path

import apsw

from benchmarks.figures import Figure, Peer, Target
from benchmarks.processes import CLOSEOUT, Child, Usage, running
from benchmarks.server import running_server
from benchmarks.sources import write_ids
from closeout.worker.domain.run import Run
from closeout.worker.ledger.sqlite.file import connect
from closeout.worker.ledger.sqlite.store import SqliteStore

FEW = 100_000
MANY = 1_000_000
_POLL = 0.05


@dataclass(frozen=True, slots=True)
class Admitted:
    """Rows a second from the first batch to the last; peak memory when all rows were read; usage to the end."""

    rate: float
    peak: float
    usage: Usage


def measure(folder: Path) -> list[Figure]:
    """Admit a few and many rows; memory must not grow with them."""
    with running_server(folder) as server:
        few = _admit(folder, server.url, FEW)
        many = _admit(folder, server.url, MANY)
    name, small = f"admission of {MANY:,} rows", f"{FEW:,} rows"
    target = Target("at most", 150)
    return [
        Figure(f"{name}, peak memory", "MiB", [many.peak], target, Peer(small, few.peak)),
        Figure(f"{name}, peak to the exit", "MiB", [many.usage.peak], target, Peer(small, few.usage.peak)),
        Figure(name, "rows/s", [many.rate], None, Peer(small, few.rate)),
        Figure(f"{name}, CPU", "us/row", [many.usage.cpu / MANY * 1e6]),
    ]


def _admit(folder: Path, url: str, rows: int) -> Admitted:
    """Start a run, wait until it has read all rows, stop it."""
    work = folder / f"admission-{rows}"
    work.mkdir()
    source = write_ids(work / "sessions.csv", rows)
    command = [*CLOSEOUT, "close", str(source), "--base-url", url, "--no-settle", "--rate", "1/s", "--json"]
    with running(command, work) as child:
        rate = _watch(child, work / "closeout.db")
        peak = child.peak()
        child.interrupt()
        usage = child.finish()
    if usage.code != 130:
        raise RuntimeError(f"closeout close ended with code {usage.code}")
    return Admitted(rate, peak, usage)


def _watch(child: Child, ledger: Path) -> float:
    """Wait until all rows are read; rows a second."""
    first = _wait_for_rows(child, ledger)
    began = time.monotonic()
    store = SqliteStore(connect(ledger, create=False))
    try:
        while not (run := store.runs()[0]).source_done:
            child.poll()
            time.sleep(_POLL)
    finally:
        store.close()
    return (run.rows_read - first.rows_read) / (time.monotonic() - began)


def _wait_for_rows(child: Child, ledger: Path) -> Run:
    """The run as soon as it has rows. The ledger may be in the making until then."""
    while True:
        child.poll()
        time.sleep(_POLL)
        try:
            runs = _runs(ledger)
        except apsw.Error:
            continue
        if runs and runs[0].rows_read:
            return runs[0]


def _runs(ledger: Path) -> list[Run]:
    if not ledger.exists() or not ledger.stat().st_size:
        return []
    store = SqliteStore(connect(ledger, create=False))
    try:
        return store.runs()
    finally:
        store.close()
