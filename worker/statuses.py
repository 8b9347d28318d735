"""Reading a list of statuses as people type it."""

import difflib

from closeout.worker.models import LIVE_STATUSES


def unlisted(api: str) -> frozenset[str]:
    """Statuses that this dialect of the API does not know, and refuses to list."""
    return frozenset({"pending_dispatch"}) if api == "1.21" else frozenset()


def parse_statuses(text: str) -> tuple[str, ...]:
    """Live statuses, separated by commas; ``none`` is none. Raises ValueError for any other word."""
    names = [name.strip().lower() for name in text.split(",") if name.strip()]
    if names == ["none"]:
        return ()
    if not names:
        raise ValueError("it names no status: write none for none")
    for name in names:
        if name not in LIVE_STATUSES:
            near = difflib.get_close_matches(name, sorted(LIVE_STATUSES), n=1)
            meant = f": did you mean {near[0]}?" if near else f"; there are {', '.join(sorted(LIVE_STATUSES))}"
            raise ValueError(f"{name!r} is no status that a live session can have{meant}")
    return tuple(sorted(set(names)))
