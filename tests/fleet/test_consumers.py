"""Consumers of one queue on one server: one of them stands still, and another takes over what it held."""

import signal
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tests.fleet.support import LEASE, TIMEOUT, Fleet, fleet
from tests.front_door.support import Child, quick, wait_until, waited
from tests.postgres.databases import done_with, url_of


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    """An empty ledger on the shared server."""
    yield url_of(tmp_path)
    done_with(tmp_path)


@pytest.mark.parametrize("eval_delay", [0.1, 6.0], ids=["ended", "held"])
def test_a_consumer_whose_run_was_taken_over_goes_on_with_one_of_its_own(
    tmp_path: Path, url: str, eval_delay: float
) -> None:
    """Be it that the other has ended that run meanwhile, or still waits for its evaluations."""
    with fleet(tmp_path, url, quick(latency=0.05, eval_delay=(eval_delay, eval_delay))) as work:
        work.prepare(110)
        words = (
            "work", "queue:q", "--ledger", url, "--rate", "30/s", "--timeout", f"{TIMEOUT}s", "--lease", f"{LEASE}s",
            "--first-look", "300ms", "--none-grace", "500ms", "--no-progress",
        )  # fmt: skip
        with work.desk.started(*words) as stopped:
            wait_until(lambda: len(_at_work(work)) == 1)
            (first,) = _at_work(work)
            with work.desk.started(*words) as other:
                # Whoever comes when the lease is over resumes the run instead: both must be at work before.
                wait_until(lambda: len(_at_work(work)) == 2)
                work.desk.run("push", "sessions.csv", "queue:q", "--ledger", url)
                waited(work.witness.event_at(20, "close"))
                stopped.process.send_signal(signal.SIGSTOP)
                other.wait_for_line("was left by its process: closing what it holds")
                if eval_delay < 1:
                    wait_until(lambda: _has_ended(work, first))
                else:
                    wait_until(lambda: _works_on(work, other, first) or _has_ended(work, first))
                stopped.process.send_signal(signal.SIGCONT)
                stopped.wait_for_line("was taken over by another consumer meanwhile")
                wait_until(lambda: {"run": first + 2} in work.asked("SELECT run FROM leads WHERE begun"))
                wait_until(lambda: len(work.asked("SELECT 1 FROM results WHERE outcome = 'closed'")) == 110)
                for child in (stopped, other):
                    child.terminate()
                assert [child.ended().code for child in (stopped, other)] == [143, 143]
        work.expect_truth()


def _works_on(work: Fleet, child: Child, run: int) -> bool:
    return {"run": run, "pid": child.process.pid} in work.asked("SELECT run, pid FROM workers")


def _has_ended(work: Fleet, run: int) -> bool:
    return {"id": run} in work.asked("SELECT id FROM runs WHERE state = 'finished'")


def _at_work(work: Fleet) -> list[int]:
    """The runs that workers are registered for; none before there is a ledger."""
    try:
        return [row["run"] for row in work.asked("SELECT run FROM workers")]
    except psycopg.errors.UndefinedTable:
        return []
