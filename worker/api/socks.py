"""A way through a SOCKS proxy: python-socks', where it is installed."""

import importlib
import socket
from typing import Any

from closeout.worker.support.errors import ConfigurationError


async def join(proxy: str, host: str, port: int) -> socket.socket:
    """A connection to a host, whose name the proxy resolves.

    Raises ConfigurationError without the package, and OSError; python-socks' own errors come as ConnectionError.
    """
    library: Any = _library()
    address = proxy.replace("socks5h://", "socks5://", 1)
    try:
        joined: socket.socket = await library.Proxy.from_url(address, rdns=True).connect(host, port)
    except (library.ProxyError, library.ProxyConnectionError) as error:
        raise ConnectionError(str(error)) from error
    return joined


def check_socks() -> None:
    """Raises ConfigurationError where the package is missing."""
    _library()


def _library() -> Any:
    try:
        library: Any = importlib.import_module("python_socks.async_.asyncio")
        errors: Any = importlib.import_module("python_socks")
    except ImportError:
        raise ConfigurationError(
            "a socks5 proxy needs the package python-socks: pip install 'closeout[socks]'"
        ) from None
    library.ProxyError, library.ProxyConnectionError = errors.ProxyError, errors.ProxyConnectionError
    return library
