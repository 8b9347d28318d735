"""A run that listens: what it tells is what the API saw and what the ledger holds."""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from closeout.worker.monitoring.metrics import JOB_METRICS, QUEUE_METRICS, RUN_METRICS
from closeout.worker.sandbox import Sandbox
from tests.front_door.support import FAST, LONGEST, Child, Desk, Witness, desk_of, quick, wait_until, waited
from tests.operations.support import Asking, asking

SESSIONS = 400


class World:
    """A paused run: nothing changes while it is looked at."""

    def __init__(self, desk: Desk, sandbox: Sandbox, child: Child) -> None:
        self.desk, self.sandbox, self.child = desk, sandbox, child
        self.asking: Asking = asking(child)
        self.witness = Witness(sandbox)

    def pause(self) -> None:
        """Let it work until it has had to repeat something, then hold it; all answers are in the ledger afterwards."""
        wait_until(lambda: self.asking.ready() == (200, {}))
        wait_until(lambda: self.asking.scrape().value("closeout_close_retries_total") > 3)
        assert self.desk.run("pause", "last").code == 0
        wait_until(lambda: self.asking.scrape().value("closeout_waiting", cause="paused") == 1)
        wait_until(lambda: self.asking.scrape().value("closeout_waited_seconds_total", cause="paused") > 0)
        wait_until(lambda: not self.asking.scrape().value("closeout_requests_in_flight"))
        wait_until(lambda: not self.asking.scrape().value("closeout_ledger_backlog_records"))


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """One run for all tests of this file, whose last one ends it."""
    with desk_of(tmp_path_factory.mktemp("listening"), quick(seed=7, close_faults={"503": 0.1})) as (desk, sandbox):
        ids = sandbox.add_sessions(SESSIONS)
        name = desk.write_ids([*ids, ids[0], "no-uuid"])
        with desk.started("close", name, *FAST, "--rate", "100/s", "--listen", "0") as child:
            made = World(desk, sandbox, child)
            made.pause()
            yield made


def test_the_metrics_are_those_of_the_api_and_of_the_ledger(world: World) -> None:
    """Every metric of a run is there, none that is not in the table; the requests are those that the API counted."""
    scrape = world.asking.scrape()
    assert set(scrape.metrics()) == {metric.name for metric in RUN_METRICS} | {"closeout_build_info"}
    assert not set(scrape.metrics()) & {metric.name for metric in (*JOB_METRICS, *QUEUE_METRICS)}
    counts = world.sandbox.counts
    told = {kind: scrape.total("closeout_requests_total", kind=kind) for kind in ("close", "read", "list")}
    assert told == {kind: counts.requests[kind] for kind in told}
    closes = told["close"]
    assert scrape.value("closeout_requests_total", kind="close", result="5xx") > 0
    assert scrape.value("closeout_request_duration_seconds_count", kind="close") == closes
    assert scrape.value("closeout_sessions_total", outcome="closed") == counts.closes_effective
    assert scrape.value("closeout_sessions_total", outcome="invalid") == 1
    assert scrape.value("closeout_rows_read_total") == SESSIONS + 2
    assert scrape.value("closeout_duplicates_total") == 1
    assert scrape.value("closeout_open_sessions") == SESSIONS - counts.closes_effective
    ((resent,),) = world.desk.query(
        "SELECT sum(n - 1) FROM (SELECT count(*) AS n FROM attempts WHERE kind = 'close' GROUP BY item)"
    )
    assert scrape.value("closeout_close_retries_total") == resent > 0
    ((settled, unsettled),) = world.desk.query(
        "SELECT sum(eval_settled), sum(NOT eval_settled) FROM results WHERE outcome = 'closed'"
    )
    assert scrape.total("closeout_evaluations_total") == settled
    assert scrape.value("closeout_unsettled_sessions") == unsettled
    assert scrape.value("closeout_ceiling_requests_per_second") == 100
    assert scrape.value("closeout_ledger_write_duration_seconds_count") > 0
    assert scrape.value("closeout_waited_seconds_total", cause="paused") > 0


def test_it_is_ready_while_its_ledger_can_be_written_to(world: World) -> None:
    """Another writer that holds the file is told of in time; the process lives all the while."""
    wait_until(lambda: world.asking.ready() == (200, {}))
    with closing(sqlite3.connect(world.desk.ledger, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        wait_until(lambda: world.asking.ready() == (503, {"ledger": "no answer within 2 s"}))
        assert world.asking.get("/healthz").status_code == 200
    wait_until(lambda: world.asking.ready() == (200, {}))


def test_only_what_is_there_is_answered(world: World) -> None:
    """Nothing is found elsewhere, and nothing can be sent; the answers are not kept by anybody."""
    assert world.asking.get("/").status_code == 404
    assert world.asking.get("/metrics").headers["cache-control"] == "no-store"


def test_a_port_that_is_taken_ends_the_command(world: World, tmp_path: Path) -> None:
    """In one line, before anything is sent."""
    port = world.asking.url.rsplit(":", 1)[1]
    with desk_of(tmp_path, quick()) as (desk, sandbox):
        done = desk.run("close", desk.write_ids(sandbox.add_sessions(3)), *FAST, "--listen", port)
        assert not sandbox.counts.requests
    assert (done.code, done.err) == (2, f"closeout: --listen 127.0.0.1:{port}: Address already in use\n")


def test_while_it_drains_it_lives_and_is_not_ready(world: World) -> None:
    """From TERM on, until the last answer is recorded."""
    held, arrived = threading.Event(), threading.Event()

    def hold() -> None:
        arrived.set()
        held.wait(LONGEST)

    world.witness.at(5, hold, "close")
    assert world.desk.run("go", "last").code == 0
    waited(arrived)
    world.child.terminate()
    wait_until(lambda: world.asking.ready() == (503, {"run": "draining: interrupted by TERM"}))
    assert world.asking.get("/healthz").status_code == 200
    assert world.asking.scrape().value("closeout_draining") == 1
    held.set()
    assert world.child.ended().code == 143
