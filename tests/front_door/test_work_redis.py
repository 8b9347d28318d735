"""A stream of Redis worked on by real processes, while a worker and then the server are killed."""

import signal
import time
from pathlib import Path

from tests.front_door.support import FAST, Witness, assert_all_counted, desk_of, quick, wait_until
from tests.queues.test_redis import free_port, private_server


def test_a_worker_and_the_server_are_killed_and_nothing_is_lost_or_repeated(tmp_path: Path) -> None:
    """The next worker waits for the server, says so once, and goes on: each id has one row and was closed once."""
    port = free_port()
    queue = f"redis://127.0.0.1:{port}/0?stream=sessions&group=workers&visibility=1s"
    with desk_of(tmp_path / "desk", quick(latency=0.02)) as (desk, sandbox):
        witness = Witness(sandbox)
        ids = sandbox.add_sessions(300)
        with private_server(tmp_path, port):
            wait_until(lambda: desk.run("push", desk.write_ids(ids[:200]), queue).code == 0)
            with desk.started("work", queue, *FAST) as first:
                wait_until(lambda: len(witness.posts()) > 50)
                first.process.kill()
                first.process.wait()
        posts = witness.posts()
        recorded = [row["session_id"] for row in desk.rows() if row["outcome"] == "closed"]
        with desk.started("work", queue, *FAST) as second:
            line = second.wait_for_line("Redis does not answer")
            with private_server(tmp_path, port):
                wait_until(lambda: desk.run("push", desk.write_ids(ids[200:]), queue).code == 0)
                wait_until(lambda: len(witness.posts()) == 300)
                time.sleep(0.5)
                second.process.send_signal(signal.SIGTERM)
                done = second.ended()
        assert (done.code, "trouble" in line) == (143, True), done.err
        assert "Redis does not answer" not in done.err  # once was enough
        assert set(desk.by_id()) == set(ids)
        assert {one: witness.posts()[one] for one in recorded} == {one: posts[one] for one in recorded}
        assert witness.unverified_repeats() == []
        assert {row["outcome"] for row in desk.rows()} == {"closed"}
        assert all(sandbox.truth(one).closes_effective == 1 for one in ids)
        assert_all_counted(desk)
