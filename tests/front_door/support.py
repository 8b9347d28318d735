"""Running closeout as a child process against a sandbox in this one, and reading what it left behind."""

import json
import os
import re
import signal
import sqlite3
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self, TypeVar
from urllib.parse import urlsplit

import anyio

from closeout.worker.ledger.open import open_ledger
from closeout.worker.pace.budget import BudgetKey
from closeout.worker.sandbox import Sandbox, SandboxConfig, running_sandbox
from tests.forked import Forked

KEY = "fk-front-door-7Qz1XbL9"
LONGEST = 90.0  # seconds after which a test gives up waiting: it says nothing of speed
FAST = ("--rate", "600/s", "--first-look", "300ms", "--none-grace", "500ms", "--no-progress")
COLUMNS = [
    "run", "session_id", "outcome", "detail", "final_status", "eval_status", "eval_settled", "reason", "attempts",
    "http_status", "error", "closed_at", "first_attempt_at", "recorded_at", "settled_at", "eval_total",
    "eval_succeeded", "eval_failed", "eval_pending", "critical_total", "critical_succeeded", "critical_failed",
    "critical_pending", "line", "job",
]  # fmt: skip
OUTCOMES = {
    "closed", "already_closed", "skipped", "not_found", "invalid", "rejected", "failed", "in_doubt", "pending",
}  # fmt: skip

T = TypeVar("T")
Row = dict[str, Any]  # a row of `results`; what a column holds is the ledger's affair


@dataclass(frozen=True)
class Done:
    """A command that has ended."""

    code: int
    out: str
    err: str

    @property
    def summary(self) -> dict[str, Any]:
        """The document of ``--json``, which must be alone on standard output."""
        document = json.loads(self.out)
        assert isinstance(document, dict)
        return document


@dataclass
class Desk:
    """A working folder with a ledger, and the environment that commands run in there."""

    home: Path
    url: str | None = None
    key: str | None = KEY
    env: dict[str, str] = field(default_factory=dict)
    anew: bool = False  # each command in a Python that has to import closeout first

    @property
    def ledger(self) -> Path:
        return self.home / "closeout.db"

    def environment(self) -> dict[str, str]:
        """What a command sees: nothing of the settings of the machine that the test runs on."""
        made = {"PATH": os.environ.get("PATH", ""), "HOME": str(self.home)}
        made |= {"CLOSEOUT_BASE_URL": self.url} if self.url else {}
        made |= {"CLOSEOUT_API_KEY": self.key} if self.key else {}
        return made | self.env

    @contextmanager
    def started(self, *words: str, stdin: int = subprocess.DEVNULL) -> Iterator["Child"]:
        """A command at work; killed at the end if it is still there."""
        with Forked(words, cwd=self.home, env=self.environment(), stdin=stdin, anew=self.anew) as process:
            try:
                yield Child(process)
            finally:
                process.kill()

    def run(self, *words: str, input: bytes | None = None) -> Done:
        """A command from its start to its end."""
        with self.started(*words, stdin=subprocess.DEVNULL if input is None else subprocess.PIPE) as child:
            return child.ended(input)

    def run_all(self, *commands: tuple[str, ...]) -> list[Done]:
        """Several commands at once, to save time; what they said is in their order."""
        return side_by_side(self.run, *commands)

    def rows(self) -> list[Row]:
        """The view ``results``."""
        with closing(sqlite3.connect(self.ledger)) as connection:
            connection.row_factory = sqlite3.Row
            return [dict(row) for row in connection.execute("SELECT * FROM results")]

    def by_id(self) -> dict[str, Row]:
        """The rows of the only run by session; no session may have two."""
        rows = self.rows()
        found = {row["session_id"]: row for row in rows}
        assert len(found) == len(rows)
        return found

    def query(self, statement: str) -> list[tuple[Any, ...]]:
        """Ask the ledger anything."""
        with closing(sqlite3.connect(self.ledger)) as connection:
            return connection.execute(statement).fetchall()

    def change(self, statement: str) -> None:
        """Make the ledger as if time had passed."""
        with closing(sqlite3.connect(self.ledger)) as connection, connection:
            connection.execute(statement)

    def budget_row(self, *columns: str) -> tuple[Any, ...]:
        """These columns of the only budget beside the ledger."""
        with closing(sqlite3.connect(f"{self.ledger}.budget")) as connection:
            (row,) = connection.execute(f"SELECT {', '.join(columns)} FROM budgets").fetchall()  # noqa: S608  # constants
        return tuple(row)

    def write_ids(self, ids: list[str], name: str = "sessions.csv") -> str:
        """A CSV with these ids; returns its name."""
        (self.home / name).write_text("session_id\n" + "".join(f"{one}\n" for one in ids), encoding="utf-8")
        return name


