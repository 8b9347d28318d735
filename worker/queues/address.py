"""The address of a queue: parsed once, and shown without its password."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

from closeout.worker.support.errors import ConfigurationError
from closeout.worker.support.units import parse_duration

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}").fullmatch


@dataclass(frozen=True, slots=True)
class Address:
    """An address's parts, decoded.

    ``path`` is what follows the host without its first slash, or for ``queue:NAME`` the name. ``options`` are those
    of the query. ``server`` is the address without the query, password included: what a driver is given.
    """

    scheme: str
    host: str
    port: int | None
    username: str | None
    path: str
    options: Mapping[str, str]
    password: str | None = field(repr=False)
    server: str = field(repr=False)

    @property
    def name(self) -> str:
        """The address as people may see it. Options that say how and not where are left out: see ``only``."""
        query = urlencode(sorted((key, value) for key, value in self.options.items() if key not in _HOW), safe="/:")
        if self.scheme == "queue":
            return f"queue:{self.path}"
        user = f"{quote(self.username)}@" if self.username else ""
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = f":{self.port}" if self.port is not None else ""
        path = f"/{quote(self.path)}" if self.path else ""
        return f"{self.scheme}://{user}{host}{port}{path}" + (f"?{query}" if query else "")

    def only(self, *known: str) -> Mapping[str, str]:
        """The options, if all are known. Raises ConfigurationError."""
        for key in self.options:
            if key not in known:
                raise ConfigurationError(f"{self.name}: no option {key!r} here; there are {', '.join(known)}")
        return self.options

    def seconds(self, option: str, default: float) -> float:
        """The value of an option that is a duration, such as ``30s``. Raises ConfigurationError."""
        text = self.options.get(option)
        if text is None:
            return default
        try:
            seconds = parse_duration(text)
        except ValueError as error:
            raise ConfigurationError(f"{self.name}: {option}: {error}") from None
        if seconds <= 0:
            raise ConfigurationError(f"{self.name}: {option} must be more than 0 s")
        return seconds


_HOW = frozenset({"cafile", "dead", "visibility"})  # they may differ between users of one queue


def parse_address(text: str) -> Address:
    """The address of a queue. Raises ConfigurationError, which never repeats what may be a password."""
    try:
        parts = urlsplit(text)
        port = parts.port
        options = dict(parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query)))
    except ValueError:
        raise ConfigurationError("the address of the queue cannot be read: see `closeout work --help`") from None
    if parts.scheme == "queue":
        return _embedded(parts.path, options)
    if "://" not in text or not text.isprintable():
        raise ConfigurationError(
            "no address of a queue: write it like queue:NAME, redis://HOST?stream=NAME&group=NAME, amqp:// or sqs://"
        )
    return Address(
        scheme=parts.scheme,
        host=parts.hostname or "",
        port=port,
        username=unquote(parts.username) if parts.username else None,
        path=unquote(parts.path.removeprefix("/")),
        options=options,
        password=unquote(parts.password) if parts.password else None,
        server=parts._replace(query="", fragment="").geturl(),
    )


def _embedded(name: str, options: Mapping[str, str]) -> Address:
    if not _NAME(name):
        raise ConfigurationError(f"queue:{name[:100]}: a queue's name is up to 100 letters, digits, dots and dashes")
    return Address("queue", "", None, None, name, options, None, f"queue:{name}")
