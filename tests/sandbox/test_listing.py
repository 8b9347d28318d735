"""Listing: the pages are the filtered, sorted whole; what cannot be asked is refused."""

import itertools
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from closeout.worker.sandbox import Sandbox, SandboxConfig
from closeout.worker.sandbox.config import Dialect
from closeout.worker.sandbox.evaluations import NO_EVALS, EvalCounts
from closeout.worker.sandbox.facets import facet
from closeout.worker.sandbox.listing import choose_page, encode_cursor, read_query
from closeout.worker.sandbox.sessions import Session, Store, make_sessions
from closeout.worker.sandbox.times import iso
from tests.sandbox.support import DAY, V21, V90, Talk, talking

MINUTE_US = 60_000_000


def small_store(seed: int, count: int) -> tuple[Store, list[Session]]:
    """Make sessions that share few values of ``started_at``, so that ties are common."""
    luck = random.Random(seed)
    mix = {"active": 2.0, "closed": 1.0, "paused": 1.0}
    sessions = make_sessions(
        luck, count, organisation="own", statuses=mix, started_us=(0, 10 * MINUTE_US), overrides=None
    )
    for session in sessions:
        session.started_us -= session.started_us % MINUTE_US
        session.deleted = luck.random() < 0.1
    store = Store()
    store.add(sessions[: count // 2])
    store.add(sessions[count // 2 :])
    return store, sessions


def no_evals(_session: Session) -> EvalCounts:
    return NO_EVALS


@settings(max_examples=150)
@given(
    seed=st.integers(0, 50),
    count=st.integers(0, 40),
    limit=st.integers(1, 7),
    status=st.sampled_from([None, "active", "closed", "queued"]),
    channel=st.sampled_from([None, "voice", "sms"]),
    after=st.none() | st.integers(0, 11),
    before=st.none() | st.integers(0, 11),
)
def test_the_pages_together_are_the_filtered_whole_newest_first(
    *,
    seed: int,
    count: int,
    limit: int,
    status: str | None,
    channel: str | None,
    after: int | None,
    before: int | None,
) -> None:
    store, sessions = small_store(seed, count)
    wanted = [
        session
        for session in sessions
        if not session.deleted
        and status in (None, session.status)
        and channel in (None, facet(session, "channel"))
        and (after is None or session.started_us >= after * MINUTE_US)
        and (before is None or session.started_us <= before * MINUTE_US)
    ]
    wanted.sort(key=lambda session: (session.started_us, session.id), reverse=True)
    parts = {"limit": limit, "status": status, "channel": channel}
    window = {"started_after": after, "started_before": before}
    parts |= {name: None if at is None else iso(at * MINUTE_US) for name, at in window.items()}
    query = "&".join(f"{name}={value}" for name, value in parts.items() if value is not None)
    assert pages(store, query, limit) == wanted


def pages(store: Store, query: str, limit: int) -> list[Session]:
    found: list[Session] = []
    cursor = ""
    while True:
        page = choose_page(store.timeline("own"), read_query("1.21", query + cursor), no_evals)
        found += page.sessions
        assert len(page.sessions) == limit or page.next_cursor is None
        if page.next_cursor is None:
            return found
        cursor = f"&cursor={page.next_cursor}"


def walk(talk: Talk, **query: Any) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = []
    for _ in itertools.count():
        answer = talk.list(**query).json()
        items += answer["items"]
        if not answer["has_more"]:
            assert "next_cursor" not in answer
            return items
        query["cursor"] = answer["next_cursor"]
    raise AssertionError


def test_a_listing_goes_on_where_it_was_while_sessions_close() -> None:
    with talking() as talk:
        ids = talk.sandbox.add_sessions(130, started=DAY)
        first = talk.list(status="active").json()
        assert len(first["items"]) == 50
        for item in first["items"]:
            talk.close(item["id"])
        rest = walk(talk, status="active", cursor=first["next_cursor"])
    assert {item["id"] for item in first["items"] + rest} == set(ids)
    assert len(rest) == 80


def test_both_ends_of_the_window_are_included() -> None:
    with talking() as talk:
        talk.sandbox.add_sessions(20, started=DAY)
        starts = sorted(item["started_at"] for item in walk(talk))
        window = walk(talk, started_after=starts[3], started_before=starts[7])
    assert sorted(item["started_at"] for item in window) == starts[3:8]


def test_instants_may_have_an_offset_or_none() -> None:
    for text in ("1970-01-01T02:00:00%2B02:00", "1970-01-01T00:00:00Z", "1970-01-01T00:00:00", "1970-01-01"):
        assert read_query("1.21", f"started_after={text}").after_us == 0


def test_organisations_do_not_see_each_other() -> None:
    with talking() as talk:
        talk.sandbox.add_sessions(2, organisation="other")
        [own] = talk.sandbox.add_sessions(1)
        assert [item["id"] for item in walk(talk)] == [own]


@pytest.mark.parametrize("name", ["end_user_id", "assigned_agent_id", "priority", "channel"])
def test_filters_by_value_in_both_dialects(name: str) -> None:
    with talking() as talk:
        talk.sandbox.add_sessions(40)
        everything = walk(talk, base=V90)
        value = next(item[name] for item in everything if item[name])
        expected = [item for item in everything if item[name] == value]
        assert walk(talk, base=V90, **{name: value}) == expected
        assert len(walk(talk, base=V21, **{name: value})) == len(expected)


def test_the_newer_dialect_has_more_filters_and_the_older_ignores_them() -> None:
    with talking() as talk:
        [one, *_] = talk.sandbox.add_sessions(5)
        session = talk.read(one).json()
        asked = {
            "id": one.upper(),
            "external_session_id": session["external_session_id"],
            "from_number": session["metadata"]["from_number"],
            "email": session["metadata"]["email"],
        }
        for name, value in asked.items():
            assert [item["id"] for item in walk(talk, base=V90, **{name: value})] == [one]
            assert len(walk(talk, base=V21, **{name: value})) == 5
        assert len(walk(talk, base=V90, to_number="+46850000000")) == 5


def test_free_text_looks_into_subject_and_summary() -> None:
    with talking() as talk:
        [one, *_] = talk.sandbox.add_sessions(5)
        assert [item["id"] for item in walk(talk, q=f"marker-{one[:8]}")] == [one]


def test_filters_by_evaluations() -> None:
    with talking(SandboxConfig(failure_share=0.4, premature_none=0)) as talk:
        ids = talk.sandbox.add_sessions(60, already_closed=True)
        ids += talk.sandbox.add_sessions(5)
        evals = {item["id"]: item["eval_summary"] for item in walk(talk)}
        expected = {
            "has_evals": {one for one in ids if evals[one]["total"]},
            "no_evals": {one for one in ids if not evals[one]["total"]},
            "all_passed": {one for one in ids if 0 < evals[one]["total"] == evals[one]["succeeded"]},
            "any_failed": {one for one in ids if evals[one]["failed"]},
        }
        for name, wanted in expected.items():
            assert wanted
            assert {item["id"] for item in walk(talk, eval_filter=name)} == wanted


@pytest.mark.parametrize(
    "query",
    [
        {"limit": "0"},
        {"limit": "201"},
        {"limit": "many"},
        {"status": "asleep"},
        {"status": "pending_dispatch"},
        {"priority": "p0"},
        {"eval_filter": "some"},
        {"started_after": "yesterday"},
        {"end_user_id": "x"},
    ],
)
def test_what_cannot_be_asked_is_refused(query: dict[str, str]) -> None:
    with talking() as talk:
        answer = talk.list(**query)
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"] == ["query", *query]


@pytest.mark.parametrize("cursor", ["", "x", "!!", "bm90LWEtY3Vyc29y"])
def test_a_cursor_of_somebody_else_is_refused(cursor: str) -> None:
    with talking() as talk:
        assert talk.list(cursor=cursor).status_code == 400


@pytest.mark.parametrize("dialect", ["1.21", "1.90"])
def test_a_cursor_survives_the_way_there_and_back(dialect: Dialect) -> None:
    session = Session("00000000-0000-4000-8000-00000000000a", "own", "active", 1_234_567)
    query = read_query(dialect, f"cursor={encode_cursor(session)}&limit=200")
    assert query.cursor == (session.started_us, session.id)


def test_ids_are_decided_by_the_seed() -> None:
    def ids(seed: int) -> list[str]:
        return Sandbox(SandboxConfig(seed=seed)).add_sessions(10)

    assert ids(1) == ids(1) != ids(2)
    assert len(set(ids(1) + ids(2))) == 20


def test_fields_of_one_session_change_while_it_is_served() -> None:
    """In answers and filters alike; when it changed shows."""
    with talking() as talk:
        one, other = talk.sandbox.add_sessions(2, fields={"session_type": "test", "channel": "sms"})
        talk.sandbox.set_fields(one, {"session_type": "simulation", "channel": "voice", "ttl_expires_at": None})
        [changed] = walk(talk, channel="voice")
        assert (changed["id"], changed["session_type"], changed["ttl_expires_at"]) == (one, "simulation", None)
        assert changed["updated_at"] == iso(talk.sandbox.now_us())
        [kept] = walk(talk, channel="sms")
        assert (kept["id"], kept["session_type"]) == (other, "test")


def test_a_session_that_is_heard_from_is_not_idle() -> None:
    """Its last message is of now, and that of the others is not."""
    with talking() as talk:
        one, other = talk.sandbox.add_sessions(2, fields={"channel": "chat"})
        talk.sandbox.hear_from(one)
        now = iso(talk.sandbox.now_us())
        assert {item["id"]: item["last_message_at"] == now for item in walk(talk)} == {one: True, other: False}
        assert talk.read(one).json()["updated_at"] == now
