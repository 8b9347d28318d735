"""The SQL of claiming in a SQLite ledger: plain blocking calls, each one transaction."""

import json
from collections.abc import Callable, Sequence
from functools import cache

import apsw

from closeout.worker.domain.item import Claim
from closeout.worker.domain.run import Run
from closeout.worker.ledger.elsewhere import IN_DOUBT, PUT_OFF_AT_ONCE, Held, PutOff, put_off, rows_to_look_up, waiting
from closeout.worker.ledger.rows import Row, claim_of, digits_of, text_of
from closeout.worker.ledger.sqlite.claim_notes import LOST, ClaimNote, ClaimNotes
from closeout.worker.ledger.sqlite.connection import transaction
from closeout.worker.ledger.statements import load_queries
from closeout.worker.support.clock import Millis

_QUERIES = load_queries()
SKIPPED_AT_ONCE = 20_000  # rows in one transaction: others wait for it


class ClaimTable:
    """What may be closed now, by whom. The write lock makes all runs take turns. Not for use by two threads at once.

    ``at_work`` tells whether a process works on the run of that number; ``notes`` is told of each claim.
    """

    def __init__(
        self, connection: apsw.Connection, at_work: Callable[[int], bool], notes: ClaimNotes | None = None
    ) -> None:
        self._db = connection
        self._at_work = at_work
        self._notes = notes

    def claim(
        self, run: Run, limit: int, now: Millis, fresh: int | None, earliest: Millis | None = None
    ) -> list[Claim]:
        """See ``protocol.Ledger``. What another run holds is put off, and the next one taken instead."""
        claims: list[Claim] = []
        passed_over = 0
        with transaction(self._db):
            turn = self._turn(run)
            self._rows("ripen", run=run.id, now=now)
            while len(claims) < limit and passed_over < PUT_OFF_AT_ONCE:
                room = None if fresh is None else fresh - sum(claim.fresh for claim in claims)
                found = self._due(run, limit - len(claims), now, room, earliest)
                held = self._put_off(run, [claim.seq for claim in found], turn, now)
                taken = [claim for claim in found if claim.seq not in held]
                if taken:
                    seqs = json.dumps([claim.seq for claim in taken])
                    self._rows("claim", seqs=seqs, now=now, turn=turn, earliest=earliest)
                claims += taken
                passed_over += len(held)
                if not held:
                    break
        if claims and self._notes is not None:
            self._notes.note(ClaimNote(run.id, run.name, turn, max(claim.seq for claim in claims)))
        return claims

    def skip_fresh(self, run: Run, detail: str, now: Millis) -> int:
        """See ``protocol.Ledger``. What another run has closed is not left out: it is looked up."""
        with transaction(self._db):
            turn = self._turn(run)
            while True:
                seqs = [int(seq) for (seq,) in self._rows("fresh", run=run.id, limit=SKIPPED_AT_ONCE)]
                held = self._put_off(run, seqs, turn, now, may_wait=False)
                left_out = [seq for seq in seqs if seq not in held]
                if left_out or not seqs:
                    self._rows("skip", seqs=json.dumps(left_out), detail=detail, now=now)
                    if left_out:
                        self._rows("achieved", run=run.id)
                    return len(left_out)

    def look_first(self, claims: Sequence[Claim]) -> None:
        """See ``protocol.Ledger``."""
        with transaction(self._db):
            self._rows("look_again", seqs=json.dumps([claim.seq for claim in claims]))

    def known_count(self, host: str, sessions: Sequence[str]) -> int:
        """See ``protocol.Ledger``."""
        digits = json.dumps([digits_of(session) for session in sessions])
        ((count,),) = self._rows("known_count", host=host, sessions=digits)
        return int(count)

    def reasons_of(self, run: Run, sessions: Sequence[str]) -> dict[str, tuple[int, str | None]]:
        """See ``protocol.Ledger``."""
        digits = json.dumps([digits_of(session) for session in sessions])
        rows = self._rows("reasons_of", run=run.id, sessions=digits)
        return {text_of(session.hex()): (line, reason) for session, line, reason in rows}

    def _turn(self, run: Run) -> int:
        ((turn,),) = self._rows("turn", run=run.id)
        return int(turn)

    def _due(self, run: Run, limit: int, now: Millis, fresh: int | None, earliest: Millis | None) -> list[Claim]:
        """What was tried before goes first."""
        claims = self._claims("pending_retries", run=run.id, limit=limit, now=now)
        room = limit - len(claims) if fresh is None else min(fresh, limit - len(claims))
        if room > 0:
            claims += self._claims("pending_fresh", run=run.id, limit=room, now=now, earliest=earliest)
        return claims

    def _put_off(
        self, run: Run, seqs: list[int], turn: int, now: Millis, *, may_wait: bool = True
    ) -> dict[int, PutOff]:
        """Put off what another run holds, and what a lost commit may; ``may_wait``: also what is about to be closed."""
        if not seqs:
            return {}
        rows = self._rows("held_elsewhere", run=run.id, seqs=json.dumps(seqs), put_off=IN_DOUBT)
        at_work = cache(self._at_work) if may_wait else lambda _: False
        lost = self._rows("lost", run=run.id, seqs=json.dumps(seqs))
        decided = {int(seq): PutOff(waits=False, due_at=now, detail=LOST) for (seq,) in lost}
        decided |= put_off((Held(*row) for row in rows), at_work, now)
        if not decided:
            return {}
        self._rows("look_first", rows=json.dumps(rows_to_look_up(decided)), turn=turn)
        for seq in waiting(decided):
            self._rows("wait", seq=seq, due=decided[seq].due_at)
        return decided

    def _claims(self, query: str, **values: object) -> list[Claim]:
        """All at once, as JSON: each row fetched alone would wait for the interpreter lock."""
        ((found,),) = self._rows(query, **values)
        return [claim_of(values) for values in json.loads(found)]

    def _rows(self, query: str, **values: object) -> list[Row]:
        return self._db.execute(_QUERIES[query], values).fetchall()
