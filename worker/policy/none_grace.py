"""How long a ``none`` is not believed, learnt from sessions that are followed."""

from closeout.worker.domain.item import Claim
from closeout.worker.domain.session import SessionState
from closeout.worker.support.clock import Millis

_CAUTION = 3
_SHOWN = 5
_SHORTEST_GRACE: Millis = 5_000
_MOST = 8  # believed ones that are looked at again
_MEMORY = 10_000  # sessions seen without runs, remembered until theirs appear
_SOON: Millis = 5_000
_GROWTH = 1.5  # of the age, from one look to the next
_AS_LONG = 4  # times the grace: for so long a believed ``none`` is followed


class Grace:
    """How old a close must be for a verdict of ``none`` without runs to be believed: no run may have been queued yet.

    ``value`` begins with what the settings say, grows as soon as runs are seen to appear late, and shrinks once enough
    sessions have shown theirs early; it stays at three times the latest of these ages.
    """

    def __init__(self, value: Millis) -> None:
        self.value = value
        self._shortest = min(value, _SHORTEST_GRACE)
        self._latest: Millis = 0
        self._count = 0

    def appeared(self, age: Millis, *, without: Millis | None) -> bool:
        """Runs were there at this age; ``without`` is the age at which they were last seen missing. Whether it grew.

        Where no look came before, the runs may have been there for long: that says nothing unless it is early. The same
        holds for the time beyond twice the age at which they were missing: a look may come late for other reasons.
        """
        if without is None and _CAUTION * age > self.value:
            return False
        before = self.value
        self._latest = max(self._latest, age if without is None else min(age, 2 * without))
        self._count += 1
        if self._count >= _SHOWN or _CAUTION * self._latest > self.value:
            self.value = max(_CAUTION * self._latest, self._shortest)
        return self.value > before


class Followed:
    """A few sessions whose ``none`` was believed, looked at again while closing goes on to see whether that was right.

    When runs appear after all, the grace grows, and what was believed too early has to be taken back.
    """

    def __init__(self, grace: Grace) -> None:
        self._grace = grace
        self._bare: dict[int, Millis] = {}  # with their age when that was seen last
        self._believed: dict[int, tuple[Claim, Millis]] = {}  # with the instant of the next look
        self._count = 0
        self._grew = False

    def __contains__(self, seq: int) -> bool:
        return seq in self._believed

    def seen(self, claim: Claim, session: SessionState, asked: Millis, *, settled: bool) -> None:
        """Take in a look at a closed session. One whose verdict is open again is followed no longer."""
        age = asked - (claim.recorded_at or asked)
        followed = self._believed.pop(claim.seq, None) is not None
        if session.evals.total:
            self._grew |= self._grace.appeared(age, without=self._bare.pop(claim.seq, None))
        elif session.evals.status == "none" and session.terminal:
            if claim.seq in self._bare or len(self._bare) < _MEMORY:
                self._bare[claim.seq] = age
            if settled:
                self._believe(claim, asked, age, followed=followed)

    def _believe(self, claim: Claim, asked: Millis, age: Millis, *, followed: bool) -> None:
        if followed:
            if age > _AS_LONG * self._grace.value:
                return
        elif self._count >= _MOST:
            return
        else:
            self._count += 1
        self._believed[claim.seq] = (claim, asked + round(age * (_GROWTH - 1)))

    def unseen(self, claim: Claim, now: Millis, *, gone: bool) -> None:
        """Take in that a followed session could not be read: later perhaps, unless it is gone."""
        del self._believed[claim.seq]
        if not gone:
            age = now - (claim.recorded_at or now)
            self._believed[claim.seq] = (claim, now + max(_SOON, round(age * (_GROWTH - 1))))

    def due(self, now: Millis) -> list[Claim]:
        """Those to be looked at again now."""
        return [claim for claim, at in self._believed.values() if at <= now]

    def grew(self) -> bool:
        """Whether the grace has grown since this was last asked."""
        grew, self._grew = self._grew, False
        return grew
