"""How many failures a run bears: ``--max-failures``."""

import re
from dataclasses import dataclass
from fractions import Fraction

WINDOW = 1_000  # sessions; among all that a long run attempted, trouble that has just begun would hardly be seen


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
        raise ValueError(f"invalid limit of failures {text!r}: use e.g. 5% or 20")
    if match[2] is not None:
        if len(match[2]) > 9 or int(match[2]) >= WINDOW:
            raise ValueError(f"{text!r}: only the last {WINDOW:,} sessions are looked at; 100% never stops the run")
        return MaxFailures(count=int(match[2]))
    share = Fraction(match[1]) / 100  # rounded once, below: 2.9% then equals 29 / 1000, which 2.9 / 100 does not
    if share > 1:
        raise ValueError(f"{text!r}: a limit of failures is 100% at most")
    return MaxFailures(share=float(share))
