"""How many sessions may still be taken up: the cap, and before that the canary."""

from dataclasses import dataclass, field

from closeout.worker.domain.item import Change, Claim, Outcome
from closeout.worker.support.clock import NEVER

OVER_CAP = "over --limit "  # and the cap: the detail of what it left out, by which a higher one finds it again
_OPEN = frozenset({Outcome.PENDING, Outcome.IN_DOUBT})


@dataclass
class Quota:
    """Counts sessions as they are taken up for the first time in the run.

    ``left`` is how many more the cap lets through (None: no cap), ``canary`` how many the canary does, None once it is
    over or where there is none. ``canaries`` are those of the canary that are still to be done; ``settling`` is that
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

    def spared(self, claim: Claim) -> None:
        """One that was taken up is left alone: the next may be taken up for it."""
        if claim.fresh and self.left is not None:
            self.left += 1
        if claim.seq in self.canaries and self.canary is not None:
            self.canary += 1

    def parked(self, claim: Claim) -> None:
        """The same of one that may be taken up again later, as if for the first time; the canary goes on without it."""
        self.spared(claim)
        self.canaries.discard(claim.seq)

    def ended(self, change: Change) -> None:
        """Take in what became of a session. One that cannot be verified stays in doubt, and is not waited for."""
        if change.outcome not in _OPEN or (change.due_at or 0) >= NEVER:
            self.canaries.discard(change.seq)


def canary_left(canary: int | None, taken: int, *, passed: bool) -> int | None:
    """How many the canary may still take up in a run that has taken up so many; None when there is none, or no more.

    However many were taken up, it is over only once it has ``passed``: a smaller one may be asked for later.
    """
    return None if canary is None or passed else max(0, canary - taken)
