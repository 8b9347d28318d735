"""A night in virtual time: a sweep with all its stages over a real ledger, against a sandbox in this process."""

import asyncio
import json
import logging
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import anyio
import anyio.lowlevel
import httpx
import structlog

from closeout.worker.api.client import Api, Endpoint
from closeout.worker.config.settings import Settings
from closeout.worker.domain.run import Run
from closeout.worker.engine.build import build_context
from closeout.worker.engine.run import Watcher, work
from closeout.worker.feeds.sweep import Finding, Sweep
from closeout.worker.ledger.records import NewRun
from closeout.worker.ledger.sqlite.file import connect
from closeout.worker.ledger.sqlite.ledger import SqliteLedger
from closeout.worker.ledger.sqlite.store import SqliteStore
from closeout.worker.policy.selection import SWEEP_PROTECTED, Selection, rule_text
from closeout.worker.runtime.context import Context
from closeout.worker.runtime.progress import Progress
from closeout.worker.runtime.result import RunResult
from closeout.worker.runtime.stop import Stop
from closeout.worker.sandbox import Sandbox, SandboxConfig
from closeout.worker.sandbox.api import answer
from closeout.worker.sandbox.replies import Reply
from closeout.worker.sandbox.routing import Call
from closeout.worker.sandbox.times import http_date, iso, to_datetime
from tests.engine.virtual_time import run_virtually
from tests.pace.support import MemoryBudget, at_rate

BEGAN = 1_772_445_600.0  # seconds since the epoch at which the first night begins
HOUR = 3_600.0
_DAY_US = 86_400_000_000
IDLE = Selection(statuses=("active", "paused"), idle_for=24 * 3_600_000)
Spoil = Callable[[httpx.Request, Reply], Reply]
_QUIET = structlog.make_filtering_bound_logger(logging.CRITICAL)


class KilledError(Exception):
    """The process died here: nothing more of it reaches the ledger or the API."""


