"""A worker that listens: its queue is told of, and it lives on where that, or the API, is away."""

from pathlib import Path

from closeout.worker.monitoring.metrics import QUEUE_METRICS, RUN_METRICS
from tests.front_door.support import FAST, Desk, desk_of, quick, wait_until
from tests.operations.support import Scrape, asking


def test_a_worker_tells_of_its_queue_and_of_its_brake(tmp_path: Path) -> None:
    """Ready until too many sessions fail; then closing is paused, and what waits in the queue is seen to wait."""
    with desk_of(tmp_path, quick()) as (desk, sandbox):
        good = sandbox.add_sessions(20)
        push(desk, good)
        with desk.started("work", "queue:sessions", *FAST, "--max-failures", "3", "--listen", "0") as child:
            asked = asking(child)
            wait_until(lambda: asked.ready() == (200, {}))
            wait_until(lambda: asked.scrape().value("closeout_sessions_total", outcome="closed") == 20)
            wait_until(lambda: depth(asked.scrape()) == {"waiting": 0, "in_flight": 0, "dead": 0})
            scrape = asked.scrape()
            push(desk, [f"00000000-0000-4000-8000-{number:012}" for number in range(200)])
            wait_until(lambda: "closing is paused" in asked.ready()[1].get("brake", ""))
            held = asked.scrape()
            child.terminate()
            ended = child.ended()
    assert set(scrape.metrics()) == {one.name for one in (*RUN_METRICS, *QUEUE_METRICS)} | {"closeout_build_info"}
    assert held.value("closeout_brake_engaged") == held.value("closeout_waiting", cause="brake") == 1
    assert held.value("closeout_halted") == 0
    assert ended.code == 143, ended.err


def push(desk: Desk, ids: list[str]) -> None:
    """Into the queue of the ledger."""
    assert desk.run("push", desk.write_ids(ids), "queue:sessions").code == 0


def depth(scrape: Scrape) -> dict[str, float]:
    """How many messages the queue has, by state."""
    return {state: scrape.value("closeout_queue_messages", state=state) for state in ("waiting", "in_flight", "dead")}
