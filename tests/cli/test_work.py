"""Work without an end bears what may pass: it begins anew, from the ledger, and says so once."""

from collections.abc import Sequence
from typing import Any

import anyio
import pytest

from closeout.jobs.commands import work
from closeout.jobs.config.file import RawSettings
from closeout.jobs.config.invocation import Invocation
from closeout.jobs.runner.alerts import Alerting
from closeout.worker.config.access import Access, ApiKey
from closeout.worker.config.settings import Settings
from closeout.worker.runtime.stop import Alarm, Alarms
from closeout.worker.support.errors import (
    ConfigurationError,
    HaltError,
    LedgerError,
    QueueError,
    QueueUnreachableError,
    primary_error,
)


def broken_off(cause: Exception) -> HaltError:
    """As a run ends that a trouble broke off."""
    error = HaltError("it broke off")
    error.__cause__ = cause
    return error


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[Alarm]:
    """What people are told; nothing is waited for."""
    found: list[Alarm] = []
    monkeypatch.setattr(Alerting, "tell", lambda _self, alarm: found.append(alarm))
    monkeypatch.setattr(work, "backoff", lambda _failures, _rng: 0.0)
    return found


def consume(monkeypatch: pytest.MonkeyPatch, attempts: Sequence[Exception | int]) -> int:
    """Work whose attempts end so, one after another."""
    left = list(attempts)

    async def attempt(_invocation: Invocation, _url: str, alarms: Alarms | None, _telling: object) -> int:
        assert alarms is not None
        end = left.pop(0)
        if isinstance(end, Exception):
            raise end
        return end

    monkeypatch.setattr(work, "_attempt", attempt)
    invocation: Any = Invocation(
        settings=Settings(), flags=RawSettings(), access=Access(ApiKey("k", "a test")), ledger="closeout.db"
    )
    code = anyio.run(lambda: work.consume(invocation, "queue:x", drain=False))
    assert not left
    return code


def test_a_ledger_that_fails_for_a_while_is_waited_for(monkeypatch: pytest.MonkeyPatch, told: list[Alarm]) -> None:
    """Also where the error comes in a group, or when it is opened anew."""
    lost = LedgerError("the database is away")
    assert consume(monkeypatch, [broken_off(lost), lost, ExceptionGroup("", [broken_off(lost)]), 143]) == 143
    assert [(alarm.about, alarm.text) for alarm in told] == [("ledger", "the database is away")]


def test_a_queue_that_is_away_at_first_is_waited_for(monkeypatch: pytest.MonkeyPatch, told: list[Alarm]) -> None:
    """Services start in any order."""
    assert consume(monkeypatch, [QueueUnreachableError("away")] * 3 + [130]) == 130
    assert [alarm.text for alarm in told] == ["away"]


@pytest.mark.parametrize(
    "error",
    [
        LedgerError("no such folder"),
        QueueError("wrong password"),
        ConfigurationError("no such option"),
        broken_off(ConfigurationError("another organisation")),
    ],
)
def test_what_does_not_pass_ends_it(monkeypatch: pytest.MonkeyPatch, told: list[Alarm], error: Exception) -> None:
    """In its own words; so does a ledger that could not be opened even once."""
    with pytest.raises((type(error), ExceptionGroup)) as raised:
        consume(monkeypatch, [error])
    assert primary_error(raised.value) is error
    assert told == []
