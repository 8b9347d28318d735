"""Answering one request: who asks, may they, what happens, and what is said about it. Synchronous, without I/O."""

import json
import math
from collections.abc import Callable, Mapping

from closeout.worker.sandbox.config import Dialect
from closeout.worker.sandbox.faults import Fault, draw_fault, parse_fault
from closeout.worker.sandbox.listing import choose_page, read_query
from closeout.worker.sandbox.reasons import stored_reason
from closeout.worker.sandbox.rendering import drift, render_detail, render_session
from closeout.worker.sandbox.replies import RefusedError, Reply, error_reply, html_reply, invalid_reply, json_reply
from closeout.worker.sandbox.routing import STATS, Call, Route, find_route
from closeout.worker.sandbox.sandbox import Key, Sandbox
from closeout.worker.sandbox.sessions import Session
from closeout.worker.sandbox.times import http_date
from closeout.worker.sandbox.truth import Kind

_NO_FAULT = parse_fault("ok")
_SCOPES: Mapping[Kind, frozenset[str]] = {
    "read": frozenset({"conversations:read"}),
    "list": frozenset({"conversations:read"}),
    "close": frozenset({"conversations:write", "conversations:manage"}),
    "delete": frozenset({"conversations:write", "conversations:manage"}),
    "reevaluate": frozenset({"conversations:write", "conversations:manage"}),
}
_REASON_LENGTH = 64


def answer(sandbox: Sandbox, call: Call) -> Reply:
    """Carry out one request and give its answer; whatever a close changes has changed when this returns."""
    if call.target == STATS and call.method == "GET":
        return json_reply(sandbox.stats())
    route = find_route(call.method, call.target, sandbox.config.dialects)
    _note_arrival(sandbox, route)
    try:
        reply = _admitted(sandbox, route, call)
    except RefusedError as refusal:
        reply = refusal.reply
    sandbox.counts.answers[reply.status if reply.delivery == "whole" else 0] += 1
    return reply


def _note_arrival(sandbox: Sandbox, route: Route) -> None:
    sandbox.counts.arrived(route.kind, sandbox.monotonic())
    session = sandbox.store.by_id.get(route.session_id) if route.session_id else None
    if session is not None and route.kind == "close":
        session.post_times += (sandbox.clock(),)
    elif session is not None and route.kind == "read":
        session.reads += 1
    if sandbox.on_request is not None:
        sandbox.on_request(route.kind, route.session_id)


def _admitted(sandbox: Sandbox, route: Route, call: Call) -> Reply:
    if sandbox.outage == "reset":
        return Reply(delivery="reset")
    if sandbox.outage is not None:
        return error_reply(route.dialect, 503, "The service is down")
    key = sandbox.keys.get(call.key) if call.key else None
    if key is None:
        sandbox.counts.bad_keys += 1
        return error_reply(route.dialect, 401, "The API key is missing, unknown, expired or revoked")
    _check_rate(sandbox, route.dialect, key)
    if route.problem:
        return error_reply(route.dialect, route.problem, "There is nothing here that takes this request")
    needed = _SCOPES.get(route.kind)
    if needed is not None and not needed & key.scopes:
        return error_reply(route.dialect, 403, f"The API key lacks the scope {sorted(needed)[-1]}")
    return _HANDLERS[route.kind](sandbox, route, key, call)


def _check_rate(sandbox: Sandbox, dialect: Dialect, key: Key) -> None:
    limiter = sandbox.limiter(key.organisation)
    wait = limiter.admit(sandbox.monotonic()) if limiter is not None else 0.0
    if wait > 0:
        raise RefusedError(_with_wait(sandbox, dialect, 429, "Too many requests", wait))


def _with_wait(sandbox: Sandbox, dialect: Dialect, status: int, message: str, wait: float | None) -> Reply:
    """Make an error that tells to wait so many seconds, in the configured manner."""
    how = sandbox.config.retry_after
    if wait is None or how == "none":
        return error_reply(dialect, status, message)
    if how == "body":
        return error_reply(dialect, status, message, retry_after=math.ceil(wait))
    reply = error_reply(dialect, status, message)
    if how == "seconds":
        reply.retry_after = str(math.ceil(wait))
    else:
        reply.retry_after = http_date(math.ceil(sandbox.now_us() / 1_000_000 + wait))
    return reply


