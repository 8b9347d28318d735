"""A worker of a fleet: it registers, is heard of again and again, and knows when it is not heard of any more.

All that decides is on the server, each step in one transaction: who is alive, who leads, whose claims are rescued.
"""

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

import anyio

from closeout.worker.domain.run import Run, RunState
from closeout.worker.ledger.lease import Lease, Terms, steady
from closeout.worker.ledger.membership import UNFINISHED, Membership, RunEnd, ended_since
from closeout.worker.ledger.postgres.connection import Database
from closeout.worker.ledger.postgres.runs import end_run
from closeout.worker.ledger.postgres.statements import Statements, as_json
from closeout.worker.support.clock import Millis
from closeout.worker.support.errors import LedgerError, RunBusyError
from closeout.worker.support.log import get_logger

_TRIES, _PAUSE = 20, 0.1  # somebody may hold the run for a moment, to open rows of it again


@dataclass(frozen=True, slots=True)
class _Told:
    """What a heartbeat is told: how the run stands, whether this worker leads it, and what its lead says.

    ``led``: there is a lead that is not known to be dead.
    """

    state: RunState
    ended_at: Millis | None
    leads: bool
    begun: bool
    closing: bool
    led: bool


class PostgresMembership(Membership):
    """See ``membership.Membership``. ``owner`` is the number of this worker; a new one each time that it begins anew.

    ``has_taken_over``: it leads, and knows how much of a cap or a canary is left. Until then nothing new is taken up.
    """

    def __init__(self, database: Database, work: Database, run: Run, terms: Terms, *, alone: bool) -> None:
        super().__init__()
        self.leading = False
        self.has_taken_over = False
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
        self._others: list[int] = []  # who was still at work when this process left
        self._beating = anyio.Lock()

    @asynccontextmanager
    async def joined(self) -> AsyncIterator["PostgresMembership"]:
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
        while not (self._begun or self.leading or self.over):
            await self.until(lambda: self._begun or self.leading or self.over or self.lost)
            if self.lost:
                await self.rejoin()

    async def begin(self) -> None:
        self._begun = self.has_taken_over = True
        await self._beat()

    async def rejoin(self) -> None:
        """Under a new number; and if it is over meanwhile, it is over."""
        await self._register()
        self.term += 1
        self.lost = False
        self._tell()

    async def leave(self, end: RunEnd, now: Millis) -> bool:
        """In one transaction, so that of two that leave one is the last."""
        ended, self._others = await self._work.write(lambda sql: self._leave(sql, end, now))
        self.owner = None
        return ended

    async def others(self) -> bool:
        """A dead one is here for as long as its lease."""
        if self._others:
            left = await self._work.read(lambda sql: sql.rows("workers_here", owners=self._others))
            self._others = [int(owner) for (owner,) in left]
        return bool(self._others)

    def lose(self) -> None:
        """It is known that the lease is lost."""
        self._lease.lost()
        self.lost, self.leading, self.has_taken_over = True, False, False
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
        others = [bool(alone) for _, alone in await sql.rows("workers_alive", run=self._run.id)]
        if others and (self._alone or any(others)):
            raise RunBusyError(self._busy)
        values = {"host": socket.gethostname(), "pid": os.getpid(), "alone": self._alone, "lease": self._terms.lease}
        self.owner = int(await sql.value("worker_registered", run=self._run.id, **values))
        self.over = self._ended(await self._look(sql, self.owner))
        if not self.over:
            self._begun = False
            await sql.rows("lead_taken", run=self._run.id, owner=self.owner)
            self.leading = (await self._look(sql, self.owner)).leads
        self.first = self.leading and not others  # one that is dead may not be buried yet: see ``workers_dead``
        return True

    async def _keep_beating(self) -> None:
        while True:
            await anyio.sleep(self._terms.beat)
            try:
                if not self.lost:
                    await self._beat()
            except Exception:  # whatever it is, without heartbeats all would stand still
                get_logger().exception("a heartbeat failed")

    async def _beat(self) -> None:
        """One heartbeat. One that fails is followed by the next; sending ends in time without any."""
        async with self._beating:
            sent_at, owner = steady(), self.owner
            if owner is None:
                return
            try:
                told = await self._database.transact(lambda sql: self._exchange(sql, owner), limit=self._terms.slack)
                leads = told is not None and (told.leads or await self._succeed(owner, told))
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
            self.leading, self.over = leads, self.over or self._ended(told)
            if not leads:
                self.has_taken_over, self.closing = False, told.closing
            self._begun = self._begun or (told.begun and told.led)
            self._tell()

    def _not_heard(self, error: LedgerError) -> None:
        """Whoever asks the ledger for something is told by that; this is for those who wait for what it tells."""
        if steady() - self._heard_at >= self._terms.patience:
            self.failure = error
            self._tell()

    async def _exchange(self, sql: Statements, owner: int) -> _Told | None:
        """What a heartbeat tells, and is told; None for a worker that is taken for dead."""
        if not await sql.changed("worker_beat", owner=owner, lease=self._terms.lease, rate=self.rate()):
            return None
        await bury(sql, self._run)
        told = await self._look(sql, owner)
        if told.leads:
            shares = self.has_taken_over and self.shares()
            says = {"begun": self.has_taken_over, "shares": shares, "closing": self.closes()}
            await sql.rows("lead_tells", run=self._run.id, owner=owner, **says)
        return told

    async def _look(self, sql: Statements, owner: int) -> _Told:
        return _Told(*(await sql.rows("lead", run=self._run.id, owner=owner))[0])

    async def _succeed(self, owner: int, told: _Told) -> bool:
        """Lead a run that nobody leads; whether this worker does now."""
        if told.led or self._ended(told):
            return False
        return await self._database.transact(lambda sql: self._take_lead(sql, owner), limit=self._terms.slack)

    async def _take_lead(self, sql: Statements, owner: int) -> bool:
        """The run is held meanwhile: its last lead may just be leaving, and be about to have ended it."""
        await sql.rows("run_locked", run=self._run.id)
        if self._ended(await self._look(sql, owner)) or not await sql.rows("worker_alive", owner=owner):
            return False
        return bool(await sql.changed("lead_taken", run=self._run.id, owner=owner))

    def _ended(self, told: _Told) -> bool:
        """Whether others have ended what this process works on, or was about to."""
        if self._begun:
            return told.state not in UNFINISHED
        return not self._alone and ended_since(self._run, told.state, told.ended_at)

    async def _leave(self, sql: Statements, end: RunEnd, now: Millis) -> tuple[bool, list[int]]:
        """Whether the run has ended now, and who is still at work on it."""
        values = {"run": self._run.id, "owner": self.owner}
        await sql.rows("run_locked", run=self._run.id)
        if not await sql.changed("worker_gone", owner=self.owner):
            why = "lease expired (no heartbeat); `closeout resume` continues"
            end = RunEnd("interrupted", why, end.seconds)
        await sql.rows("given_up", due=now + round(1000 * self._terms.timeout), **values)
        led = bool(await sql.changed("lead_left", **values))
        state, *_ = (await sql.rows("lead", **values))[0]
        others = [int(owner) for owner, _ in await sql.rows("workers_alive", run=self._run.id)]
        if state != "running" and not self._alone:
            return False, others
        seconds, waited = (end.seconds, dict(end.waited)) if led else (0.0, {})
        worked = {"run": self._run.id, "seconds": seconds, "waited": as_json(waited)}
        if end.state == "interrupted" and others:
            if led:
                await sql.rows("end_run", state="running", why=None, now=None, **worked)
            return False, others
        if not led:
            await sql.rows("led_unsaid", run=self._run.id)
        told: dict[str, object] = {"state": end.state, "why": end.why, "seconds": seconds, "waited": as_json(waited)}
        await end_run(sql, self._run, told, now)
        return True, others


async def bury(sql: Statements, run: Run) -> None:
    """Workers whose lease has ended are gone, and what they had claimed is in doubt."""
    if await sql.changed("workers_dead", run=run.id):
        await sql.rows("rescue", run=run.id)
