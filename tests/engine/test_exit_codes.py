"""The exit code of a run that has come to its end: a single session decides."""

from collections import Counter

import pytest

from closeout.worker.domain.item import Outcome
from closeout.worker.ledger.records import Counts
from closeout.worker.runtime.result import finished_exit_code, judge_end
from closeout.worker.runtime.stop import Stop

GOOD = {Outcome.CLOSED, Outcome.ALREADY_CLOSED, Outcome.SKIPPED}
OPEN = {Outcome.PENDING, Outcome.IN_DOUBT}


def counts(outcome: Outcome, unsettled: int = 0) -> Counts:
    """Of a thousand closed sessions, and one that ended so."""
    return Counts(outcomes=Counter({Outcome.CLOSED: 1_000}) + Counter([outcome]), unsettled=unsettled)


@pytest.mark.parametrize("outcome", sorted(set(Outcome) - OPEN))
@pytest.mark.parametrize(("unsettled", "code"), [(0, 0), (1, 4)])
def test_the_worst_outcome_decides(outcome: Outcome, unsettled: int, code: int) -> None:
    """Not found, invalid, rejected and failed go before what is not settled."""
    assert finished_exit_code(counts(outcome, unsettled), settles=True) == (code if outcome in GOOD else 1)
    assert finished_exit_code(counts(outcome, unsettled), settles=False) == (0 if outcome in GOOD else 1)


@pytest.mark.parametrize("outcome", sorted(OPEN))
def test_a_run_with_one_session_left_has_not_finished(outcome: Outcome) -> None:
    """It can be resumed: exit 3."""
    state, _, code = judge_end(counts(outcome), Stop(), Stop(), source_done=True)
    assert (state, code) == ("halted", 3)


def test_a_source_not_read_to_its_end_has_not_finished() -> None:
    """Whatever became of the rows that were read."""
    state, _, code = judge_end(counts(Outcome.CLOSED), Stop(), Stop(), source_done=False)
    assert (state, code) == ("halted", 3)
    assert judge_end(counts(Outcome.CLOSED), Stop(), Stop(), source_done=True) == ("finished", None, 0)
