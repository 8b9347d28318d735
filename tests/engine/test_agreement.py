"""Whether a session still is what the ledger says, and what a sample tells of all."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from closeout.worker.domain.item import ClosedItem
from closeout.worker.domain.session import EvalSummary, SessionState
from closeout.worker.engine.audit import disagreement, gone, upper_bound
from tests.engine.support import a_claim, a_session

ITEM = ClosedItem(a_claim(), "closed", "success", eval_settled=True)
OPEN_VERDICT = ClosedItem(a_claim(), "closed", "pending", eval_settled=False)


@pytest.mark.parametrize(
    ("item", "session", "kind"),
    [
        (ITEM, a_session(), None),
        (ITEM, a_session("active"), "reopened"),
        (ITEM, a_session("expired"), "status"),
        (ITEM, a_session("archived"), "status"),
        (ITEM, a_session(evals=EvalSummary("failure", total=1, failed=1)), "eval_status"),
        (OPEN_VERDICT, a_session(), None),
        (OPEN_VERDICT, a_session("active"), "reopened"),
    ],
)
def test_what_disagrees_is_named(item: ClosedItem, session: SessionState, kind: str | None) -> None:
    """The worst first; a verdict that has become final since is as it should be."""
    found = disagreement(item, session)
    assert (found.partition(":")[0] if found else None) == kind


def test_a_deleted_session_disagrees() -> None:
    """The ledger says that it is closed."""
    assert gone(ITEM).startswith("deleted: closed")


@given(st.integers(1, 100_000))
def test_where_none_disagrees_the_bound_has_a_closed_form(checked: int) -> None:
    """The rule of three, exactly."""
    assert math.isclose(upper_bound(0, checked, 10**9), 1 - 0.05 ** (1 / checked), rel_tol=1e-6)


@pytest.mark.parametrize(
    ("wrong", "checked", "bound"), [(0, 300, 0.00994), (1, 300, 0.01572), (3, 100, 0.07571), (10, 20, 0.69805)]
)
def test_the_bound_is_that_of_the_tables(wrong: int, checked: int, bound: float) -> None:
    """One-sided, 95%."""
    assert upper_bound(wrong, checked, 10**9) == pytest.approx(bound, rel=2e-3)


@given(st.integers(0, 2_000), st.integers(0, 2_000), st.integers(0, 3_000))
def test_the_bound_is_a_share_and_never_below_what_was_seen(wrong: int, more: int, unseen: int) -> None:
    """Also at the edges; where all was checked it is what was seen."""
    checked = wrong + more
    bound = upper_bound(wrong, checked, checked + unseen)
    assert 0 <= bound <= 1
    if checked:
        assert bound >= wrong / checked - 1e-9
        assert unseen or bound == wrong / checked
