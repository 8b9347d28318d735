"""What each release of the API knows: the reasons and statuses that a person may name."""

import difflib

from closeout.worker.domain.session import LIVE_STATUSES
from closeout.worker.support.errors import ConfigurationError
from closeout.worker.support.suggestions import did_you_mean

MAX_LENGTH = 64
_REASONS_1_21 = """
voicemail_detected silence_timeout max_call_duration participant_left pipeline_exit user_requested agent_initiated
resolved unresolved abandoned escalated handoff_resolved transferred error unknown callee_busy callee_no_answer
callee_unavailable callee_declined callee_not_found sip_failed unknown_reason client_initiated duplicate_identity
server_shutdown participant_removed room_deleted state_mismatch join_failure migration signal_close room_closed
user_unavailable user_rejected sip_trunk_failure connection_timeout media_failure agent_error dispatch_failed
token_mint_failed sip_dial_failed participant_join_timeout setup_error stale_routing superseded duplicate_dispatch
"""
_ADDED_BY_1_90 = """
config_rebound dispatch_interrupted dispatch_unacknowledged dispatch_quarantined
dial_unknown_teardown_confirmed call_ended ambiguous_no_room_aged delivery_max_tries_exceeded missing_lease
missing_conversation malformed_dispatch_metadata stt_provider_error tts_provider_error orphaned agent_absent_orphan
wedged_pipeline_timeout capacity_rejected requeued org_concurrency_limit global_pipeline_limit stt_limit tts_limit
carrier_cps_deferred call_window_deferred queue_ttl_expired outbound_cancelled inline_dispatch_abandoned
reservation_expired dial_requeue_exhausted
"""
KNOWN_REASONS: dict[str, frozenset[str]] = {
    "1.21": frozenset(_REASONS_1_21.split()),
    "1.90": frozenset((_REASONS_1_21 + _ADDED_BY_1_90).split()),
}


def as_known(reason: str, dialect: str) -> str:
    """The reason as the API spells it, which compares letter for letter, where only its case differs; else as it is."""
    return reason.lower() if reason.lower() in KNOWN_REASONS[dialect] else reason


def reason_problem(reason: str, dialect: str, *, allow_unknown: bool) -> str | None:
    """Why this reason must not be sent, or None if it may.

    The API stores any reason that it does not know as ``unknown``, without a word, and takes 64 characters at most.
    """
    if len(reason) > MAX_LENGTH:
        return f"the reason {reason[:20]!r}… has {len(reason)} characters; the API takes {MAX_LENGTH} at most"
    if not reason.isprintable():
        return "the reason holds characters that are not text"
    known = KNOWN_REASONS[dialect]
    if allow_unknown or reason in known:
        return None
    near = difflib.get_close_matches(reason.lower(), sorted(known), n=3, cutoff=0.5)
    hint = f"; did you mean {', '.join(near)}?" if near else ""
    return f"the API does not know the reason {reason!r} and would store 'unknown'{hint}"


def check_reason(reason: str | None, dialect: str, *, allow_unknown: bool) -> None:
    """Raise ConfigurationError for a ``--reason`` that must not be sent."""
    if reason is None:
        return
    problem = reason_problem(reason, dialect, allow_unknown=allow_unknown)
    if problem:
        hint = "" if len(reason) > MAX_LENGTH else " (--allow-unknown-reason sends it anyway)"
        raise ConfigurationError(f"--reason: {problem}{hint}")


def unlisted(api: str) -> frozenset[str]:
    """Statuses that this dialect of the API does not know, and refuses to list."""
    return frozenset({"pending_dispatch"}) if api == "1.21" else frozenset()


def parse_statuses(text: str) -> tuple[str, ...]:
    """Live statuses, separated by commas; ``none`` is none. Raises ValueError for any other word."""
    names = [name.strip().lower() for name in text.split(",") if name.strip()]
    if names == ["none"]:
        return ()
    if not names:
        raise ValueError("it names no status: write none for none")
    for name in names:
        if name not in LIVE_STATUSES:
            meant = did_you_mean(name, LIVE_STATUSES, f"; use one of {', '.join(sorted(LIVE_STATUSES))}")
            raise ValueError(f"{name!r} is not a status of a live session{meant}")
    return tuple(sorted(set(names)))
