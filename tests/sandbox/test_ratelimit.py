"""The rate limiters: never more than allowed, and the wait they tell is enough."""

from collections.abc import Callable
from email.utils import parsedate_to_datetime
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from closeout.worker.sandbox import SandboxConfig
from closeout.worker.sandbox.config import RetryAfter
from closeout.worker.sandbox.ratelimit import LimitKind, RateLimiter, make_limiter
from closeout.worker.sandbox.truth import most_within
from tests.sandbox.support import V21, V90, talking

KINDS: tuple[LimitKind, ...] = get_args(LimitKind)
limits = st.integers(1, 8)
periods = st.sampled_from([0.5, 1.0, 60.0])
steps = st.lists(st.sampled_from([0.0, 0.0, 0.0, 0.03125, 0.25, 0.5, 1.0, 7.0, 40.0]), max_size=120)


def admitted_times(limiter: RateLimiter, gaps: list[float]) -> list[float]:
    now, admitted = 1000.0, []
    for gap in gaps:
        now += gap
        if limiter.admit(now) == 0:
            admitted.append(now)
    return admitted


@given(limits, periods, steps)
def test_a_sliding_window_never_holds_more_than_the_limit(limit: int, period: float, gaps: list[float]) -> None:
    times = admitted_times(make_limiter("sliding", limit, period), gaps)
    assert most_within(times, period) <= limit


@given(limits, periods, steps)
def test_a_fixed_window_never_holds_more_than_the_limit(limit: int, period: float, gaps: list[float]) -> None:
    times = admitted_times(make_limiter("fixed", limit, period), gaps)
    windows = [time // period for time in times]
    assert all(windows.count(window) <= limit for window in windows)


@given(limits, periods, steps, limits)
def test_a_bucket_never_gives_more_than_its_burst_and_its_refill(
    limit: int, period: float, gaps: list[float], burst: int
) -> None:
    times = admitted_times(make_limiter("bucket", limit, period, burst), gaps)
    for first in range(len(times)):
        for last in range(first, len(times)):
            refill = (times[last] - times[first]) * limit / period
            assert last - first + 1 <= burst + refill + 1e-6


@given(st.sampled_from(KINDS), limits, periods, steps)
def test_who_waits_as_long_as_told_is_admitted(kind: LimitKind, limit: int, period: float, gaps: list[float]) -> None:
    limiter = make_limiter(kind, limit, period)
    now = 1000.0
    for gap in gaps:
        now += gap
        wait = limiter.admit(now)
        if wait > 0:
            assert wait <= period + 1e-6
            now += wait + 1e-6
            assert limiter.admit(now) == 0


@pytest.mark.parametrize("kind", KINDS)
def test_a_limit_counts_for_all_keys_of_an_organisation_and_no_other(kind: LimitKind) -> None:
    with talking(SandboxConfig(rate_limit=3, rate_kind=kind)) as talk:
        talk.sandbox.add_key("second-key")
        talk.sandbox.add_key("other-key", organisation="other")
        keys = ["sandbox-key", "second-key", "sandbox-key", "second-key", "other-key", "unknown-key"]
        statuses = [talk.http.get(V21, headers={"x-api-key": key}).status_code for key in keys]
        assert statuses == [200, 200, 200, 429, 200, 401]
        assert talk.sandbox.stats()["rate_limited"] == 1
        talk.clock.now += 60
        assert talk.list().status_code == 200


def test_a_refused_close_closes_nothing() -> None:
    with talking(SandboxConfig(rate_limit=1)) as talk:
        first, second = talk.sandbox.add_sessions(2)
        assert [talk.close(first).status_code, talk.close(second).status_code] == [200, 429]
        truth = talk.sandbox.truth(second)
        assert (truth.status, truth.closes_received, truth.closes_effective) == ("active", 1, 0)


@pytest.mark.parametrize("how", get_args(RetryAfter))
def test_each_way_to_tell_the_wait(how: RetryAfter) -> None:
    with talking(SandboxConfig(rate_limit=1, rate_period=30, retry_after=how)) as talk:
        talk.list()
        talk.clock.now += 10.5
        answer = talk.list(V90)
        body, header = answer.json(), answer.headers.get("retry-after")
    assert (answer.status_code, body["error"]) == (429, "rate_limited")
    assert body.get("retry_after") == (20 if how == "body" else None)
    if how == "seconds":
        assert header == "20"
    elif how == "date":
        assert parsedate_to_datetime(header).timestamp() == talk.clock.now + 19.5
    else:
        assert header is None


@pytest.mark.parametrize("make", [lambda: SandboxConfig(rate_limit=0), lambda: SandboxConfig(rate_period=0)])
def test_limits_that_cannot_be_are_refused(make: Callable[[], SandboxConfig]) -> None:
    with pytest.raises(ValueError, match="rate_"):
        make()
