"""A rule against a world of sessions, over HTTP: what is listed and chosen is what the sessions say themselves."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from closeout.worker.api.client import Api
from closeout.worker.domain.session import SessionRow
from closeout.worker.policy.selection import Age, Selection, listings, mismatch
from closeout.worker.sandbox import Sandbox, SandboxConfig, running_sandbox
from closeout.worker.sandbox.evaluations import NO_EVALS
from closeout.worker.sandbox.facets import agent_id, end_user_id, number
from closeout.worker.sandbox.rendering import render_session
from tests.api.support import client
from tests.sandbox.support import START, Clock

pytestmark = pytest.mark.anyio
MIX = {"active": 4.0, "paused": 2.0, "waiting_for_human": 1.0, "ringing": 1.0, "closed": 2.0, "expired": 1.0}
HOUR = 3_600_000
Shown = dict[str, Any]


@contextmanager
def world() -> Iterator[tuple[Sandbox, str, datetime]]:
    """Some 1,500 sessions of all kinds, on a server whose clock stands still, five minutes ahead of the test's."""
    clock = Clock()
    sandbox = Sandbox(SandboxConfig(api_key="key-0f9e8d7c6b5a", clock_offset=300), clock=clock, monotonic=clock)
    now = datetime.fromtimestamp(clock.now + 300, UTC)
    spread = (START - timedelta(days=6), now)
    sandbox.add_sessions(900, status=MIX, started=spread)
    sandbox.add_sessions(300, status=MIX, started=spread, fields={"session_type": "test"})
    sandbox.add_sessions(100, status=MIX, started=spread, fields={"last_message_at": None, "ttl_expires_at": None})
    sandbox.add_sessions(100, status=MIX, started=spread, fields={"last_message_at": "soon", "session_type": None})
    sandbox.add_sessions(100, status=MIX, started=(now - timedelta(seconds=1), now))
    with running_sandbox(sandbox) as url:
        yield sandbox, url, now


async def chosen(api: Api, selection: Selection, now: int) -> tuple[set[str], list[SessionRow]]:
    """The ids that the rule chooses of all that is listed for it, and all that was listed."""
    rows: list[SessionRow] = []
    for listing in listings(selection, now):
        cursor = None
        while True:
            answer = await api.list_sessions(listing, cursor)
            assert answer.from_api
            rows += answer.rows
            cursor = answer.cursor
            if cursor is None:
                break
    return {row.session_id for row in rows if mismatch(selection, row, now) is None}, rows


def instant(shown: Shown, field: str) -> datetime | None:
    """An instant that a session shows, if it shows one."""
    value = shown[field]
    return datetime.fromisoformat(value) if value and value[0].isdigit() else None


def idle(shown: Shown, now: datetime, span: timedelta) -> bool:
    """Whether nobody has written for so long."""
    last = instant(shown, "last_message_at")
    return last is not None and last <= now - span and datetime.fromisoformat(shown["started_at"]) <= now - span


CASES: dict[str, tuple[Selection, Callable[[Shown, datetime], bool]]] = {
    "idle": (
        Selection(statuses=("active", "paused"), idle_for=24 * HOUR),
        lambda s, now: idle(s, now, timedelta(days=1)),
    ),
    "expired": (
        Selection(statuses=("active", "paused"), expired=True),
        lambda s, now: (ttl := instant(s, "ttl_expires_at")) is not None and ttl <= now,
    ),
    "tests of one channel": (
        Selection(statuses=("active", "paused"), session_type="test", channel="voice"),
        lambda s, _: s["session_type"] == "test" and s["channel"] == "voice",
    ),
    "a window": (
        Selection(statuses=("active",), priority="normal", started_after=Age(72 * HOUR), started_before=Age(HOUR)),
        lambda s, now: (
            (s["status"], s["priority"]) == ("active", "normal")
            and timedelta(hours=1) <= now - datetime.fromisoformat(s["started_at"]) <= timedelta(hours=72)
        ),
    ),
    "paused": (Selection(statuses=("paused",)), lambda s, _: s["status"] == "paused"),
    "waiting, in so many words": (
        Selection(statuses=("waiting_for_human",), protected=frozenset(), idle_for=HOUR),
        lambda s, now: s["status"] == "waiting_for_human" and idle(s, now, timedelta(hours=1)),
    ),
}


@pytest.mark.parametrize("case", CASES)
async def test_what_is_chosen_is_what_matches(case: str) -> None:
    """No less and no more; and little is listed in vain."""
    selection, matches = CASES[case]
    with world() as (sandbox, url, now):
        async with client(url) as api:
            found, rows = await chosen(api, selection, int(now.timestamp() * 1000))
        shown = [json.loads(text) for text in _shown(sandbox)]
    expected = {s["id"] for s in shown if s["status"] in selection.statuses and matches(s, now)}
    assert found == expected
    assert 0 < len(expected) < len(shown)
    assert {row.status for row in rows} <= set(selection.statuses)


async def test_filters_by_who_took_part() -> None:
    """The assistant and the end user."""
    with world() as (sandbox, url, now):
        active = (session for session in sandbox.store.by_id.values() if session.status == "active")
        one = next(session for session in active if agent_id(number(session.id)))
        n = number(one.id)
        for selection in (
            Selection(statuses=("active",), end_user=end_user_id(n)),
            Selection(statuses=("active",), assistant=agent_id(n)),
        ):
            async with client(url) as api:
                found, rows = await chosen(api, selection, int(now.timestamp() * 1000))
            assert one.id in found
            assert found == {row.session_id for row in rows} != set(sandbox.store.by_id)


def _shown(sandbox: Sandbox) -> list[str]:
    now_us = sandbox.now_us()
    every = sandbox.store.by_id.values()
    return [render_session(session, "1.21", "o", NO_EVALS, now_us) for session in every]
