"""What completion must know of the commands, kept between two presses of TAB: to load a command takes too long.

The cache is written when it is wanted and older than the code. It holds names and helps, and nothing of the user's.
"""

import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import click

from closeout.jobs.completion.candidates import completer_of

_Outline = list[dict[str, Any]]


def outlined(name: str, names: Iterable[str], load: Callable[[str], click.Command]) -> click.Command:
    """A command with the parameters of the one of this name, which completes and does nothing."""
    outlines = _read() or _written({each: _outline_of(load(each)) for each in names})
    return click.Command(name, params=[_parameter(name, each) for each in outlines[name]], add_help_option=True)


def _outline_of(command: click.Command) -> _Outline:
    return [_described(parameter) for parameter in command.params]


def _described(parameter: click.Parameter) -> dict[str, Any]:
    found: dict[str, Any] = {"name": parameter.name, "nargs": parameter.nargs}
    if isinstance(parameter.type, click.Choice):
        found["choices"] = list(parameter.type.choices)
    if isinstance(parameter, click.Option):
        found |= {"opts": parameter.opts, "off": parameter.secondary_opts, "flag": parameter.is_flag}
        found |= {"count": parameter.count, "multiple": parameter.multiple, "help": parameter.help}
    return found


def _parameter(command: str, found: dict[str, Any]) -> click.Parameter:
    name = found["name"]
    more: dict[str, Any] = {"type": click.Choice(found["choices"])} if "choices" in found else {}
    completer = completer_of(command, name)
    if completer is not None and not more:
        more["shell_complete"] = partial(_quietly, completer)
    if "opts" not in found:
        return click.Argument([name], nargs=found["nargs"], required=False, **more)
    declared = "/".join([found["opts"][0], *found["off"][:1]])
    if found["count"]:
        return click.Option([*found["opts"], name], count=True, help=found["help"])
    if found["flag"]:
        return click.Option([declared, *found["opts"][1:], name], is_flag=True, help=found["help"])
    return click.Option([*found["opts"], name], multiple=found["multiple"], help=found["help"], **more)


def _quietly(completer: Callable[..., Any], context: click.Context, _: click.Parameter, incomplete: str) -> Any:
    """Whatever is in the way of an offer, there is none then, and no noise in the shell."""
    try:
        return completer(context, incomplete)
    except Exception:  # see above
        return []


def _path() -> Path:
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "closeout" / "completion.json"


def _stamp() -> list[object]:
    """Other code has other files, or others of their times."""
    files = sorted(Path(__file__).parent.glob("*.py"))
    return [sys.version, str(Path(__file__).parent), [[each.name, each.stat().st_mtime_ns] for each in files]]


def _read() -> dict[str, _Outline] | None:
    with suppress(OSError, ValueError, KeyError, TypeError):
        kept = json.loads(_path().read_text(encoding="utf-8"))
        if kept["stamp"] == _stamp():
            found: dict[str, _Outline] = kept["outlines"]
            return found
    return None


def _written(outlines: dict[str, _Outline]) -> dict[str, _Outline]:
    path = _path()
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent)
        with os.fdopen(handle, "w", encoding="utf-8") as out:
            json.dump({"stamp": _stamp(), "outlines": outlines}, out)
        Path(name).replace(path)
    return outlines
