"""A sandbox with sessions of ours among those of others: ``python -m benchmarks.world OURS OTHERS DAYS``.

Prints its base URL. The ids of ours are in ``ours.csv`` and those for a peer in ``peer.csv``, all of them live; they
started evenly over the last so many days, as did the others, which have ended. Evaluations end 5 to 20 s after a close.
"""

import sys
from datetime import UTC, datetime, timedelta

import anyio

from closeout.worker.sandbox import Sandbox, SandboxConfig, serve

PEERS = 1_000  # sessions for a peer whose requests per session do not depend on how many it has


def make_world(ours: int, others: int, days: float) -> Sandbox:
    """The sandbox, and the two files."""
    sandbox = Sandbox(SandboxConfig(eval_delay=(5.0, 20.0)))
    now = datetime.now(UTC)
    started = (now - timedelta(days=days), now - timedelta(hours=1))
    sandbox.write_csv("ours.csv", sandbox.add_sessions(ours, started=started))
    sandbox.write_csv("peer.csv", sandbox.add_sessions(min(PEERS, ours), started=started))
    sandbox.add_sessions(others, started=started, already_closed=True)
    return sandbox


if __name__ == "__main__":
    world = make_world(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]))
    anyio.run(serve, world, "127.0.0.1", 0, lambda url: print(url, flush=True))