def _close(sandbox: Sandbox, route: Route, key: Key, call: Call) -> Reply:
    session = _session(sandbox, route, key)
    reason = _read_reason(call.body)
    fault = _session_fault(sandbox, session, "close")
    takes_effect = sandbox.config.hang_after if fault.takes_effect is None else fault.takes_effect
    reply = None
    if takes_effect:
        reply = _carry_out(sandbox, session, route, stored_reason(route.dialect, reason), fault)
    return _spoiled(sandbox, route.dialect, fault, reply)


def _carry_out(sandbox: Sandbox, session: Session, route: Route, reason: str | None, fault: Fault) -> Reply:
    if session.terminal:
        session.closes_repeated += 1
        sandbox.counts.closes_repeated += 1
        if sandbox.config.second_close != "200":
            return error_reply(route.dialect, int(sandbox.config.second_close), "The session is closed already")
    else:
        session.closes_effective += 1
        sandbox.counts.closes_effective += 1
        session.end(sandbox.now_us(), reason=reason, stamp_us=sandbox.stamp_us)
        session.skipped_evals = fault.shape == "drift"
    return Reply(body=_render(sandbox, session, route.dialect).encode())


def _read(sandbox: Sandbox, route: Route, key: Key, _call: Call) -> Reply:
    session = _session(sandbox, route, key)
    fault = _session_fault(sandbox, session, "read")
    text = render_detail(_render(sandbox, session, route.dialect), session)
    return _spoiled(sandbox, route.dialect, fault, Reply(body=text.encode()))


def _list(sandbox: Sandbox, route: Route, key: Key, _call: Call) -> Reply:
    query = read_query(route.dialect, route.query)
    fault = _listing_fault(sandbox, route.query)
    now_us = sandbox.now_us()
    page = choose_page(sandbox.store.timeline(key.organisation), query, lambda session: sandbox.evals(session, now_us))
    texts = [_render(sandbox, session, route.dialect) for session in page.sessions]
    if fault.shape == "drift":
        texts = [drift(text) for text in texts]
        fault = _NO_FAULT
    rest = f',"has_more":true,"next_cursor":"{page.next_cursor}"' if page.next_cursor else ',"has_more":false'
    body = f'{{"items":[{",".join(texts)}]{rest}}}'
    return _spoiled(sandbox, route.dialect, fault, Reply(body=body.encode()))


def _whoami(sandbox: Sandbox, _route: Route, key: Key, _call: Call) -> Reply:
    organisation_id = sandbox.organisation_id(key.organisation)
    return json_reply(
        {
            "id": f"a9e00000-0000-4000-8000-{organisation_id[-12:]}",
            "email": f"operations@{key.organisation}.example",
            "role": "admin",
            "organization_id": organisation_id,
            "scopes": sorted(key.scopes),
        }
    )


def _delete(sandbox: Sandbox, route: Route, key: Key, _call: Call) -> Reply:
    session = _session(sandbox, route, key)
    if not session.terminal:
        return error_reply(route.dialect, 409, "The session is live; close it first")
    session.deleted = True
    return Reply(204)


def _reevaluate(sandbox: Sandbox, route: Route, key: Key, _call: Call) -> Reply:
    session = _session(sandbox, route, key)
    now_us = sandbox.now_us()
    if not session.terminal or sandbox.evals(session, now_us).pending:
        return error_reply(route.dialect, 409, "An evaluation of the session is pending, or it is live")
    # The runs are queued at once here: only the close leaves a time in which none is to be seen.
    session.evals_from_us = now_us - int(sandbox.config.premature_none * 1_000_000)
    return json_reply({"id": session.id, "status": "queued"}, 202)


_HANDLERS: Mapping[Kind, Callable[[Sandbox, Route, Key, Call], Reply]] = {
    "close": _close,
    "read": _read,
    "list": _list,
    "whoami": _whoami,
    "delete": _delete,
    "reevaluate": _reevaluate,
}


def _session(sandbox: Sandbox, route: Route, key: Key) -> Session:
    if route.session_id is None:
        message = "Input should be a valid UUID"
        raise RefusedError(invalid_reply(("path", "conversation_id"), "uuid_parsing", message))
    session = sandbox.store.by_id.get(route.session_id)
    if session is None or session.deleted or session.organisation != key.organisation:
        raise RefusedError(error_reply(route.dialect, 404, "There is no such conversation"))
    return session


