"""The brake: when so many sessions end badly that going on would be wrong. Decisions, no I/O."""

import re
from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

from closeout.worker.models import Outcome
from closeout.worker.units import format_share

WINDOW = 1_000  # sessions; among all that a long run attempted, trouble that has just begun would hardly be seen
MINIMUM = 100  # sessions; of fewer, a share says little
_CAUSES_TOLD = 3
_GOOD = frozenset({Outcome.CLOSED, Outcome.ALREADY_CLOSED})
_FAILURES = frozenset({Outcome.FAILED, Outcome.REJECTED, Outcome.NOT_FOUND})


@dataclass(frozen=True, slots=True)
class MaxFailures:
    """How many failures are borne: a ``share`` (0 to 1) of the sessions, or a ``count``. Exactly one is not None."""

    share: float | None = None
    count: int | None = None

    def exceeded(self, failures: int, total: int) -> bool:
        """Whether so many failures among ``total`` sessions (above 0) are more than that."""
        if self.count is not None:
            return failures > self.count
        return self.share is not None and failures / total > self.share

    def __str__(self) -> str:
        return f"{self.count}" if self.share is None else f"{self.share * 100:.10g}%"


def parse_max_failures(text: str) -> MaxFailures:
    """The limit that ``5%`` or ``20`` sets; 0 and 0% bear no failure, 100% bears all. Raises ValueError.

    A count that the window cannot exceed would be a brake that never acts: it is refused.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*%|(\d+)", text.strip(), re.ASCII)
    if match is None:
        raise ValueError(f"{text!r} is no limit of failures: write it like 5% or 20")
    if match[2] is not None:
        if len(match[2]) > 9 or int(match[2]) >= WINDOW:
            raise ValueError(f"{text!r}: only the last {WINDOW:,} sessions are looked at; 100% never stops the run")
        return MaxFailures(count=int(match[2]))
    share = Fraction(match[1]) / 100  # rounded once, below: 2.9% then equals 29 / 1000, which 2.9 / 100 does not
    if share > 1:
        raise ValueError(f"{text!r}: a limit of failures is 100% at most")
    return MaxFailures(share=float(share))


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


class Brake:
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
