"""Settling: requests for each session until its verdict is final, the close included, in three worlds."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.figures import Figure, Peer, Target
from benchmarks.processes import CLOSEOUT, first_line, run, run_module, running


@dataclass(frozen=True, slots=True)
class World:
    """Sessions of ours among others that started in the same days; closed at ``rate`` a second."""

    name: str
    ours: int
    others: int
    days: float
    rate: int
    most: float


WORLDS = (
    World("10,000 sessions", 10_000, 0, 2, 400, 1.03),
    World("100,000 among 500,000 others", 100_000, 500_000, 7, 1_500, 1.06),
    World("500 scattered over two years, among 500,000", 500, 500_000, 730, 50, 2.1),
)


def measure(folder: Path) -> list[Figure]:
    """In each world, with two other ways to have the verdicts."""
    return [figure for at, world in enumerate(WORLDS) for figure in _settle(folder / f"settling-{at}", world)]


def _settle(work: Path, world: World) -> Iterator[Figure]:
    work.mkdir()
    with _serving(work, world) as url:
        singly = _other_way(work, "singly", url, "peer.csv", world)
        seconds, requests = _closeout(work, url, world)
    with _serving(work, world) as url:  # anew: what the list has to close must still be live
        listed = _other_way(work, "list", url, "ours.csv", world)
    name = f"verdicts, {world.name}"
    target = Target("at most", world.most)
    yield Figure(name, "requests/session", [requests], target, Peer("reading every 5 s", singly))
    yield Figure(name, "requests/session", [requests], target, Peer("listing everything", listed))
    yield Figure(f"{name}: from first to last", "s", [seconds])


@contextmanager
def _serving(work: Path, world: World) -> Iterator[str]:
    command = [sys.executable, "-m", "benchmarks.world", str(world.ours), str(world.others), str(world.days)]
    with running(command, work) as child:
        yield first_line(child)


def _other_way(work: Path, name: str, url: str, file: str, world: World) -> float:
    return float(run_module("naive", work / name, name, url, str(work / file), str(world.rate))["requests"])


def _closeout(work: Path, url: str, world: World) -> tuple[float, float]:
    (work / "closeout").mkdir()
    command = [*CLOSEOUT, "close", str(work / "ours.csv"), "--base-url", url, "--rate", f"{world.rate}/s"]
    _, output = run([*command, "--json", "--no-progress"], work / "closeout")
    summary = json.loads(output)
    if summary["unsettled"] or summary["outcomes"]["closed"] != world.ours:
        raise RuntimeError(f"not all were closed and settled: {output}")
    return summary["seconds"], summary["requests"]["total"] / world.ours
