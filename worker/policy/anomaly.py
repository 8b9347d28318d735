"""Whether a sweep finds what it finds every night."""

from collections.abc import Iterable, Sequence
from statistics import median

from closeout.worker.domain.run import Run

_NIGHTS = 3  # before them nothing is usual
_ABSURD = 10  # times the median of the last nights
_FEW = 25  # are never too many, also where there mostly were none


def night_counts(runs: Iterable[Run]) -> list[int]:
    """How many sessions each of a job's runs found, of those that tell what is usual.

    These are the finished ones, and those that halted as they found none: a job that has nothing more to do would
    otherwise be asked about for ever. What halted for finding too many proves nothing.
    """
    return [run.rows_read - run.duplicates for run in runs if run.state == "finished" or _found_none(run)]


def _found_none(run: Run) -> bool:
    return run.tally is not None and run.tally.chosen == 0 and not run.rows_read


def unusual(found: int, max_close: int, nights: Sequence[int]) -> str | None:
    """Why a person should look before so many sessions are closed, or None.

    ``nights`` are how many the same job found before.
    """
    if found > max_close:
        return f"more sessions match than max_close = {max_close:,} allows"
    usual = median(nights) if len(nights) >= _NIGHTS else 0
    if usual and found == 0:
        return f"no session matches, where the median of the last {len(nights)} times is {usual:,.0f}"
    if len(nights) >= _NIGHTS and found > max(_ABSURD * usual, _FEW):
        return (
            f"{found:,} sessions match, over {_ABSURD} times the median of the last {len(nights)} times ({usual:,.0f})"
        )
    return None
