"""Builders for the engine's tests: a claim, an answer, a session and a judge, the rest filled in."""

import random
from dataclasses import replace

from closeout.worker.domain.exchange import Answer, Exchange, Kind
from closeout.worker.domain.item import Claim
from closeout.worker.domain.session import EvalSummary, SessionState
from closeout.worker.policy.none_grace import Grace
from closeout.worker.policy.verdict import Judge, Limits, Standing
from closeout.worker.support.clock import Millis, ServerClock

SESSION = "0190c1f2-0000-7000-8000-000000000001"
OTHER = "0190c1f2-0000-7000-8000-000000000002"
NOW: Millis = 1_772_445_600_000
GRACE: Millis = 15_000
WAIT: Millis = 700
MAX_ATTEMPTS = 4
GIVE_UP_AFTER: Millis = 600_000


def a_claim(**values: object) -> Claim:
    """A claim of SESSION, first attempted a moment before NOW."""
    base = Claim(seq=7, session_id=SESSION, first_attempt_at=NOW - 50)
    return replace(base, **values)  # type: ignore[arg-type]  # each test names the fields it means


def an_answer(
    status: int | None,
    *sessions: SessionState,
    kind: Kind = "close",
    error: str | None = None,
    sent: bool = True,
    from_api: bool = True,
    retry_after: float | None = None,
    cursor: str | None = None,
) -> Answer:
    """An answer, or with status None the lack of one."""
    if error is None and (status is None or status != 200):
        error = "connection_lost" if status is None else f"http_{status}"
    return Answer(
        Exchange(NOW - 40, kind, status, error, 40),
        sent=sent,
        sessions=sessions,
        cursor=cursor,
        from_api=from_api and status is not None,
        retry_after=retry_after,
    )


def a_session(status: str = "closed", /, *, session_id: str = SESSION, **values: object) -> SessionState:
    """A session of this status, closed a moment ago if it is terminal."""
    base = SessionState(session_id, status, EvalSummary("success", total=1, succeeded=1), started_at=NOW - 3_600_000)
    if base.terminal:
        base = replace(base, closed_at=NOW - 10)
    return replace(base, **values)  # type: ignore[arg-type]  # each test names the fields it means


def a_judge(*, offset: Millis | None = 0, settle: bool = True, proven: bool = True) -> Judge:
    """A judge whose back-off is constant; ``offset`` is the server's clock less ours, known to a millisecond."""
    clock = ServerClock()
    if offset is not None:
        clock.observe(NOW + offset - 1_000, NOW - 1_000, NOW - 1_000)
        clock.observe(NOW + offset - 1_000, NOW - 1, NOW - 1)
    return Judge(
        limits=Limits(MAX_ATTEMPTS, GIVE_UP_AFTER, since=NOW - 2 * GIVE_UP_AFTER),
        clock=clock,
        wait=lambda _failures: WAIT,
        grace=Grace(GRACE),
        settle=settle,
        standing=Standing(proven),
    )


def seeded() -> random.Random:
    """Jitter that is the same at each run."""
    return random.Random(1)
