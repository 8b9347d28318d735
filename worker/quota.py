"""How many sessions may still be taken up: the cap, and before that the canary."""

from dataclasses import dataclass, field

from worker.models import Claim, Outcome

_OPEN = frozenset({Outcome.PENDING, Outcome.IN_DOUBT})


@dataclass
class Quota:
    """Counts sessions as they are taken up for the first time in the run.

    ``left`` is how many more the cap lets through (None: no cap), ``canary`` how many the canary does, None once it is
    over or where there is none. ``canaries`` are those of the canary that have no outcome yet; ``settling`` is that
    only their evaluations are waited for.
    """

    left: int | None = None
    canary: int | None = None
    canaries: set[int] = field(default_factory=set)
    settling: bool = False

    @property
    def room(self) -> int | None:
        """How many may be taken up now; None: any number."""
        bounds = [bound for bound in (self.left, self.canary) if bound is not None]
        return max(0, min(bounds)) if bounds else None

    @property
    def used_up(self) -> bool:
        """Whether the cap is reached: what was not taken up by then is skipped."""
        return self.left is not None and self.left <= 0

    def taken(self, fresh: list[Claim]) -> None:
        if self.left is not None:
            self.left -= len(fresh)
        if self.canary is not None:
            self.canary -= len(fresh)
            self.canaries |= {claim.seq for claim in fresh}

    def ended(self, seq: int, outcome: Outcome) -> None:
        if outcome not in _OPEN:
            self.canaries.discard(seq)
