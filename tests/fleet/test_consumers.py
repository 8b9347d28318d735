"""Consumers of one queue on one server: one of them stands still, and another takes over what it held."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fleet.support import LEASE, TIMEOUT, fleet
from tests.front_door.support import quick, wait_until, waited
from tests.postgres.databases import done_with, url_of


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    """An empty ledger on the shared server."""
    yield url_of(tmp_path)
    done_with(tmp_path)


def test_a_consumer_whose_run_was_taken_over_goes_on_with_one_of_its_own(tmp_path: Path, url: str) -> None:
    """It had ended with code 3, and with a line that told somebody to wait for the other one."""
    with fleet(tmp_path, url, quick(latency=0.05)) as work:
        work.prepare(110)
        work.desk.run("push", "sessions.csv", "queue:q", "--ledger", url)
        words = (
            "work", "queue:q", "--ledger", url, "--rate", "30/s", "--timeout", f"{TIMEOUT}s", "--lease", f"{LEASE}s",
            "--first-look", "300ms", "--none-grace", "500ms", "--no-progress",
        )  # fmt: skip
        with work.desk.started(*words) as stopped:
            waited(work.witness.event_at(20, "close"))
            stopped.process.send_signal(signal.SIGSTOP)
            with work.desk.started(*words) as other:
                other.wait_for_line("was left by its process: closing what it holds")
                stopped.process.send_signal(signal.SIGCONT)
                stopped.wait_for_line("was taken over by another consumer meanwhile")
                wait_until(lambda: len(work.asked("SELECT id FROM runs")) == 3)
                wait_until(lambda: len(work.asked("SELECT 1 FROM results WHERE outcome = 'closed'")) == 110)
                for child in (stopped, other):
                    child.terminate()
                assert [child.ended().code for child in (stopped, other)] == [143, 143]
        work.expect_truth()
