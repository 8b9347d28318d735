"""Contract: one process works on a run; a dead one holds nothing."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import anyio
import pytest

from closeout.worker.domain.run import Run
from closeout.worker.ledger.lease import Terms
from closeout.worker.ledger.membership import RunEnd
from closeout.worker.ledger.protocol import Ledger
from closeout.worker.support.errors import RunBusyError
from tests.ledger.support import NOW, Opener, a_run

pytestmark = pytest.mark.anyio

# Tries to take the lock of the run, or another, in another process; holds it until its input ends.
_OTHER = """
import sys, anyio
from pathlib import Path
from tests.ledger.support import IMPLEMENTATIONS
from closeout.worker.support.errors import RunBusyError
from closeout.worker.ledger.lease import Terms
from closeout.worker.ledger.membership import RunEnd

async def main(name, folder, run, kind="run", what=""):
    async with IMPLEMENTATIONS[name](Path(folder)) as ledger:
        if kind == "run":
            lock = ledger.locked(await ledger.find_run(run))
        else:
            lock = ledger.job_locked(what) if kind == "job" else ledger.turn(what, anyio.Event())
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
    implementation: str, folder: Path, run: Run, *other: str
) -> Iterator[tuple[str, "subprocess.Popen[str]"]]:
    """What another process says when it takes the lock of a run, of a job, or a turn; it goes away at the end."""
    command = [sys.executable, "-c", _OTHER, implementation, str(folder), run.name, *other]
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
        with other_process(implementation, tmp_path, run, "job", "night") as (said, holder):
            assert said == "held"
            with pytest.raises(RunBusyError, match="job night is already running"):
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


async def test_a_turn_is_held_by_one_until_it_dies(opener: Opener, implementation: str, tmp_path: Path) -> None:
    """SIGKILL included. Two tasks exclude each other, other organisations do not; who waits stops when told to."""
    async with opener(tmp_path) as ledger:
        with other_process(implementation, tmp_path, await a_run(ledger), "turn", "host org") as (said, holder):
            assert said == "held"
            with anyio.move_on_after(0.2) as waiting:
                async with ledger.turn("host org", anyio.Event()):
                    pytest.fail("two have the turn")
            assert waiting.cancelled_caught
            stop = anyio.Event()
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(_never_has_a_turn, ledger, stop)
                await anyio.wait_all_tasks_blocked()
                stop.set()
            async with ledger.turn("host other", anyio.Event()) as other:
                assert other
                with anyio.move_on_after(0.2) as waiting:
                    async with ledger.turn("host other", anyio.Event()):
                        pytest.fail("two of one process have the turn")
                assert waiting.cancelled_caught
            holder.kill()
            with anyio.fail_after(60):
                async with ledger.turn("host org", anyio.Event()) as mine:
                    assert mine


async def _never_has_a_turn(ledger: Ledger, stop: anyio.Event) -> None:
    with anyio.fail_after(60):
        async with ledger.turn("host org", stop) as mine:
            assert not mine


async def test_one_works_on_a_run_or_several_do(opener: Opener, implementation: str, tmp_path: Path) -> None:
    """Beside a file a second process is refused; on a server it joins. The first one leads, and ends the run."""
    async with opener(tmp_path) as ledger, opener(tmp_path) as second:
        run = await a_run(ledger, range(3))
        async with ledger.joined(run, Terms(60, 30, 5)) as crew:
            assert (crew.first, crew.leading, crew.may_send()) == (True, True, True)
            await crew.begin()
            assert [(each.run, each.leads) for each in await second.workers()] == [(run.name, True)]
            if implementation == "sqlite":
                with pytest.raises(RunBusyError):
                    async with second.joined(run, Terms(60, 30, 5)):
                        pass
            else:
                async with second.joined(run, Terms(60, 30, 5)) as joined:
                    assert (joined.first, joined.leading) == (False, False)
                    await joined.leave(RunEnd("interrupted", None, 0), NOW)
            assert await crew.leave(RunEnd("halted", "enough", 1.0), NOW)
        assert await second.workers() == []
        assert (await second.find_run(run.name)).state == "halted"
