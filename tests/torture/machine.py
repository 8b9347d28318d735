"""What a machine does to a ledger: a disk that is full, writes that fail, files that come back old."""

import random
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from closeout.worker.sandbox import Sandbox
from tests.front_door.support import FAST, Desk, Done, Witness, desk_of, quick, wait_until
from tests.services import not_allowed, program

SESSIONS = 120
WORDS = (*FAST, "--no-settle", "--yes")
# Every fsync and fdatasync from the nth on fails, as on a disk that is dying.
SHIM = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
static long left = -1;
static int fails(void) {
    if (left < 0) left = atol(getenv("FAIL_SYNC_AT"));
    return left == 0 || --left == 0;
}
#define FAILING(name) int name(int fd) { \
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, #name); \
    if (fails()) { errno = EIO; return -1; } \
    return real(fd); }
FAILING(fsync)
FAILING(fdatasync)
"""


def full_disk(home: Path, seed: int) -> int:
    """The disk is full at some moment; once there is room again, the run is resumed."""
    luck = random.Random(seed)
    with small_disk(home), desk_of(home, quick(latency=0.01)) as (desk, sandbox):
        ids = sandbox.add_sessions(SESSIONS)
        desk.write_ids(ids)
        witness = Witness(sandbox)
        begun = witness.event_at(luck.randint(1, SESSIONS // 2), "close")
        with desk.started("close", "sessions.csv", *WORDS, "--rate", "60/s") as child:
            wait_until(lambda: begun.is_set() or child.process.poll() is not None)
            filler = _filled(home)
            done = child.ended()
        filler.unlink()
        _expect_halt(done, "has no room left on its disk")
        _expect_truth(desk, sandbox, witness, ids)
    return int(done.code != 0)


def failing_fsync(home: Path, seed: int) -> int:
    """From some write on, what is written cannot be made to last; the run stops, and is resumed on a good disk."""
    luck = random.Random(seed)
    with desk_of(home, quick(latency=0.01)) as (desk, sandbox):
        ids = sandbox.add_sessions(SESSIONS)
        desk.write_ids(ids)
        witness = Witness(sandbox)
        nth = luck.choice([luck.randint(2, 60), luck.randint(60, 160)])
        more = {"LD_PRELOAD": str(_shim(home)), "FAIL_SYNC_AT": str(nth)}
        dying = replace(desk, env={**desk.env, **more}, anew=True)
        done = dying.run("close", "sessions.csv", *WORDS, "--rate", "60/s")
        _expect_halt(done, "cannot be read or written", "cannot open the ledger", "cannot create the ledger")
        _expect_truth(desk, sandbox, witness, ids)
    return int(done.code != 0)


def swapped_ledger(home: Path, seed: int) -> int:
    """A ledger that loses its log after a kill, or is replaced by a copy of before: nothing is sent twice unseen."""
    luck = random.Random(seed)
    with desk_of(home, quick(latency=0.01)) as (desk, sandbox):
        ids = sandbox.add_sessions(SESSIONS)
        desk.write_ids(ids)
        witness = Witness(sandbox)
        cap = luck.randint(5, 30)
        assert desk.run("close", "sessions.csv", *WORDS, "--limit", str(cap)).code == 0
        copy = Path(shutil.copy(desk.ledger, home / "old.db"))
        for _ in range(luck.randint(1, 3)):
            begun = witness.event_at(luck.randint(1, 25), "close")
            with desk.started("resume", "last", *WORDS, "--limit", "1000") as child:
                wait_until(lambda: begun.is_set() or child.process.poll() is not None)  # noqa: B023  # called at once
                child.process.kill()
                child.process.wait()
            for end in ("-wal", "-shm"):
                desk.ledger.with_name(f"{desk.ledger.name}{end}").unlink(missing_ok=True)
            if luck.random() < 0.5:
                shutil.copy(copy, desk.ledger)
        _expect_truth(desk, sandbox, witness, ids)
    return 1


def _expect_halt(done: Done, *whys: str) -> None:
    """Stopped with what to do, in one line and with no traceback; or done before it came to that."""
    assert done.code in (0, 2, 3), done
    assert "Traceback" not in done.err, done.err
    assert done.code == 0 or any(why in done.out + done.err for why in whys), done


def _expect_truth(desk: Desk, sandbox: Sandbox, witness: Witness, ids: list[str]) -> None:
    begun = desk.ledger.exists() and desk.query("SELECT 1 FROM sqlite_schema WHERE name = 'runs'")
    words = ("resume", "last") if begun and desk.query("SELECT 1 FROM runs") else ("close", "sessions.csv")
    done = desk.run(*words, *WORDS, "--limit", "1000")
    assert done.code == 0, done.err
    assert {row["session_id"] for row in desk.rows() if row["outcome"] in ("closed", "already_closed")} == set(ids)
    assert all(sandbox.truth(one).closes_effective == 1 for one in ids)
    assert witness.unverified_repeats() == []


@contextmanager
def small_disk(place: Path) -> Iterator[None]:
    """A file system of its own, of a few megabytes. The round is skipped where none may be mounted."""
    place.mkdir(parents=True)
    mount = [program("mount"), "-t", "tmpfs", "-o", "size=8m", "none", str(place)]
    if (done := subprocess.run(mount, capture_output=True, text=True, check=False)).returncode:
        not_allowed(f"mount a file system ({done.stderr.strip()})")
    try:
        yield
    finally:
        subprocess.run([program("umount"), "--lazy", str(place)], check=True)


def _filled(place: Path) -> Path:
    """What takes up all the room that is left."""
    filler = place / "filler"
    with suppress(OSError), filler.open("wb", buffering=0) as file:
        while file.write(bytes(4096)):
            pass
    return filler


def _shim(home: Path) -> Path:
    library = home / "failing.so"
    (home / "failing.c").write_text(SHIM, encoding="ascii")
    subprocess.run([program("gcc"), "-shared", "-fPIC", "-o", library, home / "failing.c", "-ldl"], check=True)
    return library
