"""How much work is claimed at a time."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.closing import claim_batch


@pytest.mark.parametrize(("rate", "batch"), [(0.1, 1), (1, 1), (50, 12), (100, 25), (1_000, 250), (5_000, 256)])
def test_a_batch_is_a_quarter_of_a_seconds_work(rate: float, batch: int) -> None:
    """Every item claimed and not recorded when the process dies costs a look-up."""
    assert claim_batch(rate) == batch


@given(st.floats(0.001, 1e9))
def test_a_batch_is_never_empty_nor_huge(rate: float) -> None:
    """At any rate."""
    assert 1 <= claim_batch(rate) <= 256
