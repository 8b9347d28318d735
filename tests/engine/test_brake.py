"""The brake: how many failures stop a run, and what it says then."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from closeout.worker.config.failure_limit import WINDOW, MaxFailures, parse_max_failures
from closeout.worker.domain.item import Outcome
from closeout.worker.policy.circuit_breaker import MINIMUM, FailureWindow, judge_canary

GOOD = [Outcome.CLOSED, Outcome.ALREADY_CLOSED]
BAD = [Outcome.FAILED, Outcome.REJECTED, Outcome.NOT_FOUND]
NEITHER = [Outcome.SKIPPED, Outcome.INVALID, Outcome.IN_DOUBT, Outcome.PENDING]


def fed(limit: str, *ended: tuple[int, Outcome], window: int = WINDOW) -> FailureWindow:
    """A brake that has seen so many of each outcome, in this order."""
    brake = FailureWindow(parse_max_failures(limit), window=window)
    for count, outcome in ended:
        for _ in range(count):
            brake.add(outcome)
    return brake


@pytest.mark.parametrize(
    ("text", "limit"),
    [
        ("5%", MaxFailures(share=0.05)), ("2.9%", MaxFailures(share=0.029)), (" 5 % ", MaxFailures(share=0.05)),
        ("0%", MaxFailures(share=0.0)), ("100%", MaxFailures(share=1.0)), ("100.0%", MaxFailures(share=1.0)),
        ("20", MaxFailures(count=20)), ("0", MaxFailures(count=0)), (" 999 ", MaxFailures(count=999)),
    ],
)  # fmt: skip
def test_a_limit_is_a_share_or_a_count(text: str, limit: MaxFailures) -> None:
    """As people write it."""
    assert parse_max_failures(text) == limit


@pytest.mark.parametrize(
    "text",
    [
        "", "%", "five", "-1", "-5%", "0.05", "5.5", "5%%", "101%", "100.01%", "1e2", "nan%", "inf", "1,000", "5 %s",
        "\N{ARABIC-INDIC DIGIT FIVE}%",
    ],
)  # fmt: skip
def test_what_is_no_limit_is_refused(text: str) -> None:
    """With how to write it; 0.05 might mean a share or a mistake."""
    with pytest.raises(ValueError, match="failures"):
        parse_max_failures(text)


@pytest.mark.parametrize("text", ["1000", "5000", "9" * 5000])
def test_a_count_that_could_never_be_exceeded_is_refused(text: str) -> None:
    """The window holds 1,000 sessions: the person would believe in a brake that is none."""
    with pytest.raises(ValueError, match="last 1,000 sessions"):
        parse_max_failures(text)


@given(st.one_of(st.integers(0, 999).map(str), st.integers(0, 10_000).map(lambda n: f"{n / 100:g}%")))
def test_a_shown_limit_can_be_typed_again(text: str) -> None:
    """What the brake says is what the flag takes."""
    limit = parse_max_failures(text)
    assert parse_max_failures(str(limit)) == limit
    assert str(limit) == text


@given(st.integers(0, 1_000), st.integers(0, 1_000))
def test_a_share_breaks_above_its_limit_and_not_at_it(failures: int, tenths: int) -> None:
    """To the session: 29 of 1,000 are not more than 2.9%, whatever 2.9 / 100 is in floating point."""
    brake = fed(f"{tenths / 10:g}%", (1_000 - failures, Outcome.CLOSED), (failures, Outcome.FAILED))
    assert (brake.why() is not None) == (failures > tenths)


def test_a_share_is_judged_from_a_hundred_sessions_on() -> None:
    """The first session of a list may well be a bad one. These figures are promised: README, Settings."""
    assert (MINIMUM, WINDOW) == (100, 1_000)
    brake = fed("5%", (99, Outcome.FAILED))
    assert brake.why() is None
    brake.add(Outcome.CLOSED)
    assert brake.why() is not None


@pytest.mark.parametrize(("limit", "failures"), [("0", 0), ("1", 1), ("20", 20), ("999", 999)])
def test_a_count_breaks_with_the_next_failure(limit: str, failures: int) -> None:
    """However few sessions there were."""
    brake = fed(limit, (failures, Outcome.REJECTED))
    assert brake.why() is None
    brake.add(Outcome.REJECTED)
    assert brake.why() is not None


def test_no_failure_is_borne_at_zero_percent_and_each_at_a_hundred() -> None:
    """The ends of the scale."""
    assert fed("0%", (MINIMUM - 1, Outcome.CLOSED), (1, Outcome.FAILED)).why() is not None
    assert fed("0%", (WINDOW, Outcome.CLOSED)).why() is None
    assert fed("100%", (WINDOW, Outcome.FAILED)).why() is None


@pytest.mark.parametrize("outcome", list(Outcome))
def test_only_what_was_attempted_and_is_at_its_end_counts(outcome: Outcome) -> None:
    """Each outcome is good, a failure, or neither."""
    brake = fed("0", (1, outcome))
    assert (brake.total, sum(brake.failures.values())) == (int(outcome in GOOD + BAD), int(outcome in BAD))
    assert outcome in GOOD + BAD + NEITHER


def test_what_has_left_the_window_is_forgotten() -> None:
    """Bad sessions at the beginning do not stop a run that has been going well since."""
    brake = fed("20", (20, Outcome.FAILED), (WINDOW, Outcome.CLOSED), (20, Outcome.NOT_FOUND))
    assert brake.why() is None
    assert brake.failures == {"not_found": 20}


def test_trouble_late_in_a_long_run_is_seen() -> None:
    """Of all 10,100 sessions 1% failed; of the last 1,000, 10%."""
    assert fed("5%", (10_000, Outcome.CLOSED), (100, Outcome.REJECTED)).why() is not None


@given(
    st.lists(st.tuples(st.sampled_from(Outcome), st.sampled_from([None, 404, 422, 500])), max_size=60),
    st.integers(1, 20),
)
def test_the_window_holds_the_last_sessions(ended: list[tuple[Outcome, int | None]], window: int) -> None:
    """Counted as one would by hand."""
    brake = FailureWindow(MaxFailures(count=3), window=window)
    for outcome, status in ended:
        brake.add(outcome, status)
    last = [(outcome, status) for outcome, status in ended if outcome not in NEITHER][-window:]
    causes = Counter(f"{o}" if s is None else f"{o} (http_{s})" for o, s in last if o in BAD)
    assert brake.total == len(last)
    assert dict(brake.failures) == dict(causes)
    assert (brake.why() is not None) == (sum(causes.values()) > 3)


def test_the_reason_tells_how_many_of_how_many_and_of_which_cause() -> None:
    """In one line, that a person can act on."""
    brake = FailureWindow(parse_max_failures("5%"))
    for at in range(1_939):
        if at % 100 < 94:
            brake.add(Outcome.CLOSED, 200)
        else:
            brake.add(*((Outcome.NOT_FOUND, 404, "http_404") if at % 3 else (Outcome.REJECTED, 422, None)))
    assert brake.why() == (
        "60 of the last 1,000 sessions failed (6%, --max-failures is 5%): 40 not_found (http_404), "
        "20 rejected (http_422)"
    )


def test_the_three_most_frequent_causes_are_told() -> None:
    """The code of the answer or of the failure to get one; the outcome alone where there is neither."""
    brake = FailureWindow(parse_max_failures("0"))
    for count, status, error in [(1, None, "timeout"), (3, 422, "session_locked"), (2, None, None), (2, 500, None)]:
        for _ in range(count):
            brake.add(Outcome.FAILED, status, error)
    assert brake.why() == (
        "8 of 8 sessions failed (100%, --max-failures is 0): "
        "3 failed (session_locked), 2 failed, 2 failed (http_500), …"
    )


@pytest.mark.parametrize(
    ("limit", "total", "failed", "breaks"),
    [
        ("5%", 20, 1, False), ("5%", 20, 2, True), ("5%", 1, 1, True), ("5%", 19, 1, True), ("20", 30, 20, False),
        ("20", 30, 21, True), ("0", 1, 1, True), ("0%", 5_000, 1, True), ("100%", 5, 5, False), ("0", 0, 0, False),
        ("0%", 0, 0, False), ("5%", 100_000, 5_000, False), ("5%", 100_000, 5_001, True),
    ],
)  # fmt: skip
def test_a_canary_is_judged_however_small_it_was(limit: str, total: int, failed: int, breaks: bool) -> None:
    """By the same limit, over all that it closed; one that closed nothing says nothing."""
    failures = {"rejected (http_422)": failed} if failed else {}
    assert (judge_canary(parse_max_failures(limit), total, failures) is not None) is breaks


def test_the_reason_of_a_canary_names_it() -> None:
    """So that the person knows how little was done."""
    assert judge_canary(MaxFailures(share=0.05), 20, {"not_found (http_404)": 2}) == (
        "2 of the canary's 20 sessions failed (10%, --max-failures is 5%): 2 not_found (http_404)"
    )


def test_one_session_is_one_session() -> None:
    """In words, too."""
    assert fed("0", (1, Outcome.FAILED)).why() == "1 of 1 session failed (100%, --max-failures is 0): 1 failed"
