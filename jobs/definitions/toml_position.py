"""On which line of a TOML file a key stands: tomllib says it for what it cannot read, but not for what it read well.

The text is taken statement by statement, each as soon as tomllib can read it by itself. So TOML is understood in one
way only, by the parser that reads the configuration, and no second one has to be kept.
"""

import tomllib
from collections.abc import Sequence
from typing import Any


def line_of(text: str, path: Sequence[str]) -> int | None:
    """The line (from 1) on which the statement begins that is the first to mention the path; None if none does.

    ``-`` and ``_`` are the same in a key.
    """
    wanted = [_plain(key) for key in path]
    header: list[str] = []
    first, lines = 1, text.split("\n")
    for last in range(1, len(lines) + 1):
        statement = "\n".join(lines[first - 1 : last]) + "\n"
        try:
            content = tomllib.loads(statement)
        except tomllib.TOMLDecodeError:
            continue  # it goes on in the next line
        if statement.lstrip().startswith("["):
            header = _header_of(content)
            content = {}
        if _mentions(_nest(header, content), wanted):
            return first
        first = last + 1
    return None


def _header_of(content: dict[str, Any]) -> list[str]:
    """The keys of ``[a.b.c]`` or ``[[a.b.c]]``."""
    keys: list[str] = []
    inner: Any = content
    while inner:
        [(key, inner)] = inner.items()
        inner = inner[0] if isinstance(inner, list) else inner
        keys.append(key)
    return keys


def _nest(keys: Sequence[str], content: dict[str, Any]) -> dict[str, Any]:
    nested = content
    for key in reversed(keys):
        nested = {key: nested}
    return nested


def _mentions(content: Any, path: Sequence[str]) -> bool:  # what TOML holds is of any type
    for key in path:
        found = [value for name, value in content.items() if _plain(name) == key] if isinstance(content, dict) else []
        if not found:
            return False
        content = found[0]
    return True


def _plain(key: str) -> str:
    return key.replace("-", "_")
