"""A fleet on PostgreSQL: how fast four workers go through its ledger, and how well three keep to one pace."""

import os
import secrets
import sys
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import anyio
import psycopg

from benchmarks.figures import Figure, Target
from benchmarks.processes import CLOSEOUT, KEY, running, sessions_a_second
from benchmarks.sources import write_ids
from closeout.worker.domain.item import SourceRow
from closeout.worker.ledger.open import open_ledger
from closeout.worker.ledger.records import NewRun
from closeout.worker.sandbox import Sandbox, SandboxConfig, running_sandbox
from closeout.worker.support.clock import now_ms

_SERVER = os.environ.get("CLOSEOUT_TEST_POSTGRES", "postgresql://root@127.0.0.1:5432/test")
_SESSIONS, _WORKERS = 100_000, 4
_RATE, _PACED, _MACHINES = 60, 1_800, 3
_ROUNDS = 3


def measure(folder: Path) -> list[Figure]:
    """Sessions through claim and record, then what a server sees of three processes that share one pace."""
    rates = [_throughput(folder / f"throughput-{number}") for number in range(_ROUNDS)]
    seconds, used = zip(*(_pace(folder / f"pace-{number}") for number in range(_ROUNDS)), strict=True)
    name = f"{_MACHINES} processes at {_RATE}/s"
    return [
        Figure(f"fleet on PostgreSQL, {_WORKERS} workers", "sessions/s", rates, Target("at least", 5_000)),
        Figure(f"{name}: most in any second", "requests", seconds, Target("at most", _RATE + 2)),
        Figure(f"{name}: used of the rate", "%", used, Target("at least", 97)),
    ]


@contextmanager
def _schema() -> Iterator[str]:
    """The address of a ledger that is gone afterwards."""
    name = f"closeout_benchmark_{secrets.token_hex(4)}"
    try:
        yield f"{_SERVER}{'&' if '?' in _SERVER else '?'}schema={name}"
    finally:
        with suppress(psycopg.Error), psycopg.connect(_SERVER, autocommit=True) as connection:
            connection.execute(f'DROP SCHEMA IF EXISTS "{name}" CASCADE'.encode())


def _throughput(work: Path) -> float:
    """By the time from the first worker's beginning to the last one's end."""
    work.mkdir()
    with _schema() as address:
        run = anyio.run(_filled, address)
        command = [sys.executable, "-m", "benchmarks.fleet_worker", address, run]
        return sessions_a_second(command, work, _WORKERS, _SESSIONS)


async def _filled(address: str) -> str:
    async with open_ledger(address, create=True) as ledger:
        run = await ledger.create_run(NewRun("benchmark", "{}"), now_ms())
        for _ in range(0, _SESSIONS, 10_000):
            rows = [SourceRow(number, str(uuid.uuid4())) for number in range(10_000)]
            await ledger.admit(run, rows, "", now_ms())
        await ledger.source_done(run)
        return run.name


def _pace(work: Path) -> tuple[float, float]:
    """The most requests that arrived in any second, and how much of the rate was used from the first to the last."""
    work.mkdir()
    sandbox = Sandbox(SandboxConfig())
    sandbox.add_key(KEY)
    source = write_ids(work / "sessions.csv", 0)
    sandbox.write_csv(source, sandbox.add_sessions(_PACED))
    with _schema() as address, running_sandbox(sandbox) as host, ExitStack() as stack:
        more = ["--ledger", address, "--rate", f"{_RATE}/s", "--no-settle", "--protect", "none", "--no-progress"]
        command = [*CLOSEOUT, "close", str(source), "--base-url", host, *more]
        folders = [work / f"machine-{number}" for number in range(_MACHINES)]
        for child in [stack.enter_context(running(command, folder)) for folder in folders]:
            child.finish()
    arrivals = sandbox.counts.arrivals
    if sandbox.counts.closes_effective != _PACED:
        raise RuntimeError(f"{sandbox.counts.closes_effective:,} of {_PACED:,} sessions were closed")
    return float(sandbox.busiest()), 100 * (len(arrivals) - 1) / (arrivals[-1] - arrivals[0]) / _RATE
