"""Stops closing after too many failures, and tries one session now and then where work has no end."""

from collections import Counter, deque
from collections.abc import Mapping

import anyio

from closeout.worker.config.failure_limit import WINDOW, MaxFailures
from closeout.worker.domain.item import Change, Outcome
from closeout.worker.support.clock import NEVER
from closeout.worker.support.units import format_share

MINIMUM = 100  # sessions; of fewer, a share says little
_CAUSES_TOLD = 3
_GOOD = frozenset({Outcome.CLOSED, Outcome.ALREADY_CLOSED})
_FAILURES = frozenset({Outcome.FAILED, Outcome.REJECTED, Outcome.NOT_FOUND})


def failure_cause(outcome: Outcome, http_status: int | None, error: str | None) -> str | None:
    """What a failure is counted as, such as ``not_found (http_404)``; None for any other outcome."""
    if outcome not in _FAILURES:
        return None
    code = error or (f"http_{http_status}" if http_status is not None else None)
    return outcome.value if code is None else f"{outcome.value} ({code})"


def judge_canary(limit: MaxFailures, total: int, failures: Mapping[str, int]) -> str | None:
    """Why the run must not go on after its canary, or None.

    ``total`` counts the sessions that the canary closed, found closed or failed to close; ``failures`` how many failed
    of each cause. A share is judged however few they are.
    """
    failed = sum(failures.values())
    if not failed or not limit.exceeded(failed, total):
        return None
    return _reason(limit, failed, failures, total, f"the canary's {total:,}")


class FailureWindow:
    """Counts the final outcomes of the last ``window`` sessions that this process attempted.

    ``total`` is how many are in the window, ``failures`` how many of them failed of each cause. A session that was not
    attempted (skipped, invalid) or that is not at its end (pending, in doubt) is not counted.
    """

    def __init__(self, limit: MaxFailures, *, window: int = WINDOW) -> None:
        self.limit = limit
        self.failures: Counter[str] = Counter()
        self._window: deque[str | None] = deque()  # the cause of each failure, None for what went well
        self._size = window
        self._failed = 0

    @property
    def total(self) -> int:
        return len(self._window)

    def add(self, outcome: Outcome, http_status: int | None = None, error: str | None = None) -> None:
        """Take in how one session ended."""
        cause = failure_cause(outcome, http_status, error)
        if cause is None and outcome not in _GOOD:
            return
        if len(self._window) >= self._size:
            self._forget(self._window.popleft())
        self._window.append(cause)
        if cause is not None:
            self.failures[cause] += 1
            self._failed += 1

    def _forget(self, cause: str | None) -> None:
        if cause is None:
            return
        self._failed -= 1
        self.failures[cause] -= 1
        if not self.failures[cause]:
            del self.failures[cause]  # a long run may see many causes

    def why(self) -> str | None:
        """Why the run must stop, in one line, or None. Asked after each session, so it is quick while all is well."""
        total = self.total
        too_few = self.limit.count is None and total < MINIMUM
        if not self._failed or too_few or not self.limit.exceeded(self._failed, total):
            return None
        among = f"the last {total:,}" if total >= self._size else f"{total:,}"
        return _reason(self.limit, self._failed, self.failures, total, among)


def _reason(limit: MaxFailures, failed: int, failures: Mapping[str, int], total: int, among: str) -> str:
    # Equal counts in the order of their names, so that the same failures give the same line.
    causes = sorted(failures.items(), key=lambda each: (-each[1], each[0]))
    told = ", ".join(f"{count:,} {cause}" for cause, count in causes[:_CAUSES_TOLD])
    more = ", …" if len(causes) > _CAUSES_TOLD else ""
    sessions = "session" if total == 1 else "sessions"
    share = format_share(failed / total)
    return f"{failed:,} of {among} {sessions} failed ({share}, --max-failures is {limit}): {told}{more}"


class CircuitBreaker:
    """Held from ``engage`` to ``release``; meanwhile each ``allow_probe`` lets one close through.

    ``engaged`` is set while closing is held, ``concluded`` once it is known how the probe ended: ``went_well`` then.
    """

    def __init__(self) -> None:
        self.why: str | None = None
        self.engaged = anyio.Event()
        self.concluded = anyio.Event()
        self.went_well = False
        self._free = anyio.Event()
        self._probe: int | None = None

    def engage(self, why: str) -> None:
        if self.why is None:
            self.why = why
            self._free = anyio.Event()
            self.engaged.set()

    def allow_probe(self) -> None:
        self.concluded, self.went_well, self._probe = anyio.Event(), False, None
        self._free.set()

    def release(self) -> None:
        self.why, self._probe = None, None
        self.engaged = anyio.Event()
        self._free.set()

    @property
    def closed(self) -> bool:
        """Whether a close has to wait now."""
        return self.why is not None and not self._free.is_set()

    async def passage(self) -> None:
        """Return when a close may be sent."""
        await self._free.wait()

    def sent(self, seq: int) -> None:
        """Take in that the close of this item leaves: while closing is held, it is the probe, and the only one."""
        if self.why is not None:
            self._probe = seq
            self._free = anyio.Event()

    def not_sent(self, seq: int) -> None:
        """The close of this item has not left after all; if it was to be the probe, another one may be."""
        if seq == self._probe:
            self._probe = None
            self._free.set()

    def ended(self, change: Change) -> None:
        """Take in what became of a session; of the probe, anything but a close means that it did not go well.

        In doubt is no answer yet: it will be read, unless it is in doubt for ever.
        """
        if change.seq != self._probe or change.outcome is None:
            return
        if change.outcome is not Outcome.IN_DOUBT or (change.due_at or 0) >= NEVER:
            self._probe = None
            self.went_well = change.outcome in _GOOD
            self.concluded.set()
