"""The runs of a PostgreSQL ledger: made, found, begun and ended."""

import json
from collections.abc import Callable
from dataclasses import asdict
from time import monotonic

from closeout.worker.domain.run import Run, Tally
from closeout.worker.ledger.membership import RunEnd
from closeout.worker.ledger.postgres.connection import Database
from closeout.worker.ledger.postgres.statements import Statements
from closeout.worker.ledger.records import NewRun
from closeout.worker.ledger.rows import host_in, new_name, run_of, the_run
from closeout.worker.support.clock import NEVER, Millis, steady_clock


class Runs:
    """See ``protocol.Ledger`` for what each method means."""

    _database: Database

    async def create_run(self, new: NewRun, now: Millis) -> Run:
        values = asdict(new) | {"name": new_name(), "now": now, "host": host_in(new.options)}

        async def work(sql: Statements) -> Run:
            return run_of((await sql.rows("run_by_id", run=await sql.value("create_run", **values)))[0])

        return await self._database.write(work)

    async def runs(self) -> list[Run]:
        return [run_of(row) for row in await self._database.read(lambda sql: sql.rows("runs"))]

    async def find_run(self, name: str) -> Run:
        if name == "last":
            found = (await self.runs())[:1]
        else:
            rows = await self._database.read(lambda sql: sql.rows("runs_by_prefix", prefix=name))
            found = [run_of(row) for row in rows]
        return the_run(name, found, found or await self.runs(), self._database.address.shown)

    async def unfinished_of(self, location: str) -> Run | None:
        rows = await self._database.read(lambda sql: sql.rows("unfinished_of", location=location))
        return run_of(rows[0]) if rows else None

    async def clock(self) -> Callable[[], Millis]:
        """The server's, as of the middle of the round trip."""

        async def work(sql: Statements) -> Callable[[], Millis]:
            asked = monotonic()
            told = int(await sql.value("now"))
            return steady_clock(told + round(500 * (monotonic() - asked)))

        return await self._database.read(work)

    async def start_run(self, run: Run, options: str) -> None:
        async def work(sql: Statements) -> None:
            await sql.rows("start_run", run=run.id, options=options)
            for unnamed, stored in await sql.rows("unnamed_hosts"):
                await sql.rows("host_named", run=unnamed, host=host_in(str(stored)))
            await sql.rows("written_forgotten")
            await sql.rows("rescue", run=run.id)
            await sql.rows("rearm_doubts", run=run.id)
            await sql.rows("rearm_retries", run=run.id, never=NEVER)
            await sql.rows("rearm_settles", run=run.id, never=NEVER)

        await self._database.write(work)

    async def tell(self, run: Run, tally: Tally) -> None:
        await self._database.write(lambda sql: sql.rows("tally", run=run.id, tally=json.dumps(asdict(tally))))

    async def last_exchange(self, run: Run) -> Millis | None:
        rows = await self._database.read(lambda sql: sql.rows("last_exchange", run=run.id))
        return int(rows[0][0]) if rows else None

    async def end_run(self, run: Run, end: RunEnd, now: Millis) -> None:
        values: dict[str, object] = {"state": end.state, "why": end.why, "seconds": end.seconds}
        values["waited"] = json.dumps(dict(end.waited))
        await self._database.write(lambda sql: end_run(sql, run, values, now))

    async def put_back(self, run: Run) -> None:
        await self._database.write(lambda sql: _put_back(sql, run, "interrupted"))

    async def source_done(self, run: Run, sha256: str | None = None) -> None:
        await self._database.write(lambda sql: sql.rows("source_done", run=run.id, sha256=sha256))


async def end_run(sql: Statements, run: Run, values: dict[str, object], now: Millis) -> None:
    """See ``protocol.Ledger``; ``values`` are state, why, seconds and waited."""
    if not await _put_back(sql, run, str(values["state"])):
        await sql.rows("end_run", run=run.id, now=now, **values)


async def _put_back(sql: Statements, run: Run, state: str) -> bool:
    """Whether nothing has come of the work on a run that would end in this state: then all of it is as it was."""
    (row,) = await sql.rows("run_locked", run=run.id)
    if not await sql.changed("end_put_back", run=run.id, state=state) and run_of(row).state == "running":
        return False
    await sql.rows("items_put_back", run=run.id)
    return True
