"""How connections leave this machine: through which proxy, trusting which CAs, showing which certificate.

What is not given is taken from the environment, by the names that other tools use. Never from ``.netrc``.
"""

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from closeout.worker.support.errors import ConfigurationError

SCHEMES = ("http", "https", "socks5", "socks5h")
DIRECT = "none"
_LOOPBACK = {"localhost", "127.0.0.1", "::1"}
_PROXIES = ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY")
_BUNDLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
_OPENSSLS = ("SSL_CERT_FILE", "SSL_CERT_DIR")  # OpenSSL itself reads them, but says nothing of one that is missing


@dataclass(frozen=True, slots=True)
class Place:
    """A file or folder, and where it was named: for the error messages."""

    path: str
    origin: str


@dataclass(frozen=True, slots=True)
class Network:
    """``proxy`` may hold a password, and is never shown; ``named`` is that a person gave it here, for this command.

    ``no_proxy`` are the hosts that the environment's proxy is not for. ``ca`` is trusted besides what the system
    trusts; ``system_ca`` is what OpenSSL's own variables name. ``cert`` and ``cert_key`` are for a server that asks.
    """

    proxy: str | None = field(default=None, repr=False)
    named: bool = False
    no_proxy: str = ""
    ca: Place | None = None
    system_ca: tuple[Place, ...] = ()
    cert: Place | None = None
    cert_key: Place | None = None

    def proxy_for(self, address: str) -> str | None:
        """The proxy on the way to an address, or None: straight there.

        What is on this machine is never asked through a proxy of the environment. Through one that was named for it, a
        host without TLS is asked only if the proxy is here, too: else it would be shown the key.
        """
        target = urlsplit(address)
        host = (target.hostname or "").rstrip(".")
        if self.proxy is None:
            return None
        if target.scheme == "http":
            here = (urlsplit(self.proxy).hostname or "") in _LOOPBACK
            return self.proxy if self.named and here else None
        port = target.port or 443
        return None if not self.named and (host in _LOOPBACK or _bypassed(host, port, self.no_proxy)) else self.proxy


def network_of(given: Mapping[str, str | None], environment: Mapping[str, str], origins: Mapping[str, str]) -> Network:
    """What was given as ``proxy``, ``cacert``, ``cert`` and ``cert_key``, over what the environment says.

    Raises ConfigurationError, which never repeats a proxy's address: it may hold a password.
    """
    cacert, cert, cert_key = (given.get(name) or None for name in ("cacert", "cert", "cert_key"))
    bundle = next((Place(environment[name], name) for name in _BUNDLES if environment.get(name)), None)
    if cert_key is not None and cert is None:
        raise ConfigurationError(
            f"{origins.get('cert_key', '--key')}: there is no --cert that it belongs to (the API key has no flag: "
            "put it into FEATHER_API_KEY, or a file named with --api-key-file)"
        )
    named = given.get("proxy")
    return Network(
        _named_proxy(named, origins.get("proxy", "--proxy")) if named else _proxy_of(environment),
        named=bool(named),
        no_proxy=environment.get("no_proxy") or environment.get("NO_PROXY") or "",
        ca=Place(cacert, origins.get("cacert", "--cacert")) if cacert is not None else bundle,
        system_ca=tuple(Place(environment[name], name) for name in _OPENSSLS if environment.get(name)),
        cert=Place(cert, origins.get("cert", "--cert")) if cert is not None else None,
        cert_key=Place(cert_key, origins.get("cert_key", "--key")) if cert_key is not None else None,
    )


def _proxy_of(environment: Mapping[str, str]) -> str | None:
    for name in _PROXIES:
        if environment.get(name):
            return _named_proxy(environment[name], name)
    return None


def _named_proxy(text: str, origin: str) -> str | None:
    if text == DIRECT:
        return None
    address = text if "://" in text else f"http://{text}"
    try:
        parts = urlsplit(address)
        known = parts.scheme in SCHEMES and bool(parts.hostname) and parts.port != 0
    except ValueError:
        known = False
    if not known or not address.isascii() or not address.isprintable() or " " in address:
        raise ConfigurationError(
            f"{origin}: no address of a proxy: write it like http://proxy.example.com:3128 "
            f"({', '.join(SCHEMES[:3])}), or {DIRECT}"
        )
    return address


def shown_proxy(address: str) -> str:
    """Its scheme, host and port: what may be shown."""
    parts = urlsplit(address)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname or ""
    return f"{parts.scheme}://{host}:{parts.port}" if parts.port else f"{parts.scheme}://{host}"


def _bypassed(host: str, port: int, no_proxy: str) -> bool:
    """Whether one entry of a NO_PROXY is this host, a domain above it, or a network that it lies in."""
    return any(_covers(entry, host, port) for entry in no_proxy.lower().replace(",", " ").split())


def _covers(entry: str, host: str, port: int) -> bool:
    if entry == "*":
        return True
    number = _address(host)
    if number is not None:
        try:
            return number in ipaddress.ip_network(entry.strip("[]"), strict=False)
        except ValueError:  # a name, or an address with a port
            pass
    name, _, wanted = entry.rpartition(":")
    if name and wanted.isdecimal():
        if int(wanted) != port:
            return False
        entry = name
    entry = entry.removeprefix("*").strip(".[]")
    return bool(entry) and (host == entry or (number is None and host.endswith(f".{entry}")))


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None
