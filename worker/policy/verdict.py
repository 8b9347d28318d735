"""What an answer means for an item. Decided by who answers, then by HTTP status; pure functions throughout.

Whatever does not speak as the API does says nothing of a session: a close that it answers is in doubt.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from closeout.worker.domain.exchange import FOREIGN_ANSWER, Answer
from closeout.worker.domain.item import Change, Claim, Outcome
from closeout.worker.domain.session import LIVE_STATUSES, SessionState
from closeout.worker.policy.none_grace import Grace
from closeout.worker.support.clock import NEVER, Millis, ServerClock, surely_before

_LOST_PAUSE: Millis = 1_000  # a close whose answer was lost may still be under way: reading at once would miss it
# Only the API's documented 429 says that no work was done: sending again repeats nothing. Behind all others the close
# may have happened, also behind a gateway's 429, and a 503 in the API's own words: the session is read first.
_RETRYABLE = frozenset({408, 425, 429})  # and every 5xx, of gateways too, but for those that no time mends
_NEVER_OTHERWISE = frozenset({501, 505})  # not implemented, and no version of HTTP that is spoken there
# An already closed session may be answered with these, or the close may be impossible: reading it tells.
REFUSALS = frozenset({400, 409})
GOES_ON = "; remaining sessions stay pending"


def is_retryable(status: int) -> bool:
    """Whether an answer with this status may be another one later: of closes, looks, lists and probes alike."""
    return status in _RETRYABLE or (status >= 500 and status not in _NEVER_OTHERWISE)


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds on the attempts for one item: their number, and the milliseconds since the first.

    ``since`` is when this process began to work: time in which nobody tried is not held against an item.
    """

    max_attempts: int
    give_up_after: Millis
    since: Millis

    def exhausted(self, claim: Claim, attempts: int, now: Millis, clear: Millis = 0) -> bool:
        """Whether to give the item up; ``clear`` is when the API's last outage ended, 0 if there was none."""
        first = max(claim.first_attempt_at or now, self.since, clear)
        return attempts >= self.max_attempts or now - first >= self.give_up_after


@dataclass(frozen=True, slots=True)
class Halt:
    """The run must stop: no answer to come can be better. The item is put back as ``change`` says."""

    why: str
    change: Change


@dataclass(slots=True)
class Standing:
    """How the API has stood to this run so far.

    ``spoken`` is true once anything was answered as the API answers: before, this may be another host. ``proven`` is
    true once it has given a proper answer to a close: before, "not you" speaks of the key and not of one session.
    ``outage`` is when its last outage began and ended: a failure in that time speaks of the API, too. ``key_origin``
    says where its key was found.
    """

    proven: bool = False
    spoken: bool = False
    outage: tuple[Millis, Millis] | None = None
    key_origin: str | None = None

    def swallowed(self, at: Millis | None) -> bool:
        """Whether something recorded at that time fell into the outage."""
        return self.outage is not None and at is not None and self.outage[0] <= at <= self.outage[1]


