"""Laws of the pace beside production, in virtual time: ``make pace-lab`` prints the table of docs/decisions/pace.md.

Each cell: what production loses by us, in points of its requests, and how much of the safe room is used; where there is
none, requests/s. Minutes of CPU with all seeds, a fraction with ``--seeds 2``.
"""

import argparse
import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial

from benchmarks.pace_laws import FirstVersion, KnowsProduction
from tests.pace.simulation import OURS, Decisions, Production
from tests.pace.worlds import Seen, bursts, see, slow_steps, steady, steps, wave


@dataclass(frozen=True)
class World:
    """One row of the table; ``ceiling`` in requests/s of the limit's 100, ``delay`` the seconds to an answer."""

    name: str
    production: Production
    seconds: int
    ceiling: float = 50
    kind: str = "second"
    told: bool = True
    delay: float = 0.05
    processes: int = 1
    alien: float = 0.0


WORLDS = [
    World("60, 85, 30/s; 90/s, told", steps, 80, 90),
    World("60, 85, 30/s; 90/s, untold", steps, 80, 90, told=False),
    World("60, 85, 30/s; 50/s, told", steps, 80),
    World("60, 85, 30/s; 50/s, untold", steps, 80, told=False),
    World("60, 85, 30/s; 90/s, answers in 300 ms", steps, 80, 90, delay=0.3),
    World("60, 85, 30/s; 90/s, three processes", steps, 80, 90, processes=3),
    World("60, 85, 30/s; bucket, 50/s", steps, 80, kind="bucket"),
    World("60, 85, 30/s; sliding minute, 50/s", slow_steps, 600, kind="sliding minute"),
    World("60, 85, 30/s; fixed minute, 50/s", slow_steps, 600, kind="minute"),
    World("60/s; fixed minute, 90/s", steady(60), 600, 90, "minute"),
    World("60/s; 50/s", steady(60), 120),
    World("60/s; uneven nodes, 50/s", steady(60), 120, kind="nodes"),
    World("75/s; 50/s", steady(75), 120),
    World("90/s; 50/s", steady(90), 120),
    World("98/s; 50/s, told", steady(98), 200),
    World("98/s; 50/s, untold", steady(98), 200, told=False),
    World("30/s, and 150/s for 5 s a minute; 50/s", bursts, 240),
    World("a day of 20 to 90/s in ten minutes; 50/s", wave, 600),
    World("nobody; 50/s", steady(0), 60),
    World("nobody, and 3% of 429s at any pace; told", steady(0), 240, alien=0.03),
    World("nobody, and 3% of 429s at any pace; untold", steady(0), 240, told=False, alien=0.03),
]
_LAWS = ("first version", "yield", "fair 5%", "knows production")


def _decisions(law: str, world: World) -> Callable[[], Decisions]:
    if law == "first version":
        return FirstVersion
    return partial(KnowsProduction, world.production) if law == "knows production" else lambda: OURS


def _cell(law: str, number: int, seeds: int) -> str:
    world = WORLDS[number]
    seen = see(
        world.production, world.ceiling, world.told, world.seconds, seeds, world.kind, world.delay, world.processes,
        world.alien, 0.05 if law == "fair 5%" else 0.0, _decisions(law, world),
    )  # fmt: skip
    return _shown(seen, alien=bool(world.alien))


def _shown(seen: Seen, *, alien: bool) -> str:
    if alien or not seen.used:
        return f"{seen.added:.2f}, {seen.rate:.2g}/s"
    return f"{seen.added:.2f} / {100 * seen.used:.0f}%"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.pace_lab", description=__doc__)
    parser.add_argument("--seeds", type=int, default=8, metavar="N", help="simulations of each world")
    seeds = parser.parse_args().seeds
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        rows = [[pool.submit(_cell, law, number, seeds) for law in _LAWS] for number in range(len(WORLDS))]
        print(f"| production; limiter; ceiling | {' | '.join(_LAWS)} |\n|---|{'---|' * len(_LAWS)}", flush=True)
        for world, cells in zip(WORLDS, rows, strict=True):
            print(f"| {world.name} | {' | '.join(cell.result() for cell in cells)} |", flush=True)


if __name__ == "__main__":
    main()