@dataclass
class Town:
    """A sandbox, a clock that all share, and a ledger; it outlives the processes that work on it.

    ``spoil`` may change the reply to a request, ``dated`` is that replies tell the server's time. After ``dies_after``
    requests the process that sends them is killed, before it learns of the last reply. ``seen`` is when each session
    was listed last, and ``oldest`` the longest time in seconds from that to a close.
    """

    folder: Path
    config: SandboxConfig = field(default_factory=SandboxConfig)
    spoil: Spoil = lambda _, reply: reply
    dated: bool = True
    dies_after: int | None = None
    now: float = BEGAN
    told: list[str] = field(default_factory=list)
    requests: list[httpx.Request] = field(default_factory=list)
    seen: dict[str, float] = field(default_factory=dict)
    oldest: float = 0.0

    def __post_init__(self) -> None:
        self.sandbox = Sandbox(self.config, clock=self.clock, monotonic=self.clock)
        self.store = SqliteStore(connect(self.folder / "closeout.db", create=True))
        self.store._db.pragma("synchronous", "off")
        self.ledger = SqliteLedger(self.folder / "closeout.db", self.store, self.store)
        direct = cast("Any", _Direct(self))
        self.ledger._writer = self.ledger._reader = direct
        self._loop_began: float | None = None
        self.dead = False

    def clock(self) -> float:
        """Seconds since the epoch; time stands still while no process is at work."""
        passed = 0.0 if self._loop_began is None else asyncio.get_running_loop().time() - self._loop_began
        return self.now + passed

    def millis(self) -> int:
        """The same in milliseconds."""
        return int(self.clock() * 1000)

    @contextmanager
    def passing(self) -> Iterator[None]:
        """Inside, time passes with the loop's."""
        self._loop_began, self.dead = asyncio.get_running_loop().time(), False
        try:
            yield
        finally:
            self.now, self._loop_began = self.clock(), None

    def add(self, count: int, *, idle: float = 48 * HOUR, **values: Any) -> list[str]:
        """Sessions that started some five days ago and were heard from last so many seconds ago."""
        now_us = self.sandbox.now_us()
        span = (to_datetime(now_us - 5 * _DAY_US), to_datetime(now_us - 4 * _DAY_US))
        fields = {"last_message_at": iso(now_us - int(idle * 1e6))}
        return self.sandbox.add_sessions(count, **{"started": span, "fields": fields, **values})

    def begin(self, **settings: Any) -> Run:
        """A run of the job ``night`` that no process works on yet."""
        usual = Settings(rate=50, settle=False, rule=rule_text(IDLE), protect=tuple(sorted(SWEEP_PROTECTED)))
        options = usual.model_copy(update=settings).model_dump_json()
        return self.store.create_run(NewRun("job night", options, job="night"), self.millis())

    def work(
        self,
        run: Run,
        sweep: Sweep,
        *,
        yes: bool = False,
        beside: Callable[[Context], Any] | None = None,
        feed: Watcher | None = None,
    ) -> RunResult:
        """One process works on a run to its end; raises KilledError where it died. ``feed``: in place of the sweep."""

        async def process() -> RunResult:
            with self.passing():
                return await self._process(run, sweep, yes=yes, beside=beside, feed=feed)

        try:
            return run_virtually(process)
        except* KilledError:
            pass
        raise KilledError

    async def _process(
        self, run: Run, sweep: Sweep, *, yes: bool, beside: Watcher | None, feed: Watcher | None
    ) -> RunResult:
        loop = asyncio.get_running_loop()
        current = self.store.run(run.id)
        settings = Settings.model_validate_json(current.options)
        api = Api(_InProcess(self), Endpoint("http://town", "1.21", self.config.api_key, 30, 64), self.millis)
        progress = Progress(loop.time, rows_read=current.rows_read, duplicates=current.duplicates)
        self.budget = MemoryBudget(loop.time, at_rate(50, loop.time()))
        context = build_context(
            current, settings, self.ledger, api, self.budget, Stop(), progress, random.Random(1), self.millis
        )

        context.log = structlog.wrap_logger(None, wrapper_class=_QUIET)

        async def confirm(*told: str) -> bool:
            await anyio.lowlevel.checkpoint()
            self.told += told
            return yes

        async def find(context: Context) -> None:
            await Finding(context, sweep, self.told.append, confirm).run()

        return await work(context, feed or find, [] if beside is None else [beside])

    def saw(self, request: httpx.Request, reply: Reply) -> None:
        """Note what was listed when, and on how old a sight a session is closed."""
        if request.method == "POST":
            self.oldest = max(self.oldest, self.clock() - self.seen.get(target_of(request).split("/")[-2], 0.0))
        elif target_of(request).partition("?")[0].endswith("/conversations") and reply.status == 200:
            self.seen |= dict.fromkeys((one["id"] for one in json.loads(reply.body)["items"]), self.clock())

    @property
    def closes(self) -> int:
        """Sessions that our closes ended."""
        return self.sandbox.counts.closes_effective

    def pause(self, *, paused: bool) -> None:
        """As ``closeout pause`` and ``closeout go`` do."""
        self.budget.budget = replace(self.budget.budget, paused=paused)

    def outcomes(self, run: Run) -> dict[str, str]:
        """The outcome of each session of a run."""
        (rows,) = [*self.store.results.of_run(run, 1_000_000)] or [[]]
        return {row[1]: row[2] for row in rows}

    def details(self, run: Run) -> dict[str, str | None]:
        """The detail of each session of a run."""
        (rows,) = [*self.store.results.of_run(run, 1_000_000)] or [[]]
        return {row[1]: row[3] for row in rows}

    def live(self, ids: list[str]) -> list[str]:
        """Those of them that have not ended."""
        return [one for one in ids if not self.sandbox.store.by_id[one].terminal]


class _Direct:
    """The ledger's connection without its threads, which virtual time knows nothing of."""

    def __init__(self, town: Town) -> None:
        self._town = town
        self.store = town.store

    async def run(self, work: Callable[..., Any], *args: Any) -> Any:
        await anyio.lowlevel.cancel_shielded_checkpoint()
        if self._town.dead:
            raise KilledError
        return work(*args)


def target_of(request: httpx.Request) -> str:
    """The path and the query that a request is for."""
    return (request.extensions.get("target") or request.url.raw_path).decode()


class _InProcess(httpx.AsyncBaseTransport):
    """Takes requests to the sandbox without a wire."""

    def __init__(self, town: Town) -> None:
        self._town = town

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        town = self._town
        await anyio.lowlevel.checkpoint()
        if town.dead:
            await anyio.sleep_forever()
        town.requests.append(request)
        call = Call(request.method, target_of(request), request.headers["x-api-key"], await request.aread())
        reply = town.spoil(request, answer(town.sandbox, call))
        town.saw(request, reply)
        town.dead = town.dies_after is not None and len(town.requests) >= town.dies_after
        headers = {"content-type": reply.content_type}
        if town.dated:
            headers["date"] = http_date(town.sandbox.now_us() // 1_000_000)
        return httpx.Response(reply.status, headers=headers, content=reply.body)