@dataclass(frozen=True, slots=True)
class Judge:
    """All that a verdict depends on besides the item and its answer.

    ``standing`` is what is known of the API as a whole. ``wait`` gives the back-off in milliseconds
    after so many failures. ``settle``: whether verdicts that are not final are looked at again.
    ``grace`` is the age of a close before which a verdict of ``none`` without runs is not believed.
    """

    limits: Limits
    clock: ServerClock
    wait: Callable[[int], Millis]
    grace: Grace
    settle: bool
    standing: Standing = field(default_factory=Standing)

    def close_answer(self, claim: Claim, answer: Answer, now: Millis) -> Change | Halt:
        """What becomes of a claimed item after its close was sent."""
        if not answer.sent or (answer.api_status == 429 and answer.exact):
            return self._again(claim, answer, now)
        session = answer.session if answer.api_status == 200 else None
        if session is not None and session.session_id == claim.session_id and not _says_live(session):
            return self._acknowledged(claim, session, now, asked=answer.exchange.at)
        why = halt_reason(answer, self.standing)
        if why is not None:
            return Halt(why, self._kept_for_later(claim, answer, now))
        status = answer.api_status
        if not answer.exact or status is None or 200 <= status < 300 or is_retryable(status) or status in REFUSALS:
            return self._doubt(claim, answer, now)
        outcome = Outcome.NOT_FOUND if status == 404 else Outcome.REJECTED
        detail = None if status == 404 else f"the API refused the close with status {status}"
        return _final(claim, outcome, answer, detail)

    def _kept_for_later(self, claim: Claim, answer: Answer, now: Millis) -> Change:
        """An item whose answer speaks of the key, and not of its session."""
        if answer.exact:
            return replace(_kept(claim, Outcome.PENDING), due_at=now)
        return replace(self._doubt(claim, answer, now), http_status=claim.http_status, error=claim.error)

    def _acknowledged(self, claim: Claim, session: SessionState, now: Millis, *, asked: Millis) -> Change:
        before = self._closed_before(claim, session, now, asked=asked if claim.fresh else None)
        outcome = Outcome.ALREADY_CLOSED if before else Outcome.CLOSED
        return self._closed(claim, outcome, session, now, asked, http_status=200, attempts=claim.attempts + 1)

    def _closed_before(self, claim: Claim, session: SessionState, now: Millis, *, asked: Millis | None = None) -> bool:
        """Whether it was closed before our first attempt. Where the clocks do not tell, we closed it.

        The first attempt may have been noted by another clock than this process's, or before that was set: what counts
        is how it was set down on the API's clock. ``asked`` is the time of the first attempt that is this one.
        """
        closed, first = session.closed_at, claim.first_attempt_at
        if closed is None:
            return False
        if asked is not None:
            return asked <= now and self.clock.surely_before(closed, asked)
        if claim.first_attempt_earliest is not None:
            return surely_before(closed, claim.first_attempt_earliest)
        return first is not None and surely_before(closed, first, same_clock=False)

    def _closed(
        self,
        claim: Claim,
        outcome: Outcome,
        session: SessionState,
        now: Millis,
        asked: Millis,
        *,
        http_status: int | None,
        attempts: int,
    ) -> Change:
        """An answer that took long to arrive tells of when it was ``asked`` for, not of now."""
        settled = self.verdict_final(session, recorded_at=asked, now=asked)
        return Change(
            claim.seq,
            outcome,
            http_status=http_status,
            attempts=attempts,
            session=session,
            settled=settled,
            settle_at=now if self.settle and not settled else None,
            looked_at=asked,
        )

    def _doubt(self, claim: Claim, answer: Answer, now: Millis) -> Change:
        """The API's refusal is read at once; after a lost answer it is given a moment to finish."""
        attempts = claim.attempts + (answer.http_status != 429)
        lost = answer.api_status not in REFUSALS
        delay = max(self._told(answer), _LOST_PAUSE + self.wait(attempts)) if lost else 0
        return Change(
            claim.seq,
            Outcome.IN_DOUBT,
            due_at=now + delay,
            http_status=answer.http_status,
            first_attempt_earliest=self._noted(claim),
            error=answer.exchange.error,
            attempts=attempts,
            detail="the close was sent and its outcome is not verified yet",
        )

    def _noted(self, claim: Claim) -> Millis | None:
        """When the first attempt was on the API's clock, where that was not known yet as this process took it up."""
        return None if not claim.fresh or claim.first_attempt_at is None else self.clock.noted(claim.first_attempt_at)

    def _again(self, claim: Claim, answer: Answer, now: Millis) -> Change:
        """Pending once more. Throttled and unconnected attempts are the API's trouble, not counted for the item."""
        return Change(
            claim.seq,
            Outcome.PENDING,
            due_at=now + max(self._told(answer), self.wait(max(claim.attempts, 1)), 1),
            http_status=answer.http_status,
            first_attempt_earliest=self._noted(claim),
            error=answer.exchange.error,
            attempts=claim.attempts,
        )

    def _told(self, answer: Answer) -> Millis:
        """A 429 holds all requests elsewhere; any other Retry-After concerns the item."""
        told = answer.retry_after
        if answer.http_status == 429 or told is None or told <= 0:
            return 0
        return min(int(told * 1000), self.limits.give_up_after)

    def doubt_found(self, claim: Claim, session: SessionState, now: Millis) -> Change:
        """What becomes of a doubtful item whose session has been seen."""
        closed = self.found_closed(claim, session, now)
        if closed is not None:
            return closed
        if claim.first_attempt_at is None:  # another run's doubt: this one has not tried it yet
            return replace(_kept(claim, Outcome.PENDING), due_at=0, session=session)
        if _no_second_try(claim):
            detail = f"the API refused the close with status {claim.http_status}; the session is {session.status}"
            return replace(_kept(claim, Outcome.REJECTED), session=session, detail=detail)
        if self.standing.swallowed(claim.recorded_at):
            forgiven = max(claim.attempts - 1, 0)
            return replace(_kept(claim, Outcome.PENDING), due_at=now, session=session, attempts=forgiven)
        if claim.http_status != 429 and self._exhausted(claim, claim.attempts, now):
            detail = f"attempts or time used up; the session is {session.status}"
            return replace(_kept(claim, Outcome.FAILED), session=session, detail=detail)
        return replace(_kept(claim, Outcome.PENDING), due_at=now, session=session)

    def found_closed(self, claim: Claim, session: SessionState, now: Millis) -> Change | None:
        """What becomes of an item whose session was seen closed; None: it was not."""
        if not self._was_closed(session):
            return None
        outcome = Outcome.CLOSED if self._closed_by_us(claim, session, now) else Outcome.ALREADY_CLOSED
        attempts = max(claim.attempts, 1) if outcome is Outcome.CLOSED else claim.attempts
        return self._closed(claim, outcome, session, now, now, http_status=claim.http_status, attempts=attempts)

    def _closed_by_us(self, claim: Claim, session: SessionState, now: Millis) -> bool:
        """A refused close did nothing; any close before it may have done it, and the time of closing tells."""
        if claim.first_attempt_at is None:
            return False
        if _refused(claim) and claim.attempts <= 1:
            return False
        if session.closed_at is None:
            return session.status == "closed" and not _refused(claim)
        return not self._closed_before(claim, session, now)

    def _exhausted(self, claim: Claim, attempts: int, now: Millis) -> bool:
        """The time of an outage is not held against an item."""
        return self.limits.exhausted(claim, attempts, now, clear=self.standing.outage[1] if self.standing.outage else 0)

    def _was_closed(self, session: SessionState) -> bool:
        """Terminal, or a status we do not know of a session that says when it was closed."""
        unknown = session.status not in LIVE_STATUSES
        return session.terminal or (unknown and session.closed_at is not None)

    def doubt_unanswered(self, claim: Claim, answer: Answer, now: Millis) -> Change | Halt:
        """What becomes of a doubtful item that could not be looked at."""
        looks = claim.looks + (answer.http_status != 429)
        change = replace(
            _kept(claim, Outcome.IN_DOUBT),
            due_at=now + max(self.wait(max(looks, 1)), self._told(answer), 1),
            detail="the close was sent, its answer was lost, and the session could not be read",
            looks=looks,
        )
        if answer.http_status == 429:
            return change
        status = answer.api_status
        if status == 404:
            return _final(claim, Outcome.NOT_FOUND, answer, "not found when its close was verified")
        if status in (401, 403):
            return Halt(_refused_key(status, "read sessions", self.standing), change)
        final = status is not None and not is_retryable(status) and status != 200
        if final or self._exhausted(claim, looks, now):
            return replace(change, due_at=NEVER)
        return change

    def verdict_final(self, session: SessionState, *, recorded_at: Millis, now: Millis) -> bool:
        """Whether this eval_status is the last word.

        Not while anything is pending or the session is live. A ``none`` without runs may only mean that no run has been
        queued yet: it is believed once the close is old enough, by the server's clock; and by ours, too, if it may have
        been closed just before we recorded it, as the clock behind ``closed_at`` may be another.
        """
        evals = session.evals
        if session.status in LIVE_STATUSES or evals.status == "pending" or evals.pending or evals.critical_pending:
            return False
        if evals.status != "none" or evals.total:
            return True
        closed_at = session.closed_at if session.closed_at is not None else self.clock.latest(recorded_at)
        if self.clock.earliest(now) - closed_at < self.grace.value:
            return False
        noted_since = recorded_at <= now and not self.clock.surely_before(closed_at, recorded_at)
        return not noted_since or now - recorded_at >= self.grace.value


