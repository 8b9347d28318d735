"""A run and its states. Values only."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from closeout.worker.support.clock import Millis

RunState = Literal["running", "finished", "halted", "interrupted", "planned"]

LOCATIONS_APART = "\x1f"  # stands between the paths of several files
_MOST_SHOWN = 3


def location_words(location: str) -> str:
    """Where a source is, for a person: of many files the first ones."""
    paths = location.split(LOCATIONS_APART)
    more = f" and {len(paths) - _MOST_SHOWN:,} more" if len(paths) > _MOST_SHOWN else ""
    return ", ".join(paths[:_MOST_SHOWN]) + more


@dataclass(frozen=True, slots=True)
class Tally:
    """What a sweep counted before it closed anything: how many sessions its rule chooses, and the ``others`` by reason.

    Where it is not ``whole``, counting ended early: there are more.
    """

    chosen: int
    others: Mapping[str, int] = field(default_factory=dict)
    whole: bool = True

    @property
    def listed(self) -> int:
        return self.chosen + sum(self.others.values())


@dataclass(frozen=True, slots=True)
class Run:
    """One run as the ledger holds it. ``options`` are its settings as JSON, without any secret.

    ``seconds`` is the time spent working, over all processes that have ended, and ``waited`` what of it was spent
    waiting, by cause. ``begun_at`` is when the process that works on it now began. ``made_by`` is who made it, and
    where; ``source_sha256`` that of the source's bytes, once it was read to its end; ``reading`` says how its ids were
    found. ``was`` is how it had ended before a process took it up once more, by the names of its columns; None once
    something has come of that. ``host`` is the API's, written in one way; None for a run of an older version that was
    not begun again. ``canary_passed``: the rest may follow the canary.
    """

    id: int
    name: str
    job: str
    source: str
    location: str | None
    options: str
    state: RunState
    why: str | None
    rows_read: int
    duplicates: int
    source_done: bool
    source_stat: str | None
    digest: str | None
    created_at: Millis
    ended_at: Millis | None
    seconds: float
    waited: Mapping[str, float] = field(default_factory=dict)
    begun_at: Millis | None = None
    tally: Tally | None = None
    made_by: str | None = None
    source_sha256: str | None = None
    reading: str | None = None
    was: Mapping[str, Any] | None = None  # what its columns hold is stated by the schema
    host: str | None = None
    canary_passed: bool = False


def with_elapsed(run: Run, then: Millis | None) -> Run:
    """A run whose process has not ended it, with the time that it was at it until then."""
    if run.begun_at is None or then is None:
        return run
    return replace(run, seconds=run.seconds + max(0, then - run.begun_at) / 1000)


def with_actual_state(run: Run) -> Run:
    """A run that says it is at work, and that nobody holds, was left by a process that died.

    Where nothing has come of that process, the run is as it was before.
    """
    if run.state != "running":
        return run
    if run.was is not None:
        was = {**run.was, "waited": json.loads(run.was["waited"])}
        return replace(run, **was, begun_at=None, was=None)
    return replace(run, state="interrupted", why="its process died")
