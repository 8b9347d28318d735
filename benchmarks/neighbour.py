"""The pace beside production over real sockets: ``python -m benchmarks.neighbour``, a minute and a half for each run.

A sandbox whose limit of 100 per sliding second is shared with Poisson arrivals, 60, 85, then 30 a second; and
``closeout close`` at 90% of it, or as told. Prints what production lost by it, and how much of the safe room was used.
"""

import argparse
import math
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from closeout.worker.sandbox import Production, parse_production
from tests.front_door.support import FAST, desk_of, quick

_WORDS = (*(word for word in FAST if word not in ("--rate", "600/s")), "--no-settle", "--protect", "none")


@dataclass(frozen=True)
class Found:
    """``added`` in points, ``used`` a share of the safe room (None: there is none), ``rate`` in requests/s."""

    added: float
    used: float | None
    rate: float


def measure(production: str, rate: float, told: bool, seed: int, *more: str) -> Found:  # a world
    """One run, for as long as production lasts."""
    stretches = parse_production(production)
    seconds = int(stretches[-1].end)
    config = quick(
        seed=seed, rate_limit=100, rate_period=1.0, latency=0.04, latency_jitter=0.02, production=stretches,
        retry_after="seconds" if told else "none",
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as home, desk_of(Path(home), config) as (desk, sandbox):
        ids = sandbox.add_sessions(int(rate * seconds) + 500)
        desk.write_ids(ids)
        words = ("--rate", f"{rate:g}/s", "--deadline", f"{seconds}s", *more)
        desk.run("close", "sessions.csv", *_WORDS, *words)
        sandbox.stats()  # which lets production go on until now
        own, first = cast("Production", sandbox.production), sandbox.counts.arrivals[0]
        closes = sum(session.closes_effective for session in sandbox.store.by_id.values())
        arrivals = [at - first for at in sandbox.counts.arrivals]
    accepted = closes / max(1, len(arrivals))
    room = [
        max(0.0, min(rate, 100 - each.rate - 2 * math.sqrt(each.rate)))
        for each in stretches for _ in range(int(each.begin), int(each.end))
    ]  # fmt: skip
    used = sum(1 for at in arrivals if int(at) < seconds and room[int(at)]) * accepted
    added = 100 * (own.refused - own.refused_alone) / max(1, own.sent)
    return Found(added, used / sum(room) if sum(room) else None, closes / seconds)


def main() -> None:
    """Print a line for each run."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.neighbour", description=__doc__)
    parser.add_argument("--production", default="0-25:60,25-50:85,50-80:30")
    parser.add_argument("--rate", type=float, default=90, help="requests/s")
    parser.add_argument("--untold", action="store_true", help="429s tell no wait")
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("more", nargs="*", help="flags of `closeout close`, after --")
    asked = parser.parse_args()
    for seed in range(1, asked.runs + 1):
        found = measure(asked.production, asked.rate, not asked.untold, seed, *asked.more)
        used = "" if found.used is None else f", {100 * found.used:.0f}% of the safe room"
        print(f"seed {seed}: {found.added:.2f} points{used}, {found.rate:.1f}/s", flush=True)


if __name__ == "__main__":
    main()