def halt_reason(answer: Answer, standing: Standing) -> str | None:
    """Why no further request makes sense after this answer of the API, or None."""
    status = answer.api_status
    if status == 401:
        return _refused_key(401, "be used", standing)
    if status == 403 and not standing.proven:
        return _refused_key(403, "close sessions", standing)
    return None


def is_strange(answer: Answer) -> bool:
    """Whether something else than the API answered, and no gateway in trouble before it."""
    status = answer.http_status
    return answer.foreign and status is not None and not is_retryable(status) and status < 500


def strange_host(answer: Answer, standing: Standing) -> str:
    """Why no further request makes sense, where all that answers is strange."""
    status = answer.http_status or 0
    if 300 <= status < 400:
        return f"the host redirects (status {status}), which is never followed: check --base-url{GOES_ON}"
    check = "--base-url, --api and the key" if status in (401, 403) else "--base-url and --api"
    if standing.spoken:
        return f"closes are answered {answer.trouble}: check {check}{GOES_ON}"
    return f"the host does not speak the API: it answers {answer.answered}: check {check}{GOES_ON}"


def _refused_key(status: int, what: str, standing: Standing) -> str:
    found = f" (found in {standing.key_origin})" if standing.key_origin is not None else ""
    return f"the API answered {status}: the key{found} may not {what}: check the key and its scopes{GOES_ON}"


def _final(claim: Claim, outcome: Outcome, answer: Answer, detail: str | None) -> Change:
    return Change(
        claim.seq,
        outcome,
        http_status=answer.http_status,
        error=answer.exchange.error,
        attempts=claim.attempts + (answer.exchange.kind == "close"),
        detail=detail,
    )


def _refused(claim: Claim) -> bool:
    """Whether the API refused the last close: a gateway that answers so may have got it through."""
    return claim.http_status in REFUSALS and claim.error != FOREIGN_ANSWER


def _no_second_try(claim: Claim) -> bool:
    """A close answered so by the API is not sent again, once the session is known to be live."""
    status = claim.http_status
    refused = status is not None and status >= 400 and not is_retryable(status) and claim.error != FOREIGN_ANSWER
    return refused and claim.attempts > 0


def _says_live(session: SessionState) -> bool:
    """Whether an acknowledged close left the session as it was: somebody else may have answered, or it comes later."""
    return session.status in LIVE_STATUSES and session.closed_at is None


def _kept(claim: Claim, outcome: Outcome) -> Change:
    """A new outcome that says nothing new of the last close answer."""
    return Change(claim.seq, outcome, http_status=claim.http_status, error=claim.error, attempts=claim.attempts)
