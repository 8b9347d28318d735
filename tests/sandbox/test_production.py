"""The sandbox's production: Poisson arrivals, put straight to the limiter, beside others and alone."""

import urllib.request

import pytest

from closeout.worker.sandbox import Production, Sandbox, SandboxConfig, parse_production, running_sandbox
from closeout.worker.sandbox.production import Stretch
from closeout.worker.sandbox.ratelimit import make_limiter

STEPS = "0-25:60,25-50:85,50-80:30"


def production(text: str, seed: int = 1) -> Production:
    """On a limit of 100 in each second."""
    return Production(parse_production(text), seed, make_limiter("sliding", 100, 1), make_limiter("sliding", 100, 1))


def test_it_arrives_at_random_at_the_rate_of_its_time() -> None:
    """Within three standard deviations; looking at it more often changes nothing."""
    one, other = production(STEPS), production(STEPS)
    for step in range(1, 8_001):
        one.up_to(500 + step / 100 - 0.01)
    other.up_to(500)
    other.up_to(580)
    assert (one.sent, one.refused) == (other.sent, other.refused)
    for begin, end, rate in ((0, 25, 60), (25, 50, 85), (50, 80, 30)):
        seen, wanted = sum(one.by_second.get(at, [0])[0] for at in range(begin, end)), rate * (end - begin)
        assert abs(seen - wanted) <= 3 * wanted**0.5


def test_alone_it_loses_what_it_loses_alone() -> None:
    """And more beside somebody who takes half of the limit."""
    own = production("0-60:80")
    for step in range(6_000):
        own.up_to(10 + step / 100)
    assert own.refused == own.refused_alone < 0.05 * own.sent
    own = production("0-60:80")
    for step in range(3_000):
        own.up_to(10 + step / 50)
        own.shared.admit(10 + step / 50)
    assert own.refused > 0.1 * own.sent
    assert f"{100 * own.refused / own.sent:.2f}% refused, " in own.in_words()


@pytest.mark.parametrize("text", ["", "60", "0-25", "25-0:60", "0-25:60,20-30:5", "0-25:60;25-50:85", "a-b:c"])
def test_what_is_no_production_is_refused(text: str) -> None:
    """With an example."""
    with pytest.raises(ValueError, match=r"use e\.g\. 0-25:60"):
        parse_production(text)


def test_without_a_limit_it_is_refused() -> None:
    """It would change nothing."""
    with pytest.raises(ValueError, match="without a rate limit"):
        SandboxConfig(production=(Stretch(0, 1, 5),))


def test_a_request_finds_it_there_and_the_stats_tell_of_it() -> None:
    """It uses up the limit: what is left for others is little."""
    config = SandboxConfig(rate_limit=20, rate_period=60, production=parse_production("0-600:1000"))
    sandbox = Sandbox(config)
    with running_sandbox(sandbox) as url:
        request = urllib.request.Request(f"{url}/v1/identity/whoami", headers={"x-api-key": config.api_key})  # noqa: S310  # loopback
        with urllib.request.urlopen(request) as answer:  # noqa: S310  # loopback
            assert answer.status == 200
        assert sandbox.production is not None
        while sandbox.production.sent < 50:
            stats = sandbox.stats()["production"]
    assert isinstance(stats, dict)
    assert stats["refused"] == stats["requests"] - 19
    assert stats["refused_alone"] == stats["requests"] - 20