def says_the_host_alone(done: Done, desk: Desk) -> bool:
    """Standard error holds the line that names the host, how the source is read, the forecast, and no complaint."""
    line = rf"closeout: run \w+: closing on {re.escape(desk.url or '')}, at [\d.,]+/s at most\n"
    line += r"(closeout: [^\n]+: ids: [^\n]+\n)?"
    line += r"(closeout: forecast: [^\n]+\n)?"
    return re.fullmatch(line, done.err) is not None


@dataclass
class Child:
    """A closeout at work in a process of its own."""

    process: Forked

    def ended(self, input: bytes | None = None) -> Done:
        """Wait for its end, and take what it said."""
        out, err = self.process.communicate(input, timeout=LONGEST)
        return Done(self.process.wait(), out.decode(), err.decode())

    def interrupt(self) -> None:
        self.process.send_signal(signal.SIGINT)

    def terminate(self) -> None:
        self.process.send_signal(signal.SIGTERM)

    def wait_for_line(self, wanted: str) -> str:
        """Read standard error up to a line that holds this; a process that does not say it in time is ended."""
        assert self.process.stderr is not None
        said = []
        watchdog = threading.Timer(LONGEST, self.process.kill)
        watchdog.start()
        try:
            for line in self.process.stderr:
                said.append(line.decode())
                if wanted in said[-1]:
                    return said[-1]
        finally:
            watchdog.cancel()
        raise AssertionError(f"no line with {wanted!r} came, but {said}")


@contextmanager
def desk_of(home: Path, config: SandboxConfig) -> Iterator[tuple[Desk, Sandbox]]:
    """A folder to work in and a running sandbox to work against, which knows the key."""
    home.mkdir(parents=True, exist_ok=True)
    sandbox = Sandbox(config)
    sandbox.add_key(KEY)
    with running_sandbox(sandbox) as url:
        yield Desk(home, url), sandbox


@contextmanager
def held(ledger: str, url: str | None) -> Iterator[None]:
    """Nobody sends to this host meanwhile: the budget that all share is paused, as by a person."""

    async def set_paused(*, paused: bool) -> None:
        async with (
            open_ledger(ledger, create=True) as opened,
            opened.budget(BudgetKey(urlsplit(url or "").netloc)) as store,
        ):
            await store.decide(lambda budget, _: (replace(budget, paused=paused), None))

    anyio.run(lambda: set_paused(paused=True))
    yield
    anyio.run(lambda: set_paused(paused=False))


def side_by_side(work: Callable[..., T], *calls: tuple[Any, ...]) -> list[T]:
    """Do several things at once, to save time; results are in their order."""
    with ThreadPoolExecutor(3) as pool:
        return list(pool.map(lambda arguments: work(*arguments), calls))


class Stalls:
    """How long this machine stood still meanwhile: a server that stalls stamps what piled up as one burst.

    ``longest`` is in seconds; what a timer is late anyway does not count.
    """

    def __init__(self) -> None:
        self.longest = 0.0

    def __enter__(self) -> Self:
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        before = time.monotonic()
        while not self._over.wait(0.005):
            now = time.monotonic()
            self.longest = max(self.longest, now - before - 0.01)
            before = now