def _render(sandbox: Sandbox, session: Session, dialect: Dialect) -> str:
    now_us = sandbox.now_us()
    organisation_id = sandbox.organisation_id(session.organisation)
    return render_session(session, dialect, organisation_id, sandbox.evals(session, now_us), now_us)


def _read_reason(body: bytes) -> str | None:
    if body in (b"", b"{}", b"null"):
        return None
    try:
        value = json.loads(body)
    except ValueError:
        raise RefusedError(invalid_reply(("body", 0), "json_invalid", "JSON decode error")) from None
    if value is None:
        return None
    if not isinstance(value, dict):
        raise RefusedError(invalid_reply(("body",), "model_attributes_type", "Input should be an object"))
    reason = value.get("reason")
    if reason is not None and not isinstance(reason, str):
        raise RefusedError(invalid_reply(("body", "reason"), "string_type", "Input should be a valid string"))
    if reason is not None and len(reason) > _REASON_LENGTH:
        message = f"String should have at most {_REASON_LENGTH} characters"
        raise RefusedError(invalid_reply(("body", "reason"), "string_too_long", message))
    return reason


def _session_fault(sandbox: Sandbox, session: Session, kind: Kind) -> Fault:
    name = _scripted(session, kind)
    if name is None:
        name = _drawn_close(sandbox, session) if kind == "close" else _drawn_read(sandbox, session)
    return _counted(sandbox, name)


def _scripted(session: Session, kind: Kind) -> str | None:
    script = session.scripts.get(kind) if session.scripts is not None else None
    return script.pop(0) if script else None


def _drawn_close(sandbox: Sandbox, session: Session) -> str | None:
    session.nth_close += 1
    shares = sandbox.config.close_faults
    if not shares or not _may_fail(sandbox, session.close_faults):
        return None
    name = draw_fault(sandbox.config.seed, "close", session.id, session.nth_close, shares)
    session.close_faults += name is not None
    return name


def _drawn_read(sandbox: Sandbox, session: Session) -> str | None:
    session.nth_read += 1
    shares = sandbox.config.read_faults
    if not shares or not _may_fail(sandbox, session.read_faults):
        return None
    name = draw_fault(sandbox.config.seed, "read", session.id, session.nth_read, shares)
    session.read_faults += name is not None
    return name


def _listing_fault(sandbox: Sandbox, query: str) -> Fault:
    shares = sandbox.config.list_faults
    if not shares:
        return _NO_FAULT
    nth, failed = sandbox.listings.get(query, (0, 0))
    name = draw_fault(sandbox.config.seed, "list", query, nth, shares) if _may_fail(sandbox, failed) else None
    sandbox.listings[query] = (nth + 1, failed + (name is not None))
    return _counted(sandbox, name)


def _may_fail(sandbox: Sandbox, so_far: int) -> bool:
    bound = sandbox.config.max_faults_per_session
    return bound is None or so_far < bound


def _counted(sandbox: Sandbox, name: str | None) -> Fault:
    if name is None:
        return _NO_FAULT
    sandbox.counts.faults[name] += 1
    return parse_fault(name)


def _spoiled(sandbox: Sandbox, dialect: Dialect, fault: Fault, reply: Reply | None) -> Reply:
    """Give what a fault makes of the right answer; ``reply`` is None where the request was not carried out."""
    if fault.shape == "status":
        wait = sandbox.config.fault_retry_after if fault.status in (429, 503) else None
        return _with_wait(sandbox, dialect, fault.status, "Something went wrong", wait)
    if fault.shape == "html" or reply is None:
        return _unanswered(fault)
    if fault.shape == "not_json":
        return Reply(body=b"upstream said: {id: ok, " + b"\x00" * 8, content_type="application/json")
    if fault.shape == "drift" and reply.status == 200:
        return Reply(body=drift(reply.body.decode()).encode())
    if fault.shape in ("reset", "hang"):
        return _unanswered(fault)
    if fault.shape == "truncated":
        reply.delivery = "truncated"
    if fault.shape == "slow":
        reply.delay = sandbox.config.slow_seconds
    return reply


def _unanswered(fault: Fault) -> Reply:
    if fault.shape == "html":
        return html_reply(fault.status)
    return Reply(delivery="hang" if fault.shape == "hang" else "reset")
