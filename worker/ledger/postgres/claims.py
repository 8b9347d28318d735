"""Claiming in a PostgreSQL ledger: what may be closed now, by whom. The row of their host makes all runs take turns."""

from collections.abc import Mapping

from closeout.worker.domain.item import Claim
from closeout.worker.domain.run import Run
from closeout.worker.ledger.elsewhere import IN_DOUBT, PUT_OFF_AT_ONCE, Held, PutOff, put_off, rows_to_look_up, waiting
from closeout.worker.ledger.postgres.statements import Statements, as_json
from closeout.worker.ledger.rows import Row
from closeout.worker.support.clock import Millis

SKIPPED_AT_ONCE = 20_000  # rows in one transaction: others wait for it


class Turn:
    """One transaction of claims for a run, in its turn.

    ``owner`` is the worker that claims; ``earliest`` is that of ``protocol.Ledger.claim``; ``leads``: it has taken the
    run over, and may take up what was never tried.
    """

    def __init__(
        self,
        sql: Statements,
        run: Run,
        owner: int | None,
        now: Millis,
        earliest: Millis | None = None,
        *,
        leads: bool = False,
    ) -> None:
        self._sql = sql
        self._run = run
        self._owner = owner
        self._leads = leads
        self._now = now
        self._earliest = earliest
        self._number = 0

    async def claim(self, limit: int, fresh: int | None) -> list[Claim]:
        """See ``protocol.Ledger``. What another run holds is put off, and the next one taken instead."""
        await self._begin()
        await self._sql.rows("ripen", run=self._run.id, now=self._now)
        claims: list[Claim] = []
        passed_over = 0
        while len(claims) < limit and passed_over < PUT_OFF_AT_ONCE:
            room = None if fresh is None else fresh - sum(claim.fresh for claim in claims)
            found = await self._take(limit - len(claims), room)
            held = await self._put_off({int(row[1]): int(row[-1]) for row in found})
            claims += [Claim(*row[1:-1]) for row in found if row[1] not in held]
            passed_over += len(held)
            if not held:
                break
        return claims

    async def skip_fresh(self, detail: str) -> int:
        """See ``protocol.Ledger``. What another run has closed is not left out: it is looked up."""
        await self._begin()
        while True:
            rows = await self._sql.rows("fresh", run=self._run.id, limit=SKIPPED_AT_ONCE)
            held = await self._put_off({int(seq): int(before) for seq, before in rows}, may_wait=False)
            left_out = [int(seq) for seq, _ in rows if seq not in held]
            if left_out or not rows:
                await self._sql.rows("skip", seqs=left_out, detail=detail, now=self._now)
                if left_out:
                    await self._sql.rows("achieved", run=self._run.id)
                return len(left_out)

    async def _begin(self) -> None:
        self._number = int(await self._sql.value("turn", run=self._run.id))

    async def _take(self, limit: int, fresh: int | None) -> list[Row]:
        """What was tried before goes first."""
        values = {"run": self._run.id, "now": self._now, "owner": self._owner, "turn": self._number}
        values["earliest"] = self._earliest
        found = sorted(await self._sql.rows("pending_retries", limit=limit, **values))
        room = limit - len(found) if fresh is None else min(fresh, limit - len(found))
        if room > 0:
            found += sorted(await self._sql.rows("pending_fresh", limit=room, leads=self._leads, **values))
        return found

    async def _put_off(self, befores: Mapping[int, int], *, may_wait: bool = True) -> dict[int, PutOff]:
        """Put off what another run holds; ``may_wait``: also what it is about to close."""
        if not befores:
            return {}
        seqs = {"seqs": list(befores), "befores": list(befores.values())}
        rows = await self._sql.rows("held_elsewhere", run=self._run.id, put_off=IN_DOUBT, **seqs)
        if not rows:
            return {}
        at_work = {run for _, run, outcome, *_, alive in rows if may_wait and alive and outcome == "claimed"}
        decided = put_off((Held(*row[:-1]) for row in rows), at_work.__contains__, self._now)
        await self._sql.rows("look_first", rows=as_json(rows_to_look_up(decided)), turn=self._number)
        for seq in waiting(decided):
            await self._sql.rows("wait", seq=seq, due=decided[seq].due_at, before=befores[seq])
        return decided
