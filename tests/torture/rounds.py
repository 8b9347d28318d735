"""The rounds of the torture: each is one world drawn from a seed, and what must be true at its end."""

import random
import signal
import threading
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from tests.fleet.support import Fleet
from tests.front_door.clocks import with_clock
from tests.front_door.ordeal import PATIENT, Ordeal, faulty
from tests.front_door.support import (
    FAST,
    Child,
    Desk,
    Witness,
    assert_all_counted,
    assert_ledger_is_true,
    desk_of,
    quick,
    wait_until,
)
from tests.postgres.databases import done_with, url_of

Round = Callable[[Path, int], int]
"""A folder and a seed; returns how many processes it has killed or stopped. Raises AssertionError."""

CLOCKS = (None, None, None, "-1h", "-10s", "+8s", "+10m", "+25h")
QUEUE = "queue:sessions?visibility=1s"


def killed_run(home: Path, seed: int) -> int:
    """A run on a file that is killed again and again, each time begun anew under some clock."""
    luck = random.Random(seed)
    with desk_of(home, faulty(seed, luck.choice(["200", "409", "400"]))) as (desk, sandbox):
        ordeal = Ordeal(desk, sandbox, Witness(sandbox), luck)
        ordeal.prepare()
        for _ in range(luck.randint(1, 6)):
            ordeal.desk = _under_some_clock(desk, luck)
            ordeal.suffer(kills=1)
        ordeal.desk = desk
        done = ordeal.finish()
        assert done.code == 0, done.err
        rows = desk.by_id()
        assert set(rows) == set(ordeal.ids)
        assert_all_counted(desk)
        assert_ledger_is_true(desk, sandbox, ordeal.ids)
        posts = ordeal.witness.posts()
        assert {one: posts[one] for one in ordeal.at_rest} == ordeal.at_rest
        assert ordeal.witness.unverified_repeats() == []
    return ordeal.killed


def _under_some_clock(desk: Desk, luck: random.Random) -> Desk:
    clock = luck.choice(CLOCKS)
    return desk if clock is None else with_clock(desk, clock)


def capped_run(home: Path, seed: int) -> int:
    """A canary and a cap, and kills: never more than the canary before it has passed, nor than the cap at all."""
    luck, killed = random.Random(seed), 0
    canary, cap = luck.randint(5, 20), luck.randint(30, 60)
    with desk_of(home, quick(latency=0.01, latency_jitter=0.05)) as (desk, sandbox):
        desk.write_ids(sandbox.add_sessions(100))
        witness = Witness(sandbox)
        words: tuple[str, ...] = ("close", "sessions.csv")
        more = ("--canary", str(canary), "--limit", str(cap), "--no-settle", "--yes")
        for _ in range(luck.randint(1, 5)):
            begun = witness.event_at(luck.randint(1, 30), "close")
            with desk.started(*words, *FAST, *more) as child:
                _await(begun, lambda: child.process.poll() is not None)  # called at once
                killed += child.process.poll() is None
                child.process.kill()
                child.process.wait()
            if desk.ledger.exists() and desk.query("SELECT 1 FROM sqlite_schema WHERE name = 'runs'"):
                words = ("resume", "last") if desk.query("SELECT 1 FROM runs") else words
                passed = desk.query("SELECT canary_passed FROM runs") == [(1,)]
                assert len(witness.posts()) <= (cap if passed else canary)
        desk.run(*words, *FAST, *more)
        assert len(witness.posts()) == sandbox.counts.closes_effective == cap
        assert witness.unverified_repeats() == []
    return killed


def drained_queue(home: Path, seed: int) -> int:
    """Consumers that die in turn; a drain that ends with 0 leaves nothing open, and nothing was closed twice."""
    luck, killed = random.Random(seed), 0
    with desk_of(home, quick(latency=0.01, latency_jitter=0.05)) as (desk, sandbox):
        ids = sandbox.add_sessions(80)
        (desk.home / "ids.txt").write_text("".join(f"{one}\n" for one in ids), encoding="utf-8")
        assert desk.run("push", "ids.txt", QUEUE).code == 0
        witness = Witness(sandbox)
        for _ in range(luck.randint(1, 3)):
            begun = witness.event_at(luck.randint(1, 20), "close")
            with ExitStack() as stack:
                children = [stack.enter_context(desk.started("work", QUEUE, *FAST)) for _ in range(luck.randint(1, 2))]
                _await(begun, lambda: len(witness.posts()) == len(ids))
                for child in children:
                    child.process.kill()
                    child.process.wait()
                    killed += 1
        done = desk.run("work", QUEUE, "--drain", *FAST)
        assert done.code == 0, done.err
        assert {row["session_id"] for row in desk.rows() if row["outcome"] == "closed"} == set(ids)
        assert all(sandbox.truth(one).closes_effective == 1 for one in ids)
        assert witness.unverified_repeats() == []
    return killed


def killed_fleet(home: Path, seed: int) -> int:
    """Three workers on one database, killed, or stopped for longer than their lease, each under some clock."""
    luck, killed = random.Random(seed), 0
    try:
        with desk_of(home, faulty(seed, "200")) as (desk, sandbox), ExitStack() as stack:
            work = Fleet(desk, sandbox, url_of(home), Witness(sandbox))
            work.prepare(200)
            children = [stack.enter_context(_some_worker(work, luck).working()) for _ in range(3)]
            for _ in range(luck.randint(1, 5)):
                begun = work.witness.event_at(luck.randint(5, 40))
                _await(begun, lambda: _all_ended(children))
                if _all_ended(children):
                    break
                victim = luck.randrange(3)
                killed += 1
                if luck.random() < 0.3:
                    children[victim].process.send_signal(signal.SIGSTOP)
                    stack.callback(children[victim].process.send_signal, signal.SIGCONT)
                    continue
                children[victim].process.kill()
                children[victim].process.wait()
                children[victim] = stack.enter_context(_some_worker(work, luck).working())
            for child in children:
                child.process.send_signal(signal.SIGCONT)
            codes = {child.ended().code for child in children}
            assert codes <= {0, 3}, codes  # 3: taken for dead, and over before it was back
            again = desk.run("resume", "last", "--ledger", work.url, *FAST, *PATIENT)
            assert again.code == 0, again.err
            work.expect_truth()
    finally:
        done_with(home)
    return killed


def _some_worker(work: Fleet, luck: random.Random) -> Fleet:
    return replace(work, desk=_under_some_clock(work.desk, luck))


def _await(event: threading.Event, over: Callable[[], bool]) -> None:
    wait_until(lambda: event.is_set() or over())


def _all_ended(children: list[Child]) -> bool:
    return all(child.process.poll() is not None for child in children)
