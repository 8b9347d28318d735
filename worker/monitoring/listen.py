"""Where to listen: an address as a person types it, and the socket bound to it."""

import os
import socket
from dataclasses import dataclass

from closeout.worker.support.errors import ConfigurationError

NO_METRICS = "/metrics needs the extra closeout[metrics]: pip install 'closeout[metrics]'"
_LOOPBACK = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Address:
    """A host of this machine and a port; 0 for any that is free."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_address(text: str) -> Address:
    """``[HOST:]PORT``, on loopback without a host. Raises ConfigurationError."""
    host, colon, port = text.strip().rpartition(":")
    if not (port.isascii() and port.isdecimal() and int(port) <= 65535):  # the last port there is
        raise ConfigurationError(f"--listen {text}: write it like 9464, or HOST:9464 for another host than loopback")
    if colon and not host:
        raise ConfigurationError(f"--listen {text}: name the host before the colon, such as 0.0.0.0:{port} for all")
    if ":" in host and not (host.startswith("[") and host.endswith("]")):
        raise ConfigurationError(f"--listen {text}: write an IPv6 host in brackets, like [::1]:9464")
    return Address(host.strip("[]") or _LOOPBACK, int(port))


def bind(address: Address) -> socket.socket:
    """A socket that listens there. Raises ConfigurationError."""
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    try:
        return socket.create_server((address.host, address.port), family=family)
    except OSError as error:
        known = error.errno is not None and error.errno > 0  # the socket module adds to the system's words
        why = os.strerror(error.errno or 0) if known else error.strerror
        raise ConfigurationError(f"--listen {address}: {why or error}") from None


def bound_to(listener: socket.socket) -> Address:
    """Where a socket listens: the port that was free."""
    host, port, *_ = listener.getsockname()
    return Address(host, port)
