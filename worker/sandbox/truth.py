"""What really happened, whatever the answers said."""

from array import array
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

Kind = Literal["close", "read", "list", "whoami", "delete", "reevaluate", "other"]


@dataclass(frozen=True, slots=True)
class Truth:
    """The state and the history of one session.

    ``eval_status`` is the verdict it will show in the end (a session that is still live: ``none``).
    ``closes_received`` counts every close that arrived, refused ones included, at ``post_times`` (seconds, on the
    clock given to the sandbox). Of these, ``closes_effective`` closed it (0 or 1) and ``closes_repeated`` were carried
    out although it had ended before. ``reads`` counts reads by id, refused ones included.
    """

    session_id: str
    status: str
    closed_at: datetime | None
    reason: str | None
    eval_status: str
    closes_received: int
    closes_effective: int
    closes_repeated: int
    post_times: tuple[float, ...]
    reads: int
    deleted: bool


class Counts:
    """The totals over all requests.

    ``arrivals`` holds the monotonic time of each request in order of arrival. ``answers`` counts answers by status;
    an aborted or unanswered request counts as 0.
    """

    def __init__(self) -> None:
        self.requests: Counter[str] = Counter()
        self.answers: Counter[int] = Counter()
        self.arrivals: array[float] = array("d")
        self.bad_keys = 0
        self.faults: Counter[str] = Counter()
        self.closes_effective = 0
        self.closes_repeated = 0

    def arrived(self, kind: Kind, at: float) -> None:
        self.requests[kind] += 1
        self.arrivals.append(at)

    def as_json(self) -> dict[str, object]:
        """Give the totals as plain values."""
        arrivals = self.arrivals[:]
        return {
            "requests": dict(self.requests),
            "answers": {str(status): count for status, count in self.answers.items()},
            "rate_limited": self.answers[429],
            "bad_keys": self.bad_keys,
            "faults": dict(self.faults),
            "closes_effective": self.closes_effective,
            "closes_repeated": self.closes_repeated,
            "busiest_second": most_within(arrivals, 1.0),
        }


def most_within(times: Sequence[float], seconds: float) -> int:
    """Give the most instants that any stretch of ``seconds`` holds, one end excluded; ``times`` are in order."""
    most = first = 0
    for last, time in enumerate(times):
        while time - times[first] >= seconds:
            first += 1
        most = max(most, last - first + 1)
    return most
