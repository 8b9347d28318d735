"""Contract: one process works on a run; a dead one holds nothing."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.ledger.support import Opener, a_run
from worker.errors import RunBusyError
from worker.models import Run

pytestmark = pytest.mark.anyio

# Tries to take the lock of the run in another process; holds it until its input ends.
_OTHER = """
import sys, anyio
from pathlib import Path
from tests.ledger.support import IMPLEMENTATIONS
from worker.errors import RunBusyError

async def main(name, folder, run, job=None):
    async with IMPLEMENTATIONS[name](Path(folder)) as ledger:
        lock = ledger.job_locked(job) if job else ledger.locked(await ledger.find_run(run))
        try:
            async with lock:
                print("held", flush=True)
                sys.stdin.read()
        except RunBusyError as error:
            print("busy", error.exit_code, flush=True)

anyio.run(main, *sys.argv[1:])
"""


@pytest.fixture
def implementation(request: pytest.FixtureRequest, opener: Opener) -> str:  # noqa: ARG001  # its parameter is the name
    """The name of the implementation under test."""
    return str(request.node.callspec.params["opener"])


@contextmanager
def other_process(
    implementation: str, folder: Path, run: Run, *job: str
) -> Iterator[tuple[str, "subprocess.Popen[str]"]]:
    """What another process says when it takes the lock of a run, or of a job; it goes away at the end."""
    command = [sys.executable, "-c", _OTHER, implementation, str(folder), run.name, *job]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip(), process
        finally:
            process.kill()


async def test_a_run_that_another_process_holds_is_busy(opener: Opener, implementation: str, tmp_path: Path) -> None:
    """In both directions; other runs of the same ledger are not."""
    async with opener(tmp_path) as ledger:
        run, free = await a_run(ledger), await a_run(ledger)
        with other_process(implementation, tmp_path, run) as (said, _):
            assert said == "held"
            assert await ledger.busy(run)
            assert not await ledger.busy(free)
            with pytest.raises(RunBusyError, match=run.name):
                async with ledger.locked(run):
                    pass
            async with ledger.locked(free):
                pass


async def test_a_held_run_is_busy_for_another_process(opener: Opener, implementation: str, tmp_path: Path) -> None:
    """With the exit code that is promised; and free once it is let go."""
    async with opener(tmp_path) as ledger:
        run = await a_run(ledger)
        async with ledger.locked(run):
            with other_process(implementation, tmp_path, run) as (said, _):
                assert said == "busy 5"
        with other_process(implementation, tmp_path, run) as (said, _):
            assert said == "held"


async def test_a_killed_process_holds_nothing(opener: Opener, implementation: str, tmp_path: Path) -> None:
    """However it died."""
    async with opener(tmp_path) as ledger:
        run = await a_run(ledger)
        with other_process(implementation, tmp_path, run) as (said, process):
            assert said == "held"
            process.kill()
            process.wait()
            assert not await ledger.busy(run)
            async with ledger.locked(run):
                pass


async def test_asking_whether_a_run_is_busy_does_not_let_it_go(
    opener: Opener, implementation: str, tmp_path: Path
) -> None:
    """Its holder may ask, too, about this run or another one."""
    async with opener(tmp_path) as ledger:
        run, other = await a_run(ledger), await a_run(ledger)
        async with ledger.locked(run):
            await ledger.busy(other)
            with other_process(implementation, tmp_path, run) as (said, _):
                assert said == "busy 5"


async def test_letting_one_run_go_keeps_the_others(opener: Opener, implementation: str, tmp_path: Path) -> None:
    """A process that works on two runs of one ledger holds each until it is done with it."""
    async with opener(tmp_path) as ledger:
        run, other = await a_run(ledger), await a_run(ledger)
        async with ledger.locked(run):
            async with ledger.locked(other):
                pass
            with other_process(implementation, tmp_path, run) as (said, _):
                assert said == "busy 5"


async def test_a_job_is_held_by_one_process(opener: Opener, implementation: str, tmp_path: Path) -> None:
    """Whichever of its runs is at work, also by a second task of the same; other jobs and runs are free."""
    async with opener(tmp_path) as ledger:
        run = await a_run(ledger)
        with other_process(implementation, tmp_path, run, "night") as (said, holder):
            assert said == "held"
            with pytest.raises(RunBusyError, match="job night is at work already"):
                async with ledger.job_locked("night"):
                    pass
            async with ledger.job_locked("day"), ledger.locked(run):
                with pytest.raises(RunBusyError):
                    async with ledger.job_locked("day"):
                        pass
            holder.kill()
            holder.wait()
        async with ledger.job_locked("night"):
            pass
