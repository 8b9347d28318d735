"""``python -m benchmarks``: every benchmark, one table. Figures are printed; nothing is asserted."""

import argparse
import json
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks import admission, closing, fleet, queue, reports, resume, settling, startup, sweep
from benchmarks.figures import Figure, table
from benchmarks.machine import Noise, describe_machine

BENCHMARKS = {
    "startup": startup.measure,
    "closing": closing.measure,
    "admission": admission.measure,
    "resume": resume.measure,
    "queue": queue.measure,
    "fleet": fleet.measure,
    "reports": reports.measure,
    "settling": settling.measure,
    "sweep": sweep.measure,
}


def main() -> None:
    """Run what was asked for, and print it."""
    arguments = _arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # as an exception, which ends the children
    noise = Noise()
    figures = _measure(arguments.only or list(BENCHMARKS))
    if arguments.json:
        found = [figure.as_json() for figure in figures]
        print(json.dumps({"machine": describe_machine(), "noise": noise.describe(), "figures": found}))
    else:
        print(f"{describe_machine()}\n{noise.describe()}\n\n{table(figures)}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--only", action="append", choices=BENCHMARKS, help="this one alone; repeatable")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    return parser.parse_args()


def _measure(names: Sequence[str]) -> list[Figure]:
    figures: list[Figure] = []
    for name in names:
        print(f"benchmarks: {name} ...", file=sys.stderr, flush=True)
        with tempfile.TemporaryDirectory(prefix="closeout-benchmark-") as folder:
            figures += BENCHMARKS[name](Path(folder))
    return figures


if __name__ == "__main__":
    main()
