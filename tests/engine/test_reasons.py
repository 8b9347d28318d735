"""Close reasons: known per dialect, and what must not be sent."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from closeout.worker.config.dialect import KNOWN_REASONS, MAX_LENGTH, as_known, check_reason, reason_problem
from closeout.worker.config.settings import Settings
from closeout.worker.support.errors import ConfigurationError


def test_the_dialects_know_46_and_75_reasons() -> None:
    """As their references list them; the newer one only adds."""
    assert len(KNOWN_REASONS["1.21"]) == 46
    assert len(KNOWN_REASONS["1.90"]) == 75
    assert KNOWN_REASONS["1.21"] < KNOWN_REASONS["1.90"]


@pytest.mark.parametrize("dialect", sorted(KNOWN_REASONS))
def test_every_known_reason_may_be_sent(dialect: str) -> None:
    """None of them is too long."""
    assert all(reason_problem(reason, dialect, allow_unknown=False) is None for reason in KNOWN_REASONS[dialect])


def test_a_reason_of_the_newer_dialect_is_unknown_to_the_older() -> None:
    """The API would store ``unknown`` without a word."""
    assert reason_problem("call_ended", "1.21", allow_unknown=False)
    assert reason_problem("call_ended", "1.90", allow_unknown=False) is None


@given(st.sampled_from(sorted(KNOWN_REASONS)), st.text() | st.integers(0, MAX_LENGTH + 1).map("x".__mul__))
def test_nothing_else_may_be_sent(dialect: str, reason: str) -> None:
    """Whatever its length: the API would store ``unknown`` without a word."""
    if reason not in KNOWN_REASONS[dialect]:
        assert reason_problem(reason, dialect, allow_unknown=False)


def test_a_near_miss_is_told() -> None:
    """The message names what may have been meant."""
    assert "abandoned" in (reason_problem("abandonned", "1.21", allow_unknown=False) or "")


def test_what_is_sent_is_spelt_as_the_api_spells_it() -> None:
    """The API compares letter for letter; people need not."""
    assert "resolved" in (reason_problem("Resolved", "1.21", allow_unknown=False) or "")
    assert as_known("Resolved", "1.21") == "resolved"
    assert as_known("Call_Ended", "1.21") == "Call_Ended"
    assert as_known("Call_Ended", "1.90") == "call_ended"
    assert Settings(reason="ABANDONED").reason == "abandoned"


@pytest.mark.parametrize(("length", "allowed"), [(MAX_LENGTH, True), (MAX_LENGTH + 1, False)])
def test_an_own_reason_of_up_to_64_characters_may_be_sent_on_request(length: int, allowed: bool) -> None:
    """The API takes 64 at most, whatever is asked for."""
    assert (reason_problem("x" * length, "1.21", allow_unknown=True) is None) is allowed


def test_the_flag_is_named_in_the_error() -> None:
    """An unknown reason is refused before anything is sent, with the way to send it all the same."""
    with pytest.raises(ConfigurationError, match=r"--reason: .*--allow-unknown-reason"):
        check_reason("tired", "1.21", allow_unknown=False)


def test_a_reason_that_is_too_long_offers_no_way_round() -> None:
    """No flag makes the API take it."""
    with pytest.raises(ConfigurationError) as caught:
        check_reason("x" * 65, "1.21", allow_unknown=False)
    assert "--allow-unknown-reason" not in str(caught.value)


def test_no_reason_is_fine() -> None:
    """None is sent then."""
    check_reason(None, "1.21", allow_unknown=False)