def quick(**changes: Any) -> SandboxConfig:
    """A sandbox whose evaluations end soon."""
    return SandboxConfig(**{"premature_none": 0.05, "eval_delay": (0.05, 0.3), **changes})


class Witness:
    """Sees each request arrive at a sandbox, keeps their order, and acts at the one it was told to wait for."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.log: list[tuple[str, str | None]] = []
        self._lock = threading.Lock()
        self._awaited: tuple[str | None, int, Callable[[], None]] | None = None
        sandbox.on_request = self._arrived

    def at(self, nth: int, act: Callable[[], None], kind: str | None = None) -> None:
        """Do this as the nth request from now on (of one kind) arrives, before it is answered."""
        with self._lock:
            self._awaited = (kind, nth, act)

    def rest(self) -> None:
        """Wait for nothing any more."""
        with self._lock:
            self._awaited = None

    def event_at(self, nth: int, kind: str | None = None) -> threading.Event:
        """An event that the nth request from now on (of one kind) sets."""
        event = threading.Event()
        self.at(nth, event.set, kind)
        return event

    def _arrived(self, kind: str, session_id: str | None) -> None:
        with self._lock:
            self.log.append((kind, session_id))
            if self._awaited is None or self._awaited[0] not in (None, kind):
                return
            wanted, left, act = self._awaited
            self._awaited = (wanted, left - 1, act) if left > 1 else None
        if left == 1:
            act()

    def posts(self) -> Counter[str]:
        """How many closes arrived for each session."""
        return Counter(session for kind, session in self.log if kind == "close" and session is not None)

    def unverified_repeats(self) -> list[str]:
        """Sessions closed a second time with no read of them, and no listing, since the close before."""
        looked_at: dict[str, bool] = {}
        found = []
        for kind, session in self.log:
            if kind == "list":
                looked_at = dict.fromkeys(looked_at, True)
            elif session is not None and kind == "read":
                looked_at[session] = True
            elif session is not None and kind == "close":
                if not looked_at.get(session, True):
                    found.append(session)
                looked_at[session] = False
        return found


def waited(event: threading.Event) -> None:
    """Wait for an event, and fail if it does not come."""
    assert event.wait(LONGEST), "it did not happen in time"


def wait_until(condition: Callable[[], bool]) -> None:
    """Look again and again until it holds, and fail if it does not in time."""
    ends = time.monotonic() + LONGEST
    while not condition():
        assert time.monotonic() < ends, "it did not happen in time"
        time.sleep(0.02)


def assert_ledger_is_true(desk: Desk, sandbox: Sandbox, ids: list[str]) -> None:
    """What the ledger says of sessions that exist is what the sandbox knows of them."""
    rows = desk.by_id()
    for session_id in ids:
        row, truth = rows[session_id], sandbox.truth(session_id)
        assert (row["outcome"] == "closed") == (truth.closes_effective == 1), (row, truth)
        if row["outcome"] == "closed":
            assert truth.closes_repeated == 0, (row, truth)
        if row["outcome"] in ("closed", "already_closed"):
            assert row["final_status"] == truth.status, (row, truth)
            assert row["eval_status"] == truth.eval_status, (row, truth)
            assert row["eval_settled"] == 1, row


def assert_all_counted(desk: Desk) -> None:
    """Rows read are duplicates and outcomes, and every row of ``results`` has a known outcome."""
    for name, rows_read, duplicates in desk.query("SELECT name, rows_read, duplicates FROM runs"):
        outcomes = Counter(row["outcome"] for row in desk.rows() if row["run"] == name)
        assert set(outcomes) <= OUTCOMES
        assert rows_read == duplicates + sum(outcomes.values())
