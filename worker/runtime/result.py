"""How a run has ended: its state, why, and the exit code. Pure functions of what the ledger counts."""

from dataclasses import dataclass

from closeout.worker.config.settings import Settings
from closeout.worker.domain.item import Outcome
from closeout.worker.domain.run import Run, RunState
from closeout.worker.ledger.records import Counts
from closeout.worker.runtime.stop import Stop
from closeout.worker.support.errors import HaltError

_WRONG = (Outcome.NOT_FOUND, Outcome.INVALID, Outcome.REJECTED, Outcome.FAILED)


@dataclass(frozen=True, slots=True)
class RunResult:
    """How the work on a run ended.

    ``kept``: nothing came of it, and the ledger holds the run as it was before. ``by_another``: other processes ended
    the run, or hold it, and nobody asked this one to stop.
    """

    run: Run
    state: RunState
    why: str | None
    counts: Counts
    exit_code: int
    kept: bool = False
    by_another: bool = False

    @property
    def settings(self) -> Settings:
        """Those of the run, whoever worked on it."""
        return Settings.model_validate_json(self.run.options)


def judge_end(
    counts: Counts, stop: Stop, last_call: Stop, *, source_done: bool, settles: bool = True
) -> tuple[RunState, str | None, int]:
    """State, reason and exit code of a run that has come to its end."""
    if stop.state is not None:
        return stop.state, stop.why, stop.exit_code
    left = [
        (counts.outcomes[Outcome.IN_DOUBT], "sessions in doubt that could not be read: {:,}"),
        (counts.outcomes[Outcome.PENDING], "sessions not attempted yet: {:,}"),
        (sum(counts.again.values()), "sessions not attempted again yet: {:,}"),
        (not source_done, "the source was not read to its end"),
    ]
    for count, what in left:
        if count:
            return "halted", last_call.why or what.format(count), HaltError.exit_code
    return "finished", None, finished_exit_code(counts, settles=settles)


def judge_plan(counts: Counts, last_call: Stop, left: int, *, source_done: bool) -> tuple[RunState, str | None, int]:
    """The same of a plan that nobody stopped; ``left`` sessions were not looked up."""
    if left or not source_done:
        return "halted", last_call.why or f"sessions not looked up yet: {left:,}", HaltError.exit_code
    wrong = any(counts.outcomes[outcome] for outcome in _WRONG)
    return "planned", None, 1 if wrong else 0


def finished_exit_code(counts: Counts, *, settles: bool) -> int:
    """0, 1 or 4 of a finished run; evaluations count where it ``settles``."""
    if any(counts.outcomes[outcome] for outcome in _WRONG):
        return 1
    return 4 if settles and counts.unsettled else 0
