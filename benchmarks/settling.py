"""Settling: how many requests it takes until every verdict is final, against the sandbox."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import apsw

from benchmarks.figures import Figure, Peer
from benchmarks.processes import CLOSEOUT, first_line, run, running

SESSIONS = 10_000


def measure(folder: Path) -> list[Figure]:
    """With all sessions of the account in the run, and with every second one."""
    return [
        _settle(folder, "all of the account's sessions", 1),
        _settle(folder, "half of them", 2),
    ]


def _settle(folder: Path, what: str, every: int) -> Figure:
    """Look-ups for each session; the peer is a client that sends one request for each look at each session."""
    work = folder / f"settling-{every}"
    work.mkdir()
    with _sandbox(work, SESSIONS * every) as url:
        source = _every(work / "all.csv", every)
        command = [*CLOSEOUT, "close", str(source), "--base-url", url, "--rate", "100000/s", "--json", "--no-progress"]
        _, output = run(command, work)
    summary = json.loads(output)
    requests = summary["requests"]
    if summary["unsettled"]:
        raise RuntimeError(f"not all were settled: {output}")
    singly = Peer("one look at a time", _looks(work / "closeout.db") / SESSIONS)
    return Figure(
        f"settling, {what}", "look-ups/session", [(requests["list"] + requests["read"]) / SESSIONS], None, singly
    )


@contextmanager
def _sandbox(work: Path, sessions: int) -> Iterator[str]:
    command = [*CLOSEOUT, "sandbox", "--port", "0", "--sessions", str(sessions), "--csv", "../all.csv"]
    with running(command, work / "sandbox") as child:
        yield first_line(child).split()[1]


def _every(path: Path, step: int) -> Path:
    """A file with every so manieth of the ids."""
    header, *ids = path.read_text(encoding="utf-8").splitlines()
    chosen = path.with_name("chosen.csv")
    chosen.write_text("\n".join([header, *ids[::step]]) + "\n", encoding="utf-8")
    return chosen


def _looks(ledger: Path) -> int:
    """How often any session was looked at after its close."""
    connection = apsw.Connection(str(ledger), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        return int(
            connection.execute(
                "SELECT (SELECT count(*) FROM sightings) + (SELECT count(*) FROM attempts WHERE kind = 'read')"
            ).get
        )
    finally:
        connection.close()
