"""The close reasons that each release knows; any other text is stored as ``unknown``."""

from collections.abc import Mapping

from closeout.worker.sandbox.config import Dialect


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_REASONS_1_21 = _words(
    """
    voicemail_detected silence_timeout max_call_duration participant_left pipeline_exit user_requested
    agent_initiated resolved unresolved abandoned escalated handoff_resolved transferred error unknown callee_busy
    callee_no_answer callee_unavailable callee_declined callee_not_found sip_failed unknown_reason client_initiated
    duplicate_identity server_shutdown participant_removed room_deleted state_mismatch join_failure migration
    signal_close room_closed user_unavailable user_rejected sip_trunk_failure connection_timeout media_failure
    agent_error dispatch_failed token_mint_failed sip_dial_failed participant_join_timeout setup_error stale_routing
    superseded duplicate_dispatch
    """
)
_ADDED_BY_1_90 = _words(
    """
    config_rebound dispatch_interrupted dispatch_unacknowledged dispatch_quarantined
    dial_unknown_teardown_confirmed call_ended ambiguous_no_room_aged delivery_max_tries_exceeded missing_lease
    missing_conversation malformed_dispatch_metadata stt_provider_error tts_provider_error orphaned
    agent_absent_orphan wedged_pipeline_timeout capacity_rejected requeued org_concurrency_limit
    global_pipeline_limit stt_limit tts_limit carrier_cps_deferred call_window_deferred queue_ttl_expired
    outbound_cancelled inline_dispatch_abandoned reservation_expired dial_requeue_exhausted
    """
)
REASONS: Mapping[Dialect, frozenset[str]] = {
    "1.21": _REASONS_1_21,
    "1.90": _REASONS_1_21 | _ADDED_BY_1_90,
}


def stored_reason(dialect: Dialect, reason: str | None) -> str | None:
    """Give what the API keeps of a reason (None stays None)."""
    if reason is None or reason in REASONS[dialect]:
        return reason
    return "unknown"
