"""Closing a session: what it answers, what it stores, what it refuses."""

from datetime import UTC, datetime

import httpx
import pytest

from closeout.worker.sandbox import PRIVATE_MARKER, SandboxConfig
from tests.sandbox.support import DAY, V21, V90, talking

REQUIRED = {"id", "organization_id", "end_user_id", "channel", "status", "priority", "message_count"} | {
    "started_at",
    "created_at",
    "updated_at",
}
OPTIONAL = {
    *("external_session_id", "session_type", "subject", "assigned_agent_id", "retention_policy_id", "summary"),
    *("metadata", "context_variables", "first_message_at", "last_message_at", "ended_at", "closed_at"),
    *("ttl_expires_at", "retention_expires_at", "archived_at", "duration_ms", "summary_preview", "has_recording"),
    "eval_summary",
}


def test_a_close_answers_with_the_whole_session_in_each_dialect() -> None:
    with talking() as talk:
        first, second = talk.sandbox.add_sessions(2, started=DAY)
        old = talk.close(first).json()
        new = talk.close(second, base=V90).json()
    assert old.keys() == REQUIRED | OPTIONAL | {"origin", "memory_synced"}
    assert new.keys() == REQUIRED | OPTIONAL | {"surface", "memory_sync_state"}
    assert old["id"] == first
    assert old["status"] == new["status"] == "closed"


def test_closing_stamps_the_servers_clock_on_the_session_and_on_the_date_header() -> None:
    with talking(SandboxConfig(clock_offset=90)) as talk:
        [session_id] = talk.sandbox.add_sessions(1, started=DAY)
        answer = talk.close(session_id)
        expected = datetime.fromtimestamp(talk.clock.now + 90, UTC)
        assert datetime.fromisoformat(answer.json()["closed_at"]) == expected
        assert answer.headers["date"] == expected.strftime("%a, %d %b %Y %H:%M:%S GMT")
        assert talk.sandbox.truth(session_id).closed_at == expected


def test_personal_data_carries_the_marker() -> None:
    with talking() as talk:
        [session_id] = talk.sandbox.add_sessions(1)
        session = talk.close(session_id).json()
    for field in ("subject", "summary", "summary_preview", "metadata", "context_variables"):
        assert PRIVATE_MARKER in str(session[field])


@pytest.mark.parametrize("body", [b"", b"{}", b"null", b'{"reason": null}', b'{"reason": "resolved", "more": 1}'])
def test_bodies_that_are_taken(body: bytes) -> None:
    with talking() as talk:
        [session_id] = talk.sandbox.add_sessions(1)
        assert talk.http.post(f"{V21}/{session_id}/close", content=body).status_code == 200


@pytest.mark.parametrize(
    ("body", "place", "kind"),
    [
        (b'{"reason": 5}', ["body", "reason"], "string_type"),
        (b'{"reason": "%s"}' % (b"x" * 65), ["body", "reason"], "string_too_long"),
        (b"[]", ["body"], "model_attributes_type"),
        (b"{", ["body", 0], "json_invalid"),
        (b"\xff", ["body", 0], "json_invalid"),
    ],
)
def test_bodies_that_are_refused_close_nothing(body: bytes, place: list[object], kind: str) -> None:
    with talking() as talk:
        [session_id] = talk.sandbox.add_sessions(1)
        answer = talk.http.post(f"{V21}/{session_id}/close", content=body)
        truth = talk.sandbox.truth(session_id)
    assert answer.status_code == 422
    assert (answer.json()["detail"][0]["loc"], answer.json()["detail"][0]["type"]) == (place, kind)
    assert (truth.status, truth.closes_received, truth.closes_effective) == ("active", 1, 0)


@pytest.mark.parametrize(
    ("base", "reason", "stored"),
    [
        (V21, "resolved", "resolved"),
        (V21, "x" * 64, "unknown"),
        (V21, "call_ended", "unknown"),
        (V90, "call_ended", "call_ended"),
    ],
)
def test_reasons_are_stored_as_the_dialect_knows_them(base: str, reason: str, stored: str) -> None:
    with talking() as talk:
        [session_id] = talk.sandbox.add_sessions(1)
        assert talk.close(session_id, {"reason": reason}, base).status_code == 200
        assert talk.sandbox.truth(session_id).reason == stored


def test_ids_that_are_no_uuid_are_refused_and_other_spellings_are_taken() -> None:
    with talking() as talk:
        [session_id] = talk.sandbox.add_sessions(1)
        refused = talk.close("not-a-uuid")
        assert refused.status_code == 422
        assert refused.json()["detail"][0]["loc"][0] == "path"
        assert talk.close(session_id.upper().replace("-", "")).json()["id"] == session_id


def test_sessions_that_are_missing_or_of_another_organisation_are_not_found() -> None:
    with talking() as talk:
        [foreign] = talk.sandbox.add_sessions(1, organisation="other")
        talk.sandbox.add_key("other-key", organisation="other")
        for session_id in (foreign, "00000000-0000-4000-8000-000000000000"):
            for answer in (talk.close(session_id), talk.read(session_id)):
                assert answer.status_code == 404
                assert answer.json().keys() == {"error", "message"}
        assert talk.close(foreign, headers={"x-api-key": "other-key"}).status_code == 200


@pytest.mark.parametrize("second", ["200", "400", "409"])
def test_a_second_close_changes_nothing(second: str) -> None:
    with talking(SandboxConfig(second_close=second)) as talk:  # type: ignore[arg-type]  # three literals, from pytest
        [session_id] = talk.sandbox.add_sessions(1)
        first_closed_at = talk.close(session_id).json()["closed_at"]
        talk.clock.now += 60
        answer = talk.close(session_id)
        truth = talk.sandbox.truth(session_id)
    assert answer.status_code == int(second)
    if second == "200":
        assert answer.json()["closed_at"] == first_closed_at
    assert (truth.closes_received, truth.closes_effective, truth.closes_repeated) == (2, 1, 1)
    assert truth.post_times[1] - truth.post_times[0] == 60


