"""A fleet on three machines, two of which lose the database while the API stays within reach: the dangerous case."""

import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import cast
from urllib.parse import urlsplit

from tests.fleet.namespaces import Host, hosts
from tests.fleet.support import TIMEOUT, WORDS, Fleet, fleet
from tests.forked import Forked
from tests.front_door.support import Child, quick, wait_until
from tests.postgres.proxy import Proxy
from tests.postgres.server import private_server

_RATE = 60  # a second: so that nobody is done before the one that is healed is there again

_LEFT = "extract(epoch FROM lease_until - clock_timestamp())::float8"


@dataclass
class Member:
    """A worker on a machine of its own, which reaches the API by way of that machine's loopback."""

    host: Host
    api: Proxy
    child: Child

    @property
    def pid(self) -> int:
        return self.child.process.pid

    def lease_end(self, work: Fleet) -> tuple[float, int]:
        """When others may look after what it has claimed, on the monotonic clock: not before this; and how much."""
        asked_at = time.monotonic()
        claims = "(SELECT count(*) FROM items i WHERE i.outcome = 'claimed' AND i.owner = w.id) AS claims"
        (row,) = work.asked(f"SELECT {_LEFT} AS left, {claims} FROM workers w WHERE pid = {self.pid}")  # noqa: S608  # a number
        return asked_at + float(row["left"]), row["claims"]


@contextmanager
def member(work: Fleet, host: Host) -> Iterator[Member]:
    """The same command on this machine; whatever the sandbox is sent from there is seen."""
    target = ("127.0.0.1", urlsplit(work.desk.url or "").port or 0)
    api = Proxy(target, host.listener(target[1]))
    command = host.command("close", "sessions.csv", "--ledger", work.url, *WORDS, "--rate", f"{_RATE}/s")
    process = subprocess.Popen(
        command, cwd=work.desk.home, env=work.desk.environment(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        with process:
            try:
                yield Member(host, api, Child(cast("Forked", process)))
            finally:
                process.kill()
    finally:
        api.close()


def test_two_of_three_machines_lose_the_database_and_one_gets_it_back(tmp_path: Path) -> None:
    """Nothing leaves them that is not surely over when their leases end; the third does their work, one joins anew."""
    with ExitStack() as stack:
        address, machines = stack.enter_context(hosts(3))
        server = stack.enter_context(private_server(address))
        work = stack.enter_context(fleet(tmp_path, server.url, quick(latency=0.02)))
        work.prepare(400)
        members = [stack.enter_context(member(work, host)) for host in machines]
        wait_until(lambda: all(each.api.sent_at > 0 for each in members))
        gone, healed, third = members
        ends = _cut_off(work, gone, healed)
        with work.held():  # or the third might be done before the other is there again
            work.remember()
            healed.host.plug_in()
            wait_until(lambda: healed.pid in _at_work(work))
            joined_at = time.monotonic()
        ended = [each.child.ended() for each in (healed, third)]
        assert gone.child.process.poll() is None, "a database that is away is waited for"
        assert gone.api.sent_at + TIMEOUT < ends[gone.pid]
        assert healed.api.sent_at > joined_at, "it has not taken part again"
        assert "lease expired (no heartbeat)" in ended[0].err
        assert "lease expired" not in ended[1].err
        work.expect_alike(ended)
        work.expect_truth()
        work.expect_budget(_RATE)


def _at_work(work: Fleet) -> set[int]:
    """The processes that are registered."""
    return {row["pid"] for row in work.asked("SELECT pid FROM workers")}


def _cut_off(work: Fleet, *members: Member) -> dict[int, float]:
    """Pull their cables, and see their leases end; returns when that was, by process."""
    for each in members:
        each.host.unplug()
    known = [(each.pid, *each.lease_end(work)) for each in members]
    assert sum(claims for _, _, claims in known), "nothing was left behind: nothing was tested"
    ends = {pid: end for pid, end, _ in known}
    wait_until(lambda: not _at_work(work) & set(ends))
    api, database = urlsplit(work.desk.url or ""), urlsplit(work.url)
    for each in members:
        assert each.host.reaches((api.hostname or "", api.port or 0))
        assert not each.host.reaches((database.hostname or "", database.port or 0))
        assert each.api.sent_at + TIMEOUT < ends[each.pid], "it sends what may be under way when its lease ends"
    return ends
