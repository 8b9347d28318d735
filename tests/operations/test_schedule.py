"""A schedule that listens: how its jobs do, each a process that does not listen itself."""

from pathlib import Path

from closeout.worker.monitoring.listen import bind, bound_to, parse_address
from closeout.worker.monitoring.metrics import JOB_METRICS
from tests.front_door.support import wait_until
from tests.front_door.test_schedule import DAILY, RATE, put_back
from tests.front_door.test_sweep import WORDS, add, ago, night
from tests.operations.support import asking


def test_the_jobs_of_a_schedule_are_told_of(tmp_path: Path) -> None:
    """One that was due is started at once, though the port that it inherits is taken by us."""
    with bind(parse_address("0")) as free:
        port = bound_to(free).port
    with night(tmp_path, RATE + DAILY) as (desk, sandbox):
        assert desk.run("sweep", "night", *WORDS).code == 0
        put_back(desk, 4)
        add(sandbox, 20, ago(days=2))
        desk.env["CLOSEOUT_LISTEN"] = str(port)
        with desk.started("schedule") as child:
            asked = asking(child)
            wait_until(lambda: asked.ready() == (200, {}))
            wait_until(lambda: asked.scrape().total("closeout_job_runs_total") == 1)
            scrape = asked.scrape()
            child.terminate()
            ended = child.ended()
    assert set(scrape.metrics()) == {metric.name for metric in JOB_METRICS} | {"closeout_build_info"}
    assert scrape.value("closeout_job_runs_total", job="night", exit_code="0") == 1, ended.err
    assert scrape.value("closeout_job_running", job="night") == 0
    last = scrape.value("closeout_job_last_end_timestamp_seconds", job="night")
    assert 0 < scrape.value("closeout_job_next_start_timestamp_seconds", job="night") - last <= 86_400
    assert (ended.code, sandbox.counts.closes_effective) == (143, 20)