def test_a_session_closed_before_the_run_keeps_its_time_and_has_its_verdict() -> None:
    with talking(SandboxConfig(unfinished_share=1)) as talk:
        ids = talk.sandbox.add_sessions(50, already_closed=True, started=DAY)
        answers = [talk.close(session_id).json() for session_id in ids]
        for answer in answers:
            assert datetime.fromisoformat(answer["closed_at"]).timestamp() == talk.clock.now - 3600
            assert answer["eval_summary"]["pending"] == 0
            assert talk.sandbox.truth(answer["id"]).closes_effective == 0


def test_a_close_by_somebody_else_is_not_counted_as_ours() -> None:
    with talking() as talk:
        [session_id] = talk.sandbox.add_sessions(1)
        talk.sandbox.close_elsewhere(session_id, "resolved")
        truth = talk.sandbox.truth(session_id)
        assert (truth.status, truth.reason, truth.closes_effective) == ("closed", "resolved", 0)
        assert talk.read(session_id).json()["status"] == "closed"


@pytest.mark.parametrize("base", [V21, V90])
def test_errors_have_the_shape_of_their_dialect(base: str) -> None:
    with talking() as talk:
        body = talk.http.get(base, headers={"x-api-key": "wrong"}).json()
    assert body["error"] == "unauthorized"
    assert body.keys() == ({"error", "message"} if base == V21 else {"error", "message", "retryable"})


def test_a_dialect_that_is_not_served_is_not_found() -> None:
    with talking(SandboxConfig(dialects=("1.21",))) as talk:
        assert talk.list(V21).status_code == 200
        assert talk.list(V90).status_code == 404


def test_wrong_methods_and_paths() -> None:
    with talking() as talk:
        [session_id] = talk.sandbox.add_sessions(1)
        assert talk.http.get(f"{V21}/{session_id}/close").status_code == 405
        assert talk.http.put(f"{V21}/{session_id}").status_code == 405
        assert talk.http.head(V21).status_code == 405
        assert talk.http.get(f"{V21}/{session_id}/nothing").status_code == 404
        assert talk.http.get("/elsewhere").status_code == 404
        assert talk.http.get(f"{V21}x").status_code == 404


def test_keys_can_be_missing_limited_and_revoked() -> None:
    with talking() as talk:
        [session_id] = talk.sandbox.add_sessions(1)
        talk.sandbox.add_key("reader", scopes={"conversations:read"})
        talk.sandbox.add_key("manager", scopes={"conversations:manage"})
        reader, manager = {"x-api-key": "reader"}, {"x-api-key": "manager"}
        assert talk.http.get(V21, headers=reader).status_code == 200
        assert talk.close(session_id, headers=reader).status_code == 403
        assert talk.http.get(V21, headers=manager).status_code == 403
        assert talk.close(session_id, headers=manager).status_code == 200
        talk.sandbox.revoke_key("reader")
        assert talk.http.get(V21, headers=reader).status_code == 401
        assert httpx.get(talk.http.base_url.join(V21)).status_code == 401
        assert talk.sandbox.stats()["bad_keys"] == 2


def test_whoami_names_the_organisation() -> None:
    with talking() as talk:
        [session_id] = talk.sandbox.add_sessions(1)
        me = talk.http.get("/v1/identity/whoami").json()
        assert me.keys() >= {"id", "email", "role", "organization_id"}
        assert me["organization_id"] == talk.read(session_id).json()["organization_id"]


def test_only_ended_sessions_can_be_deleted() -> None:
    with talking() as talk:
        [session_id] = talk.sandbox.add_sessions(1)
        assert talk.http.delete(f"{V21}/{session_id}").status_code == 409
        talk.close(session_id)
        deleted = talk.http.delete(f"{V21}/{session_id}")
        assert (deleted.status_code, deleted.content) == (204, b"")
        assert talk.read(session_id).status_code == 404
        assert talk.list().json()["items"] == []
        assert talk.sandbox.truth(session_id).deleted


def test_reevaluating_waits_for_pending_evaluations() -> None:
    with talking(SandboxConfig(no_critical_share=0, premature_none=0.5)) as talk:
        [session_id] = talk.sandbox.add_sessions(1)
        path = f"{V21}/{session_id}/reevaluate"
        assert talk.http.post(path).status_code == 409
        talk.close(session_id)
        talk.clock.now += 0.6
        assert talk.http.post(path).status_code == 409
        talk.clock.now += 10
        assert talk.http.post(path).status_code == 202
        assert talk.read(session_id).json()["eval_summary"]["eval_status"] == "pending"


def test_reading_adds_the_turns_and_the_recording() -> None:
    with talking() as talk:
        [session_id] = talk.sandbox.add_sessions(1)
        session = talk.read(session_id).json()
        assert PRIVATE_MARKER in str(session["recent_turns"])
        assert "recording_url" in session
        assert (session["status"], session["closed_at"]) == ("active", None)
        assert talk.sandbox.truth(session_id).reads == 1


def test_fields_set_for_a_batch_are_shown_and_filtered_by() -> None:
    with talking() as talk:
        talk.sandbox.add_sessions(3, fields={"channel": "fax", "ttl_expires_at": "2026-03-01T00:00:00Z"})
        talk.sandbox.add_sessions(3)
        items = talk.list(channel="fax").json()["items"]
    assert [item["channel"] for item in items] == ["fax"] * 3
    assert items[0]["ttl_expires_at"] == "2026-03-01T00:00:00Z"
