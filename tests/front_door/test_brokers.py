"""Queues on servers, worked on by real processes: the server goes away in the middle, and a worker dies."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from anyio.from_thread import BlockingPortal, start_blocking_portal

from tests.front_door.support import FAST, Desk, Witness, desk_of, quick, wait_until
from tests.operations.support import asking
from tests.queues import moto_sqs, rabbitmq
from tests.queues.proxy import Proxy, proxy_to

SESSIONS = 120
RATE = ("--rate", "120/s", *FAST[2:])


@contextmanager
def _rabbitmq(portal: BlockingPortal, _desk: Desk) -> Iterator[tuple[int, Callable[[int], str]]]:
    """The server's port, and the address of a fresh queue behind a port."""
    with portal.wrap_async_context_manager(rabbitmq.rabbitmq(Path())) as rig:
        yield 5672, lambda port: rig.url.replace(":5672", f":{port}")


@contextmanager
def _sqs(portal: BlockingPortal, desk: Desk) -> Iterator[tuple[int, Callable[[int], str]]]:
    """The same of moto's."""
    with portal.wrap_async_context_manager(moto_sqs.sqs(Path())) as rig:
        desk.env.update(moto_sqs.CREDENTIALS)
        server = int(moto_sqs.endpoint().rsplit(":", 1)[1])
        yield server, lambda port: rig.url.replace(f":{server}", f":{port}")


@pytest.mark.parametrize("server", [_rabbitmq, _sqs], ids=["rabbitmq", "sqs"])
def test_a_server_that_goes_away_and_a_worker_that_dies_lose_and_repeat_nothing(tmp_path: Path, server: object) -> None:
    """While the server is away the worker lives, is not ready, and says so once; another one goes on for a dead one."""
    with start_blocking_portal() as portal, desk_of(tmp_path, quick(latency=0.02)) as (desk, sandbox):
        assert callable(server)
        with server(portal, desk) as (port, url), portal.wrap_async_context_manager(proxy_to(port)) as proxy:
            witness, ids = Witness(sandbox), sandbox.add_sessions(SESSIONS)
            pushed = desk.run("push", desk.write_ids([*ids[:60], "no-uuid"]), url(port))
            assert (pushed.code, "60 pushed to" in pushed.out) == (1, True), pushed.err
            _work_until_killed(desk, url(proxy.port), portal, proxy, witness)
            assert desk.run("push", desk.write_ids([*ids[40:], ids[40]]), url(port)).code == 0
            done = desk.run("work", url(proxy.port), "--drain", *RATE, "--json")
    assert done.code == 0, done.err
    assert sum(sandbox.truth(one).closes_effective for one in ids) == SESSIONS
    assert all(sandbox.truth(one).closes_repeated == 0 for one in ids)
    assert witness.unverified_repeats() == []
    rows = {row["session_id"] for row in desk.rows() if row["outcome"] in ("closed", "already_closed")}
    assert rows == set(ids)


def _work_until_killed(desk: Desk, url: str, portal: BlockingPortal, proxy: Proxy, witness: Witness) -> None:
    """Cut the worker off from its queue, let it find that again, and kill it."""
    with desk.started("work", url, *RATE, "--listen", "0") as child:
        asked = asking(child)
        wait_until(lambda: len(witness.posts()) > 10)
        portal.call(proxy.cut)
        wait_until(lambda: "queue" in asked.ready()[1])
        assert asked.get("/healthz").status_code == 200
        assert "127.0.0.1" in asked.ready()[1]["queue"]
        portal.call(proxy.heal)
        wait_until(lambda: asked.ready() == (200, {}))
        child.process.kill()
        child.process.wait()
