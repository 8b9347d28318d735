"""As whom the API is reached, and on which way: the key, where it came from and what is none, and the network."""

import re
from dataclasses import dataclass, field

from closeout.worker.config.network import Network
from closeout.worker.support.errors import ConfigurationError

# What people paste instead of a key, and what to do about it.
_NO_KEYS = (
    (re.compile(r"""(["'\u201c\u2018`]).*|.*["'\u201d\u2019`]"""), "stands in quotes: leave them out"),
    (re.compile(r"(x-api-key|api-key|apikey|authorization)\s*[:=].*", re.I), "is a header: give its value alone"),
    (re.compile(r"bearer\s.*", re.I), "begins with `Bearer`: give what follows it alone"),
    (re.compile(r"(export\s+)?[A-Z][A-Z0-9_]*=[^=].*"), "is an assignment: give its value alone"),
    (re.compile(r"\$\(?\{?\w+.*|%\w+%|\{\{.*\}\}"), "is the name of a variable, which nothing has filled in"),
    (re.compile(r"<.*>|\[.*\]|your[-_ ].*|x{3,}|\.{3}|…|changeme", re.I), "is a placeholder: put the key in its place"),
)


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key, which is never shown, and in words where it was found, which is told where the API refuses it."""

    value: str = field(repr=False)
    origin: str


@dataclass(frozen=True, slots=True)
class Access:
    """The key, and how connections leave this machine. Nothing of it is kept with a run."""

    key: ApiKey
    network: Network = field(default_factory=Network)


def check_key(text: str, origin: str) -> ApiKey:
    """The key without blanks around it. Raises ConfigurationError, which never repeats it."""
    key = text.strip()
    for pattern, problem in _NO_KEYS:
        if pattern.fullmatch(key):
            raise ConfigurationError(f"the API key in {origin} {problem}")
    if not key or not key.isascii() or not key.isprintable() or " " in key:
        raise ConfigurationError(f"the API key in {origin} is empty or holds characters that no key has")
    return ApiKey(key, origin)
