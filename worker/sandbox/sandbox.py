"""The sandbox itself: its sessions, keys and counts, and the handles that tests pull while it runs."""

import random
import time
import uuid
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

from closeout.worker.sandbox.config import ALL_SCOPES, SandboxConfig
from closeout.worker.sandbox.evaluations import NO_EVALS, SKIPPED_EVALS, EvalCounts, count_evaluations, plan_evaluations
from closeout.worker.sandbox.faults import parse_fault
from closeout.worker.sandbox.production import Production
from closeout.worker.sandbox.ratelimit import RateLimiter, make_limiter
from closeout.worker.sandbox.sessions import TERMINAL, Session, Store, make_sessions
from closeout.worker.sandbox.times import iso, to_datetime, to_micros
from closeout.worker.sandbox.truth import Counts, Kind, Truth, most_within

OWN = "own"
_HOUR_US = 3_600_000_000


@dataclass(frozen=True, slots=True)
class Key:
    """What an API key opens."""

    organisation: str
    scopes: frozenset[str]


class Sandbox:
    """The state behind the stand-in API. Its methods may be called from any thread while it serves.

    ``clock`` gives seconds since the epoch (the server's clock adds ``clock_offset``), ``monotonic`` the seconds that
    the rate limit and the arrivals go by. ``outage``, while set, answers everything with 503 or aborts every
    connection. ``on_request``, where set, is called with the kind and the session's id (None: it names none) as each
    request arrives, in the server's thread.
    """

    def __init__(
        self,
        config: SandboxConfig | None = None,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.config = SandboxConfig() if config is None else config
        self.clock = clock
        self.monotonic = monotonic
        self.outage: Literal["503", "reset"] | None = None
        self.on_request: Callable[[Kind, str | None], None] | None = None
        self.store = Store()
        self.counts = Counts()
        self.keys = {self.config.api_key: Key(OWN, frozenset(self.config.scopes))}
        self.limiters: dict[str, RateLimiter] = {}
        self.listings: dict[str, tuple[int, int]] = {}  # per query: how often it was asked, and how often it failed
        self.jitter = random.Random(self.config.seed)
        self.production: Production | None = None  # once the first request has come
        self._organisation_ids: dict[str, str] = {}
        self._batches = 0

    def add_sessions(
        self,
        count: int = 1000,
        *,
        status: str | Mapping[str, float] = "active",
        started: tuple[datetime, datetime] | None = None,
        already_closed: bool = False,
        organisation: str = OWN,
        fields: Mapping[str, object] | None = None,
    ) -> list[str]:
        """Add sessions and return their ids, canonical UUIDs that the seed and the order of the calls decide.

        ``status`` is one status or a mix with weights. ``started`` is the range of ``started_at`` (None: from two days
        to one hour ago). Sessions that begin in a terminal status, and all of them with ``already_closed``, ended an
        hour ago (never before they started), with their evaluations done. ``fields`` sets JSON fields of all of them
        (not ``id``, ``status`` or ``started_at``), seen by answers and filters alike.
        """
        self._batches += 1
        now_us = self.now_us()
        span = (now_us - 48 * _HOUR_US, now_us - _HOUR_US) if started is None else _micros_of(started)
        mix = {status: 1.0} if isinstance(status, str) else status
        sessions = make_sessions(
            random.Random(f"{self.config.seed}:{self._batches}"),
            count,
            organisation=organisation,
            statuses={"closed": 1.0} if already_closed else mix,
            started_us=span,
            overrides=fields,
        )
        for session in sessions:
            if session.status in TERMINAL:
                session.end(max(now_us - _HOUR_US, session.started_us), session.status)
                session.evals_from_us = now_us - _HOUR_US
        self.store.add(sessions)
        return [session.id for session in sessions]

    def write_csv(self, path: str | Path, ids: Iterable[str] | None = None) -> int:
        """Write ids (None: all of the own organisation's sessions) under the header ``session_id``; return how many."""
        text = self.csv_text(ids)
        with Path(path).open("w", newline="", encoding="utf-8") as file:
            file.write(text)
        return text.count("\n") - 1

    def csv_text(self, ids: Iterable[str] | None = None) -> str:
        """What ``write_csv`` writes."""
        if ids is None:
            sessions = list(self.store.by_id.values())
            ids = [session.id for session in sessions if session.organisation == OWN and not session.deleted]
        return "session_id\n" + "".join(f"{session_id}\n" for session_id in ids)

    def add_key(self, key: str, *, organisation: str = OWN, scopes: Collection[str] = ALL_SCOPES) -> None:
        """Let another key in, or change what a key opens."""
        self.keys[key] = Key(organisation, frozenset(scopes))

    def revoke_key(self, key: str) -> None:
        """Answer 401 to this key from now on."""
        self.keys.pop(key, None)

    def script(self, session_id: str, faults: Iterable[str]) -> None:
        """Set the faults of this session's next closes, in order (``ok``: none), before any drawn one.

        Only closes that pass the key, the rate limit and the checks use one up. Raises ValueError for an unknown
        name, KeyError for an unknown session.
        """
        self._script("close", session_id, faults)

    def script_reads(self, session_id: str, faults: Iterable[str]) -> None:
        """Set the faults of this session's next reads, as ``script`` does for closes."""
        self._script("read", session_id, faults)

    def close_elsewhere(self, session_id: str, reason: str | None = None, *, ago: float = 0.0) -> None:
        """Close a session as somebody else would, ``ago`` seconds before, outside the counts.

        One that has ended stays as it is.
        """
        session = self.store.by_id[session_id]
        if not session.terminal:
            session.end(self.now_us() - round(ago * 1_000_000), reason=reason, stamp_us=self.stamp_us)

    def set_status(self, session_id: str, status: str) -> None:
        """Move a session to another status; a terminal one ends it now."""
        session = self.store.by_id[session_id]
        if status in TERMINAL:
            session.end(self.now_us(), status, stamp_us=self.stamp_us)
        else:
            session.status = status
            session.closed_us = session.evals_from_us = None
            session.updated_us = self.now_us()

    def set_fields(self, session_id: str, fields: Mapping[str, object]) -> None:
        """Change JSON fields of one session (not ``id``, ``status`` or ``started_at``), seen by answers and filters."""
        session = self.store.by_id[session_id]
        session.overrides = {**(session.overrides or {}), **fields}
        session.updated_us = self.now_us()

    def hear_from(self, session_id: str) -> None:
        """Let somebody write in a session now: it is not idle any more."""
        self.set_fields(session_id, {"last_message_at": iso(self.now_us())})

    def truth(self, session_id: str) -> Truth:
        """Tell what really happened to a session. Raises KeyError for one that never was."""
        session = self.store.by_id[session_id]
        return Truth(
            session_id=session.id,
            status=session.status,
            closed_at=None if session.closed_us is None else to_datetime(session.closed_us),
            reason=session.reason,
            eval_status=self.final_evals(session).eval_status,
            closes_received=len(session.post_times),
            closes_effective=session.closes_effective,
            closes_repeated=session.closes_repeated,
            post_times=session.post_times,
            reads=session.reads,
            deleted=session.deleted,
        )

    def busiest(self, seconds: float = 1.0) -> int:
        """Give the most requests that arrived within any stretch of so many seconds."""
        return most_within(self.counts.arrivals[:], seconds)

    def stats(self) -> dict[str, object]:
        """Give the totals over all requests as plain values, with the number of sessions."""
        found: dict[str, object] = {"sessions": len(self.store.by_id), **self.counts.as_json()}
        if self.production is not None:
            self.production.up_to(self.monotonic())
            own = self.production
            told = {"requests": own.sent, "refused": own.refused, "refused_alone": own.refused_alone}
            found["production"] = told
        return found

    def now_us(self) -> int:
        """Read the server's clock."""
        return int((self.clock() + self.config.clock_offset) * 1_000_000)

    @property
    def stamp_us(self) -> int:
        """How far the database's clock is ahead of the server's."""
        return int(self.config.database_offset * 1_000_000)

    def organisation_id(self, organisation: str) -> str:
        """Give the UUID of an organisation."""
        if organisation not in self._organisation_ids:
            name = f"{self.config.seed}:{organisation}.closeout.example"
            self._organisation_ids[organisation] = str(uuid.uuid5(uuid.NAMESPACE_DNS, name))
        return self._organisation_ids[organisation]

    def evals(self, session: Session, now_us: int) -> EvalCounts:
        """Give the evaluations of a session as they stand at an instant."""
        if session.evals_from_us is None:
            return NO_EVALS
        if session.skipped_evals:
            return SKIPPED_EVALS
        elapsed = (now_us - session.evals_from_us) / 1_000_000 - self.config.premature_none
        return NO_EVALS if elapsed < 0 else self._evals_after(session, elapsed)

    def final_evals(self, session: Session) -> EvalCounts:
        """Give the evaluations of a session as they will stand in the end."""
        if session.evals_from_us is None:
            return NO_EVALS
        return SKIPPED_EVALS if session.skipped_evals else self._evals_after(session, float("inf"))

    def limiter(self, organisation: str) -> RateLimiter | None:
        """Give the limiter that all keys of an organisation share."""
        config = self.config
        if config.rate_limit is None:
            return None
        if organisation not in self.limiters:
            self.limiters[organisation] = self._new_limiter(config.rate_limit)
            if organisation == OWN and config.production:
                alone = self._new_limiter(config.rate_limit)
                self.production = Production(config.production, config.seed, self.limiters[OWN], alone)
        if organisation == OWN and self.production is not None:
            self.production.up_to(self.monotonic())
        return self.limiters[organisation]

    def _new_limiter(self, limit: int) -> RateLimiter:
        return make_limiter(self.config.rate_kind, limit, self.config.rate_period, self.config.rate_burst)

    def _evals_after(self, session: Session, elapsed: float) -> EvalCounts:
        plan = plan_evaluations(self.config, session.id)
        return count_evaluations(plan, elapsed, may_stall=session.closes_effective > 0)

    def _script(self, kind: str, session_id: str, faults: Iterable[str]) -> None:
        names = list(faults)
        for name in names:
            parse_fault(name)
        session = self.store.by_id[session_id]
        session.scripts = {**(session.scripts or {}), kind: names}


def _micros_of(span: tuple[datetime, datetime]) -> tuple[int, int]:
    return to_micros(span[0]), to_micros(span[1])
