"""A session as JSON, in either dialect. Written by hand: at thousands of answers a second, it is the main cost."""

import json
from collections.abc import Mapping

from closeout.worker.sandbox import facets
from closeout.worker.sandbox.config import Dialect
from closeout.worker.sandbox.evaluations import EvalCounts
from closeout.worker.sandbox.sessions import Session
from closeout.worker.sandbox.times import iso

_RETENTION_US = 30 * 86_400_000_000
_MEMORY_SYNC_US = 2_000_000  # how long the copy into long-term memory takes after a close


def render_session(session: Session, dialect: Dialect, organisation_id: str, evals: EvalCounts, now_us: int) -> str:
    """Give the whole session object. Only ASCII without quotes goes in by itself; the rest passes through json."""
    sid = session.id
    n = facets.number(sid)
    name, phone, marker = facets.name(n), facets.phone(n), facets.marker(sid)
    channel = facets.channel(n)
    started = iso(session.started_us)
    ttl_us = facets.ttl_us(n, session.started_us)
    text = (
        f'{{"id":"{sid}","organization_id":"{organisation_id}","end_user_id":"{facets.end_user_id(n)}",'
        f'"channel":"{channel}","status":"{session.status}","priority":"{facets.priority(n)}",'
        f'"message_count":{2 + n % 40},"started_at":"{started}","created_at":"{started}",'
        f'"external_session_id":"ext-{sid[:13]}","session_type":"live",'
        f'"subject":"{facets.subject(sid)}","summary":"{facets.summary(sid)}",'
        f'"assigned_agent_id":{_quoted(facets.agent_id(n))},"retention_policy_id":null,'
        f'"summary_preview":"{name} {marker}","metadata":{{"customer_name":"{name}","note":"{marker}",'
        f'"email":"{facets.email(sid)}","from_number":"{phone}","to_number":"{facets.OUR_NUMBER}"}},'
        f'"context_variables":{{"caller":"{name}","phone":"{phone}","secret":"{marker}"}},'
        f'"ttl_expires_at":{_quoted(None if ttl_us is None else iso(ttl_us))},"archived_at":null,'
        f'"has_recording":{_json_bool(channel == "voice")},{_times(session, n, started, now_us)},'
        f'{_memory(session, n, dialect, now_us)},"eval_summary":{_render_evals(evals)}}}'
    )
    return text if session.overrides is None else _override(text, session.overrides)


def render_detail(text: str, session: Session) -> str:
    """Add to a rendered session what only reading it by id shows."""
    n = facets.number(session.id)
    recording = f"https://recordings.example/{session.id}.ogg" if facets.channel(n) == "voice" else None
    turns = (
        f'[{{"role":"user","content":"This is {facets.name(n)} {facets.marker(session.id)}"}},'
        f'{{"role":"agent","content":"How can I help with {facets.topic(n)}?"}}]'
    )
    return f'{text[:-1]},"recent_turns":{turns},"recording_url":{_quoted(recording)}}}'


def _times(session: Session, n: int, started: str, now_us: int) -> str:
    end_us = now_us if session.closed_us is None else session.closed_us
    last = iso(max(session.started_us, min(session.started_us + facets.talk_us(n), end_us)))
    updated = last if session.updated_us is None else iso(session.updated_us)
    if session.closed_us is None:
        return (
            f'"updated_at":"{updated}","first_message_at":"{started}","last_message_at":"{last}","ended_at":null,'
            '"closed_at":null,"retention_expires_at":null,"duration_ms":null'
        )
    closed = updated if session.updated_us == session.closed_us else iso(session.closed_us)
    return (
        f'"updated_at":"{updated}","first_message_at":"{started}","last_message_at":"{last}","ended_at":"{closed}",'
        f'"closed_at":"{closed}","retention_expires_at":"{iso(session.closed_us + _RETENTION_US)}",'
        f'"duration_ms":{(session.closed_us - session.started_us) // 1000}'
    )


def _memory(session: Session, n: int, dialect: Dialect, now_us: int) -> str:
    synced = session.closed_us is not None and now_us - session.closed_us >= _MEMORY_SYNC_US
    if dialect == "1.21":
        return f'"origin":"{"inbound" if n % 2 else "outbound"}","memory_synced":{_json_bool(synced)}'
    surface = "telephony" if facets.channel(n) == "voice" else "widget"
    return f'"surface":"{surface}","memory_sync_state":"{"synced" if synced else "pending"}"'


def _render_evals(evals: EvalCounts) -> str:
    return (
        f'{{"total":{evals.total},"succeeded":{evals.succeeded},"failed":{evals.failed},"pending":{evals.pending},'
        f'"critical_total":{evals.critical_total},"critical_succeeded":{evals.critical_succeeded},'
        f'"critical_failed":{evals.critical_failed},"critical_pending":{evals.critical_pending},'
        f'"eval_status":"{evals.eval_status}"}}'
    )


def _override(text: str, overrides: Mapping[str, object]) -> str:
    return json.dumps({**json.loads(text), **overrides}, separators=(",", ":"))


def drift(text: str) -> str:
    """Change a rendered session as a later release might: fields and values unknown today, others gone."""
    session = json.loads(text)
    for optional in ("duration_ms", "has_recording", "summary_preview", "metadata", "retention_policy_id"):
        session.pop(optional, None)
    session |= {
        "channel": "hologram",
        "priority": "p0",
        "session_type": "rehearsal",
        "policy": {"status": "closed_by_policy", "version": 3},
        "sentiments": [{"name": "calm", "score": 0.93}, None],
    }
    return json.dumps(session, separators=(",", ":"))


def _quoted(text: str | None) -> str:
    return "null" if text is None else f'"{text}"'


def _json_bool(value: bool) -> str:
    return "true" if value else "false"
