"""Round after round, each from a seed of its own that is printed, until the time is over or one of them fails."""

import argparse
import itertools
import shutil
import sys
import tempfile
import time
import traceback
from collections import Counter
from pathlib import Path

import pytest

from tests.torture import inputs, machine, rounds

ROUNDS: dict[str, rounds.Round] = {
    each.__name__: each
    for each in (
        rounds.killed_run, rounds.capped_run, rounds.drained_queue, rounds.killed_fleet, machine.full_disk,
        machine.failing_fsync, machine.swapped_ledger, inputs.fuzzed_source,
    )
}  # fmt: skip


def main() -> int:
    """Returns the exit code: 1 where a round has failed, whose folder stays."""
    parser = argparse.ArgumentParser(prog="python -m tests.torture", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument(
        "--seed", type=int, default=int(time.time()), help="of the first round; each next one is one up"
    )
    parser.add_argument("--only", choices=sorted(ROUNDS), action="append", help="these rounds alone")
    chosen = parser.parse_args()
    ends, done, killed = time.monotonic() + 60 * chosen.minutes, Counter[str](), 0
    names = itertools.cycle(chosen.only or sorted(ROUNDS))
    for seed, name in zip(itertools.count(chosen.seed), names, strict=False):
        if time.monotonic() >= ends:
            break
        home = Path(tempfile.mkdtemp(prefix="closeout-torture-"))
        try:
            killed += ROUNDS[name](home / "desk", seed)
        except pytest.skip.Exception as skipped:
            print(f"{name}: {skipped}", flush=True)
            continue
        except BaseException:
            traceback.print_exc()
            print(f"FAILED: python -m tests.torture --only {name} --seed {seed}; its files are in {home}")
            return 1
        shutil.rmtree(home)
        done[name] += 1
        print(f"{name} with seed {seed}: well; {done.total()} rounds, {killed} processes killed or stopped", flush=True)
    print(", ".join(f"{name} {count}" for name, count in sorted(done.items())), f"; {killed} killed or stopped")
    return 0


if __name__ == "__main__":
    sys.exit(main())
