"""The guards of a run that need each session's state: ``--only-status``, ``--idle-for``, ``--expired``. Pure."""

from dataclasses import dataclass, replace

from closeout.worker.config.dialect import unlisted
from closeout.worker.config.settings import Settings
from closeout.worker.domain.exchange import Answer
from closeout.worker.domain.item import Change, Claim, Outcome
from closeout.worker.domain.session import LIVE_STATUSES, SessionRow
from closeout.worker.policy.selection import Age, Selection, mismatch, read_rule
from closeout.worker.policy.verdict import GOES_ON, Halt, Judge, halt_reason
from closeout.worker.support.clock import NEVER, Millis

_MOST = ("active", "paused")
_APART: Millis = 1_000  # of the clocks of the processes of a fleet, which take their time from the database


@dataclass(frozen=True, slots=True)
class Guards:
    """What a session must be like to be closed. ``protected`` are statuses that it must not be in.

    It must meet each of the ``selections``. ``as_planned``: it must be as it was when the plan was made, too.
    """

    selections: tuple[Selection, ...]
    protected: frozenset[str]
    as_planned: bool = False

    @property
    def go_by_time(self) -> bool:
        """Whether an age or an instant decides: then the server's clock must be known."""
        return any(
            each.idle_for is not None
            or each.expired
            or isinstance(each.started_after, Age)
            or isinstance(each.started_before, Age)
            for each in self.selections
        )

    def changed(self, claim: Claim, row: SessionRow) -> str | None:
        """Why the session is not what the plan holds, or None."""
        if not self.as_planned:
            return None
        if row.status != claim.status:
            return f"changed since the plan: it was {claim.status}, and is {row.status}"
        if row.updated_at is None or row.updated_at != claim.updated_at:
            return "changed since the plan: updated_at is another"
        return None

    def refusal(self, row: SessionRow, now: Millis) -> str | None:
        """Why a session that is not closed must be left alone, or None. ``now`` is the server's.

        A guard never guesses: a session that does not tell what the guard asks for is left alone.
        """
        if row.status in self.protected:
            return f"protected: {row.status}"
        why = next(filter(None, (mismatch(selection, row, now) for selection in self.selections)), None)
        if why == "another status":
            why = f"another status: {row.status}"
        return None if why is None else f"guard: {'not idle for so long' if why == 'started too late' else why}"


def guards_of(settings: Settings) -> Guards:
    """Those that the settings ask for; of a job, its rule is one of them."""
    asked_for = Selection(
        statuses=settings.only_status or tuple(sorted(LIVE_STATUSES)),
        protected=frozenset(),
        idle_for=round(settings.idle_for * 1000) if settings.idle_for is not None else None,
        expired=settings.expired,
    )
    rules = () if settings.rule is None else (read_rule(settings.rule),)
    return Guards((*rules, asked_for), frozenset(settings.protect), settings.as_planned)


def listed_statuses(settings: Settings) -> tuple[str, ...]:
    """The statuses of live sessions in the order in which to look through their lists: first those that are asked for,
    and of these first those with most sessions.

    The others are listed, too: they tell that a session is to be left alone, which a read would have to tell.
    """
    asked_for = frozenset(settings.only_status) or LIVE_STATUSES
    if settings.rule is not None:
        asked_for &= frozenset(read_rule(settings.rule).statuses)
    known = LIVE_STATUSES - unlisted(settings.api)
    return tuple(sorted(known, key=lambda status: (status not in asked_for, status not in _MOST, status)))


def seen_change(claim: Claim, row: SessionRow, judge: Judge, guards: Guards, asked: Millis) -> Change:
    """What becomes of a parked item that was looked up: closed by somebody else, skipped, or to be closed now."""
    closed = judge.found_closed(claim, row, asked)
    if closed is not None:
        return replace(closed, session=row)
    kept = Change(
        claim.seq,
        http_status=claim.http_status,
        error=claim.error,
        attempts=claim.attempts,
        session=row,
        looked_at=asked,
    )
    why = guards.changed(claim, row) or guards.refusal(row, judge.clock.earliest(asked))
    if why is not None:
        return replace(kept, outcome=Outcome.SKIPPED, detail=why)
    return replace(kept, outcome=Outcome.PENDING, due_at=0 if claim.first_attempt_at is None else 1)


def unseen_change(claim: Claim, answer: Answer, judge: Judge, now: Millis) -> Change | Halt:
    """What becomes of a parked item that could not be looked up; one that never can be is not closed."""
    status = answer.api_status
    change = Change(
        claim.seq,
        Outcome.PENDING,
        due_at=NEVER + now + judge.wait(claim.looks + 1),
        http_status=claim.http_status,
        error=claim.error,
        attempts=claim.attempts,
        looks=claim.looks + (answer.http_status != 429 and answer.sent),  # unconnected, it is the API's trouble
    )
    if status == 403:
        why = f"the API answered 403: the key may not read sessions, which the guards need{GOES_ON}"
        return Halt(why, change)
    why_not = halt_reason(answer, judge.standing)
    if why_not is not None:
        return Halt(why_not, change)
    if status == 404:
        detail = "not found when it was looked up before its close"
        return replace(change, outcome=Outcome.NOT_FOUND, due_at=None, http_status=404, detail=detail)
    if change.looks >= judge.limits.max_attempts and answer.foreign:
        return Halt(f"a session cannot be looked up before its close: {answer.trouble}{GOES_ON}", change)
    if change.looks >= judge.limits.max_attempts:
        detail = "it could not be looked up before its close, which the guards need"
        return replace(change, outcome=Outcome.FAILED, due_at=None, error=answer.exchange.error, detail=detail)
    return change


def seen_too_long_ago(claim: Claim, settings: Settings, now: Millis) -> bool:
    """Whether a session must be seen once more before its close: by the listing of a sweep, or by a guard."""
    if not settings.guarded and settings.rule is None:
        return False
    return claim.looked_at is None or _too_old(claim.looked_at, settings, now)


def known_too_long_ago(claim: Claim, settings: Settings, now: Millis) -> bool:
    """Whether a session that was closed once, and then found live, was found so too long ago to be closed again."""
    return claim.looked_at is not None and _too_old(claim.looked_at, settings, now)


def _too_old(looked_at: Millis, settings: Settings, now: Millis) -> bool:
    """Of a look in the future nobody knows how old it is: it was noted by a clock that was ahead of this one."""
    return not -_APART <= now - looked_at <= settings.state_max_age * 1000
