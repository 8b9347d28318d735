"""A worker of a fleet: it registers, is heard of again and again, and knows when it is not heard of any more.

All that decides is on the server, each step in one transaction: who is alive, who leads, whose claims are rescued.
"""

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import anyio

from worker.errors import LedgerError, RunBusyError
from worker.lease import Lease, Terms, steady
from worker.ledger.crew import Crew, RunEnd
from worker.ledger.postgres.database import Database
from worker.ledger.postgres.statements import Statements, as_json
from worker.logs import get_logger
from worker.models import Millis, Run

_TRIES, _PAUSE = 20, 0.1  # somebody may hold the run for a moment, to open rows of it again
_UNFINISHED = ("running", "interrupted")


class PostgresCrew(Crew):
    """See ``crew.Crew``. ``owner`` is the number of this worker; a new one each time that it begins anew."""

    def __init__(self, database: Database, work: Database, run: Run, terms: Terms, *, alone: bool) -> None:
        super().__init__()
        self.leading = False
        self.owner: int | None = None
        self._database = database  # of one connection, for heartbeats: they wait for nothing else
        self._work = work
        self._run = run
        self._busy = f"another process works on run {run.name}: wait for it, or stop it first"
        self._terms = terms
        self._alone = alone
        self._lease = Lease(terms)
        self._heard_at = steady()  # when the ledger has last answered
        self._begun = False
        self._hurry = asyncio.Event()
        self._beating = anyio.Lock()

    @asynccontextmanager
    async def joined(self) -> AsyncIterator["PostgresCrew"]:
        """Among the workers of the run. Whoever goes without ``leave`` is rescued when the lease ends."""
        await self._register()
        beating = asyncio.create_task(self._keep_beating())
        try:
            yield self
        finally:
            beating.cancel()
            with suppress(asyncio.CancelledError):
                await beating

    def may_send(self) -> bool:
        return not self.lost and self._lease.covers

    async def ready(self) -> None:
        """One that is lost meanwhile is not heard of any more, nor told anything, until it joins again."""
        while not (self._begun or self.leading):
            await self.until(lambda: self._begun or self.leading or self.lost)
            if self.lost:
                await self.rejoin()

    async def begin(self) -> None:
        self._begun = True
        await self._beat()

    async def rejoin(self) -> None:
        """Under a new number; and if it is over meanwhile, it is over."""
        await self._register()
        self.term += 1
        self.lost = False
        self._tell()

    async def leave(self, end: RunEnd, now: Millis) -> bool:
        """In one transaction, so that of two that leave one is the last."""
        ended = await self._work.write(lambda sql: self._leave(sql, end, now))
        self.owner = None
        return ended

    def hurry(self) -> None:
        self._hurry.set()

    def lose(self) -> None:
        """It is known that the lease is lost."""
        self._lease.lost()
        self.lost, self.leading = True, False
        self._tell()

    async def _register(self) -> None:
        for _ in range(_TRIES):
            sent_at = steady()
            if await self._work.write(self._enter):
                self._lease.renewed(sent_at)
                self._heard_at, self.failure = steady(), None
                return
            await anyio.sleep(_PAUSE)
        raise RunBusyError(self._busy)

    async def _enter(self, sql: Statements) -> bool:
        """Whether this process could join, and has; somebody may hold the run for a moment. RunBusyError for longer."""
        if not await sql.try_lock(f"run {self._run.id}", shared=True):
            return False
        await sql.rows("run_locked", run=self._run.id)
        await bury(sql, self._run)
        others = [bool(alone) for (alone,) in await sql.rows("workers_alive", run=self._run.id)]
        if others and (self._alone or any(others)):
            raise RunBusyError(self._busy)
        values = {"host": socket.gethostname(), "pid": os.getpid(), "alone": self._alone, "lease": self._terms.lease}
        self.owner = int(await sql.value("worker_registered", run=self._run.id, **values))
        state, *_ = (await sql.rows("lead", run=self._run.id, owner=self.owner))[0]
        if self._begun and state not in _UNFINISHED:
            self.over = True
        else:
            self._begun = False
            await sql.rows("lead_taken", run=self._run.id, owner=self.owner)
            self.leading = (await sql.rows("lead", run=self._run.id, owner=self.owner))[0][1]
        self.first = self.leading and not others  # one that is dead may not be buried yet: see ``workers_dead``
        return True

    async def _keep_beating(self) -> None:
        while True:
            with anyio.move_on_after(self._terms.beat):
                await self._hurry.wait()
            self._hurry.clear()
            try:
                if not self.lost:
                    await self._beat()
            except Exception:  # whatever it is, without heartbeats all would stand still
                get_logger().exception("a heartbeat failed")

    async def _beat(self) -> None:
        """One heartbeat. One that fails is followed by the next; sending ends in time without any."""
        async with self._beating:
            sent_at, owner, begun = steady(), self.owner, self._begun
            if owner is None:
                return
            try:
                told = await self._database.transact(lambda sql: self._exchange(sql, owner), limit=self._terms.slack)
            except LedgerError as error:
                self._not_heard(error)
                return
            self._heard_at, self.failure = steady(), None
            if owner != self.owner:
                return
            if told is None:
                self.lose()
                return
            self._lease.renewed(sent_at)
            state, self.leading, has_begun, self.closing = told
            self.over = begun and state != "running"
            self._begun = self._begun or has_begun
            self._tell()

    def _not_heard(self, error: LedgerError) -> None:
        """Whoever asks the ledger for something is told by that; this is for those who wait for what it tells."""
        if steady() - self._heard_at >= self._terms.patience:
            self.failure = error
            self._tell()

    async def _exchange(self, sql: Statements, owner: int) -> tuple[str, bool, bool, bool] | None:
        """What a heartbeat tells, and is told of the run and its lead; None for a worker that is taken for dead."""
        run = self._run.id
        if not await sql.changed("worker_beat", owner=owner, lease=self._terms.lease, rate=self.rate()):
            return None
        await bury(sql, self._run)
        state, leads, *more = (await sql.rows("lead", run=run, owner=owner))[0]
        if leads:
            told = {"begun": self._begun, "shares": self._begun and self.shares(), "closing": self.closes()}
            await sql.rows("lead_tells", run=run, owner=owner, **told)
            return state, True, self._begun, self.closing
        may_lead = not self._begun or state == "running"
        if may_lead and await sql.changed("lead_taken", run=run, owner=owner):
            return state, True, False, self.closing
        return state, False, *more

    async def _leave(self, sql: Statements, end: RunEnd, now: Millis) -> bool:
        values = {"run": self._run.id, "owner": self.owner}
        await sql.rows("run_locked", run=self._run.id)
        if not await sql.changed("worker_gone", owner=self.owner):
            why = "this process was not heard of for longer than its lease; `closeout resume` goes on"
            end = RunEnd("interrupted", why, end.seconds)
        await sql.rows("given_up", due=now + round(1000 * self._terms.timeout), **values)
        led = bool(await sql.changed("lead_left", **values))
        state, *_ = (await sql.rows("lead", **values))[0]
        if state != "running" and not self._alone:
            return False
        if end.state == "interrupted" and await sql.rows("workers_alive", run=self._run.id):
            if led:
                await sql.rows("led", run=self._run.id, seconds=end.seconds)
            return False
        if not led:
            await sql.rows("led_unsaid", run=self._run.id)
        seconds, waited = (end.seconds, dict(end.waited)) if led else (0.0, {})
        told = {"state": end.state, "why": end.why, "seconds": seconds, "waited": as_json(waited)}
        await sql.rows("end_run", run=self._run.id, now=now, **told)
        return True


async def bury(sql: Statements, run: Run) -> None:
    """Workers whose lease has ended are gone, and what they had claimed is in doubt."""
    if await sql.changed("workers_dead", run=run.id):
        await sql.rows("rescue", run=run.id)
