"""Machines of their own, as far as the network goes: namespaces on one bridge, whose cables can be pulled."""

import ctypes
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from typing import TypeVar

from tests.services import not_allowed, program

_T = TypeVar("_T")
_NEW_NET = 0x40000000  # CLONE_NEWNET of <sched.h>
_NETWORK = "198.18.{}"  # of those that are set aside for tests of networks (RFC 2544): nobody is reached by mistake


@dataclass(frozen=True)
class Host:
    """One machine: ``name`` is its namespace, ``cable`` the bridge's end of its only way out."""

    name: str
    cable: str

    def unplug(self) -> None:
        """Nothing comes or goes any more, and nobody is told. What goes over loopback goes on."""
        _ip("link", "set", self.cable, "down")

    def plug_in(self) -> None:
        _ip("link", "set", self.cable, "up")

    def command(self, *words: str) -> list[str]:
        """What runs closeout there: the process keeps its id, so signals reach it."""
        return ["ip", "netns", "exec", self.name, sys.executable, "-m", "closeout", *words]

    def listener(self, port: int) -> socket.socket:
        """A server's socket on this machine's loopback."""
        return self._there(lambda: socket.create_server(("127.0.0.1", port)))

    def reaches(self, address: tuple[str, int]) -> bool:
        """Whether anybody answers there, seen from this machine."""

        def attempt() -> bool:
            with suppress(OSError), socket.create_connection(address, timeout=0.3):
                return True
            return False

        return self._there(attempt)

    def _there(self, work: Callable[[], _T]) -> _T:
        """A socket stays in the namespace that it was made in; the thread that went there ends."""

        def go() -> _T:
            libc = ctypes.CDLL(None, use_errno=True)
            with open(f"/run/netns/{self.name}", encoding="ascii") as namespace:
                if libc.setns(namespace.fileno(), _NEW_NET):
                    raise OSError(ctypes.get_errno(), f"cannot enter the namespace {self.name}")
            return work()

        with ThreadPoolExecutor(1) as pool:
            return pool.submit(go).result()


@contextmanager
def hosts(count: int) -> Iterator[tuple[str, Sequence[Host]]]:
    """So many machines, and the address of this one that they reach; all is gone afterwards."""
    _expect_right()
    tag = f"co{os.getpid()}"
    network = _NETWORK.format(os.getpid() % 256)
    with ExitStack() as stack:
        _ip("link", "add", tag, "type", "bridge")
        stack.callback(_ip, "link", "delete", tag)
        _ip("address", "add", f"{network}.1/24", "dev", tag)
        _ip("link", "set", tag, "up")
        found = []
        for number in range(count):
            host = Host(f"{tag}-{number}", f"{tag}v{number}")
            _ip("netns", "add", host.name)
            stack.callback(_ip, "netns", "delete", host.name)  # and with it both ends of its cable
            _wire(host, tag, f"{network}.{number + 2}/24")
            found.append(host)
        yield f"{network}.1", found


def _wire(host: Host, bridge: str, address: str) -> None:
    _ip("link", "add", host.cable, "type", "veth", "peer", "name", "eth0", "netns", host.name)
    _ip("link", "set", host.cable, "master", bridge, "up")
    _ip("-n", host.name, "address", "add", address, "dev", "eth0")
    for each in ("lo", "eth0"):
        _ip("-n", host.name, "link", "set", each, "up")


def _expect_right() -> None:
    """Root alone may make namespaces, and in most containers not even root."""
    if os.geteuid() != 0:
        not_allowed("network namespaces need root")
    program("ip")
    trial = f"co{os.getpid()}-trial"
    if subprocess.run(["ip", "netns", "add", trial], capture_output=True, check=False).returncode:
        not_allowed("this machine lets nobody make network namespaces")
    _ip("netns", "delete", trial)


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)
