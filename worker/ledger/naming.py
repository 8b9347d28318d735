"""Which run a person means by a name: the same words for every kind of ledger."""

from collections.abc import Sequence

from closeout.worker.errors import RunNotFoundError
from closeout.worker.models import Run
from closeout.worker.near import did_you_mean


def the_run(name: str, found: Sequence[Run], others: Sequence[Run], ledger: str) -> Run:
    """The only one of those found by its name; ``others`` are runs of the ledger that may have been meant.

    Raises RunNotFoundError in one line.
    """
    if not found and not others:
        raise RunNotFoundError(f"no run {name!r} in {ledger}: it holds none yet")
    if not found:
        near = did_you_mean(name, [run.name for run in others])
        raise RunNotFoundError(f"no run {name!r} in {ledger}{near or ': `closeout runs` lists them'}")
    if len(found) > 1:
        names = ", ".join(run.name for run in found[:5])
        raise RunNotFoundError(f"{name!r} is the beginning of several runs ({names}): write more of it")
    return found[0]
