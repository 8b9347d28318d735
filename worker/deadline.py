"""A deadline: when closing has to end, so that what was closed can be settled in time. No I/O."""

import math

from closeout.worker.forecast import lookups_for

_MARGIN = 10.0  # seconds: the answers in flight, and a last look that comes late


def closing_ends(
    deadline: float,
    *,
    settle: bool,
    settle_for: float,
    first_look: float,
    none_grace: float,
    unsettled: int,
    rate: float,
) -> float:
    """Seconds after the start at which closing has to end; times in seconds, ``rate`` in requests per second.

    What the settling needs is kept free before the deadline: the wait until the last close may be looked at and
    believed, and the looks at the ``unsettled`` sessions. It is never more than ``settle_for``, as settling takes no
    longer, nor than half of the deadline, as closing is what the run is for.
    """
    if not settle:
        return deadline
    lookups = lookups_for(unsettled)
    looking = lookups / rate if rate > 0 else math.inf
    needed = first_look + none_grace + (looking if lookups else 0.0) + _MARGIN
    return deadline - min(needed, settle_for, deadline / 2)
