"""How a sandbox behaves, all of it decided before it starts."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from closeout.worker.sandbox.faults import check_shares
from closeout.worker.sandbox.production import Stretch
from closeout.worker.sandbox.ratelimit import LimitKind

Dialect = Literal["1.21", "1.90"]
RetryAfter = Literal["seconds", "date", "body", "none"]

COLLECTIONS: Mapping[Dialect, str] = {"1.21": "/v1/v2/conversations", "1.90": "/v1/conversations"}
ALL_SCOPES = frozenset({"conversations:read", "conversations:write"})


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxConfig:
    """The settings of a sandbox. Times are in seconds, shares are probabilities from 0 to 1.

    Identity
        ``seed`` decides ids, faults and evaluations. ``api_key`` belongs to the organisation ``own`` and holds
        ``scopes``. ``dialects`` are served at once, each at its own path. ``clock_offset`` is how far the server's
        clock is ahead of the given one (below 0: behind), and ``database_offset`` how far the clock that writes
        ``closed_at`` and ``updated_at`` is ahead of the server's. Without ``dated`` answers have no Date header.
    Closing again
        ``second_close`` is the status that answers a close of a session which is already terminal; with "200" the
        session is sent with its old ``closed_at``.
    Evaluations
        They start with the close. ``premature_none`` is how long an answer still shows no run at all; from then on
        the last run ends after a time drawn from ``eval_delay``. ``no_critical_share`` of the sessions have no
        critical evaluator, so theirs stays ``none``. Of the others ``partial_share`` and ``failure_share`` end so, and
        the rest in success. ``unfinished_share`` of them stay pending for ever.
    Rate limit
        ``rate_limit`` requests per ``rate_period`` and organisation (None: no limit), kept by ``rate_kind``;
        ``rate_burst`` is the bucket's size (None: ``rate_limit``). ``retry_after`` is how a 429 tells the wait.
        ``production`` is what the organisation ``own`` sends itself, from the first request of anybody else on.
    Latency
        Each answer is sent ``latency`` seconds, and up to ``latency_jitter`` more, after the request took effect.
    Faults
        ``close_faults``, ``read_faults`` and ``list_faults`` map a fault's name (see ``parse_fault``) to its share. A
        session meets at most ``max_faults_per_session`` drawn faults on its closes, and as many on its reads; the same
        bound holds for repeats of one listing query (None: no bound). ``hang_after`` says whether ``hang`` comes after
        the close took effect, ``slow_seconds`` how long ``slow`` takes. ``fault_retry_after`` is the wait that a
        drawn 429 or 503 tells, in the manner of ``retry_after`` (None: it tells none).
    """

    seed: int = 1
    api_key: str = "sandbox-key"
    scopes: frozenset[str] = ALL_SCOPES
    dialects: tuple[Dialect, ...] = ("1.21", "1.90")
    clock_offset: float = 0.0
    database_offset: float = 0.0
    dated: bool = True

    second_close: Literal["200", "400", "409"] = "200"

    eval_delay: tuple[float, float] = (0.2, 1.5)
    premature_none: float = 0.1
    no_critical_share: float = 0.15
    partial_share: float = 0.1
    failure_share: float = 0.15
    unfinished_share: float = 0.0

    rate_limit: int | None = None
    rate_period: float = 60.0
    rate_kind: LimitKind = "sliding"
    rate_burst: int | None = None
    retry_after: RetryAfter = "seconds"
    production: tuple[Stretch, ...] = ()

    latency: float = 0.0
    latency_jitter: float = 0.0

    close_faults: Mapping[str, float] = field(default_factory=dict)
    read_faults: Mapping[str, float] = field(default_factory=dict)
    list_faults: Mapping[str, float] = field(default_factory=dict)
    max_faults_per_session: int | None = 2
    hang_after: bool = True
    slow_seconds: float = 2.0
    fault_retry_after: float | None = None

    def __post_init__(self) -> None:
        for shares in (self.close_faults, self.read_faults, self.list_faults):
            check_shares(shares)
        if self.rate_limit is not None and self.rate_limit < 1:
            raise ValueError("rate_limit must be at least 1, or None for no limit")
        if self.production and self.rate_limit is None:
            raise ValueError("production does nothing without a rate limit")
        if self.rate_period <= 0:
            raise ValueError("rate_period must be above 0")
        if self.partial_share + self.failure_share > 1:
            raise ValueError("partial_share and failure_share sum to more than 1")
        if not set(self.dialects) <= set(COLLECTIONS):
            raise ValueError(f"dialects are {', '.join(COLLECTIONS)}, not {self.dialects}")
