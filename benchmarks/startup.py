"""``closeout --help``: how long a person waits for it."""

import sys
from pathlib import Path
from statistics import median

from benchmarks.figures import Figure, Peer, Target
from benchmarks.processes import CLOSEOUT, run

RUNS = 20


def measure(folder: Path) -> list[Figure]:
    """Beside an interpreter that does nothing, in turns."""
    work = folder / "startup"
    work.mkdir()
    run([*CLOSEOUT, "--help"], work)  # leaves the files and the byte code in the caches
    ours, bare = [], []
    for _ in range(RUNS):
        ours.append(run([*CLOSEOUT, "--help"], work)[0].seconds * 1000)
        bare.append(run([sys.executable, "-c", "pass"], work)[0].seconds * 1000)
    return [Figure("closeout --help", "ms", ours, Target("at most", 300), Peer("python -c pass", median(bare)))]
