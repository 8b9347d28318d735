"""A fleet: several closeout processes on one PostgreSQL ledger, against one sandbox that keeps the truth."""

import json
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
from psycopg.rows import dict_row

from closeout.worker.ledger.postgres.address import parse_address
from closeout.worker.sandbox import Sandbox, SandboxConfig
from tests.front_door.support import Child, Desk, Done, Witness, desk_of, held, wait_until

LEASE, TIMEOUT = 2.5, 0.8  # seconds
RATE = 150
WORDS = (
    "--rate", f"{RATE}/s", "--timeout", f"{TIMEOUT}s", "--lease", f"{LEASE}s", "--first-look", "300ms",
    "--none-grace", "500ms", "--settle-for", "30s", "--no-progress", "--json",
)  # fmt: skip


@dataclass
class Fleet:
    """``url`` is the ledger's address. ``acknowledged``: how many closes had come for what was recorded as closed."""

    desk: Desk
    sandbox: Sandbox
    url: str
    witness: Witness
    ids: list[str] = field(default_factory=list)
    acknowledged: dict[str, int] = field(default_factory=dict)

    def prepare(self, count: int) -> None:
        """Sessions to close, in a file."""
        self.ids = self.sandbox.add_sessions(count)
        self.desk.write_ids(self.ids)

    @contextmanager
    def working(self, *words: str, url: str | None = None) -> Iterator[Child]:
        """The same command, once more."""
        with self.desk.started("close", "sessions.csv", "--ledger", url or self.url, *WORDS, *words) as child:
            yield child

    @contextmanager
    def all_working(self, count: int, *words: str) -> Iterator[list[Child]]:
        """So many at once, whoever leads first. None sends before all are at work: the first might end it all."""
        with ExitStack() as stack:
            with self.held():
                children = [stack.enter_context(self.working(*words)) for _ in range(count)]
                self.expect_at_work(children)
                lead = next(each["pid"] for each in self.workers() if each["leads"])
            yield sorted(children, key=lambda child: child.process.pid != lead)

    def expect_at_work(self, children: list[Child]) -> None:
        """Wait until all of them are registered, one of them as the lead."""
        pids = {child.process.pid for child in children}

        def ready() -> bool:
            found = self.workers()
            return pids <= {each["pid"] for each in found} and any(each["leads"] for each in found)

        wait_until(ready)

    def held(self) -> AbstractContextManager[None]:
        """Nobody sends meanwhile."""
        return held(self.url, self.desk.url)

    def asked(self, query: str) -> list[dict[str, Any]]:
        """What the database says."""
        place = parse_address(self.url)
        options = f"-csearch_path={place.schema}"
        with psycopg.connect(place.url, autocommit=True, options=options, row_factory=dict_row) as connection:
            return connection.execute(query.encode()).fetchall()

    def remember(self) -> None:
        """What is closed in the ledger now was acknowledged: no close may follow."""
        posts = self.witness.posts()
        for row in self.asked("SELECT session_id FROM results WHERE outcome IN ('closed', 'already_closed')"):
            self.acknowledged.setdefault(row["session_id"], posts[row["session_id"]])

    def workers(self) -> list[dict[str, Any]]:
        """What ``closeout fleet`` shows."""
        told = json.loads(self.desk.run("fleet", "--ledger", self.url, "--json").out)
        found: list[dict[str, Any]] = told["workers"]
        return found

    def expect_truth(self) -> None:
        """Each session has one row, is closed, once, and no close was sent that should not have been."""
        rows = self.asked("SELECT session_id, outcome, detail FROM results")
        assert sorted(row["session_id"] for row in rows) == sorted(self.ids)
        assert {row["outcome"] for row in rows} == {"closed"}, [row for row in rows if row["outcome"] != "closed"]
        assert all(self.sandbox.truth(one).closes_effective == 1 for one in self.ids)
        assert self.witness.unverified_repeats() == []
        posts = self.witness.posts()
        assert {one: posts[one] for one in self.acknowledged} == self.acknowledged
        after = self.asked(
            "SELECT count(*) AS n FROM attempts a JOIN attempts b ON a.item = b.item WHERE a.kind = 'close' "
            "AND b.kind = 'close' AND a.http_status = 200 AND a.error IS NULL AND b.at > a.at + a.ms"
        )
        assert after == [{"n": 0}], "a close was sent after one that was acknowledged"

    def expect_budget(self, rate: int = RATE) -> None:
        """No second saw more than the rate and a lease of permits."""
        assert self.sandbox.busiest() <= rate * 1.08 + 1

    @staticmethod
    def expect_alike(ended: list[Done], code: int = 0) -> None:
        """All processes end with the same summary and exit code."""
        assert {done.code for done in ended} == {code}, [done.err for done in ended]
        assert len({done.out for done in ended}) == 1, [done.summary for done in ended]


@contextmanager
def fleet(home: Path, url: str, config: SandboxConfig) -> Iterator[Fleet]:
    """Nobody works yet."""
    with desk_of(home, config) as (desk, sandbox):
        yield Fleet(desk, sandbox, url, Witness(sandbox))
