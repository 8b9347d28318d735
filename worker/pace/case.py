"""What the pace is held by, for people: which case it is, and what a person could choose instead. Pure."""

from dataclasses import dataclass
from typing import Literal

from closeout.worker.pace.budget import Budget, allowed, in_force
from closeout.worker.pace.law import Terms, counts_by_long_windows, is_small, next_look
from closeout.worker.support.units import format_duration, format_rate, format_share

CaseKind = Literal["not ours", "full", "long windows", "gives way"]
_FAIR = "`--pace fair` lets a share of 429s change nothing"
WENT_SLOWER: dict[str, str] = {
    "not ours": "429s came at any pace, and were taken for none of ours",
    "full": "production filled the limit",
    "long windows": "the API counted by longer windows, and had waits",
    "gives way": "gave way to production",
}
CHOICES: dict[CaseKind, str] = {
    "not ours": _FAIR,
    "full": f"`--min-rate` sets a floor; {_FAIR}",
    "long windows": "a lower `--share` leaves production more of each window",
    "gives way": _FAIR,
}


@dataclass(frozen=True, slots=True)
class Case:
    """``words`` say what it is now, ``choice`` what else there is."""

    kind: CaseKind
    words: str

    @property
    def choice(self) -> str:
        return CHOICES[self.kind]


def case_of(budget: Budget, terms: Terms, now: float) -> Case | None:
    """Why the rate is not what the settings allow; None where it is, or on its way there for the first time."""
    law, by = budget.law, in_force(budget, terms)
    if law.alien:
        return Case("not ours", f"refused at any pace ({format_share(round(law.alien, 3))}): taken for none of ours")
    if law.first or law.capped or not law.met:
        return None
    rate = format_rate(float(f"{allowed(budget, terms, now):.2g}"))
    look = _look_words(next_look(law, by, budget.held_until) - now, looking=law.looking)
    if counts_by_long_windows(law):
        return Case("long windows", f"waits of {law.wait:.0f} s: this API counts by longer windows; {rate}, {look}")
    if is_small(law, by):
        return Case("full", f"production fills the limit: {rate}, {look}")
    return Case("gives way", f"gives way to production: refused at {law.met:.0f}/s; {rate}, {look}")


def _look_words(seconds: float, *, looking: bool) -> str:
    if looking or seconds <= 0:
        return "looking for room"
    return f"next look in {format_duration(max(1.0, round(seconds)))}".replace(".0 s", " s")
