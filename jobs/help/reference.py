"""The reference as Markdown, from the same source as the help: commands, settings, columns, outcomes, exit codes.

Each function gives the body of one page, without its title. Commands come as click's group, so that whoever builds the
documentation decides which.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from html import escape
from typing import Any, get_args, get_origin

import click
from pydantic.fields import FieldInfo

from closeout.jobs.config.options import DEFAULT_LEDGER
from closeout.jobs.help.examples import EXAMPLES, EXIT_CODES, codes_of
from closeout.jobs.help.format import commands_by_purpose, options_by_purpose
from closeout.worker.config.settings import DURATIONS, INTERNAL_SETTINGS, RATES, SHARES, Settings
from closeout.worker.export.columns import DESCRIBED, OUTCOMES

_MAIN = "close"
_OF_COMMANDS = (  # settings of the command and not of a run
    ("ledger", "text", f"`{DEFAULT_LEDGER}`"),
    ("api_key_file", "text", "none"),
    ("api_key_command", "text", "none"),
    ("proxy", "text", "`HTTPS_PROXY`, `ALL_PROXY`"),
    ("cacert", "text", "`REQUESTS_CA_BUNDLE`, `CURL_CA_BUNDLE`"),
    ("cert", "text", "none"),
    ("cert_key", "text", "none"),
    ("log_format", '"console" or "json"', "`console`"),
    ("alert_url", "text", "none"),
)
_STATED = re.compile(r"\[default: (.*)\]")  # in the help, where a default is no plain value
_KINDS = {
    "duration": DURATIONS,
    "rate": RATES,
    "share": SHARES,
    "share or whole number": ("max_failures",),
}
Table = Sequence[Sequence[str]]


def pages(group: click.Group) -> dict[str, str]:
    """Every page of the reference by its name."""
    return {
        "commands": commands(group),
        "settings": settings(group),
        "columns": columns(),
        "outcomes": outcomes(),
        "exit-codes": exit_codes(),
    }


def commands(group: click.Group) -> str:
    """All commands by purpose: usage, help, options, examples, exit codes."""
    context = click.Context(group, info_name="closeout", **group.context_settings)
    lines = {name: command.get_short_help_str(200) for name, command in _loaded(group, context)}
    by_name = dict(_loaded(group, context))
    parts: list[str] = []
    for title, pairs in commands_by_purpose(lines):
        parts.append(f"## {title}")
        parts += [command(by_name[name], context) for name, _ in pairs]
    return "\n\n".join(parts) + "\n"


def _loaded(group: click.Group, context: click.Context) -> list[tuple[str, click.Command]]:
    found = [(name, group.get_command(context, name)) for name in group.list_commands(context)]
    return [(name, each) for name, each in found if each is not None]


def command(each: click.Command, parent: click.Context) -> str:
    """One command."""
    name = each.name or ""
    with click.Context(each, parent=parent, info_name=name) as context:
        usage = " ".join(each.collect_usage_pieces(context))
        parts = [f"### closeout {name}", f"```text\ncloseout {name} {usage}\n```", _text(each.help or "")]
        for title, options in options_by_purpose(each, context):
            records = [record for option in options if (record := option.get_help_record(context)) is not None]
            parts.append(_table((title, "Meaning"), [(f"`{flag}`", told) for flag, told in records]))
    if each.epilog:
        parts.append("```text\n" + each.epilog.replace("\b\n", "") + "\n```")
    examples = "\n".join(f"# {meaning}\n{line}" for line, meaning in EXAMPLES.get(name, ()))
    parts.append(f"```bash\n{examples}\n```" if examples else "")
    codes = [(str(code), meaning) for code, meaning in codes_of(name).items()]
    parts.append(_table(("exit code", "meaning"), codes) if codes else "")
    return "\n\n".join(part for part in parts if part)


def settings(group: click.Group) -> str:
    """Every setting: its name in closeout.toml, flag, variable, kind, default and meaning."""
    options = _flags(group)
    of_runs = [
        (name, _kind(name, field), _default(name, field) or _stated(options.get(name)))
        for name, field in Settings.model_fields.items()
        if name not in INTERNAL_SETTINGS
    ]
    rows = []
    for name, kind, default in [*of_runs, *_OF_COMMANDS]:
        option = options.get(name)
        given_by = f"{_flag(option)} {_variables(option)}"
        rows.append((f"`{name}`", given_by, kind, default, _meaning(option)))
    return _table(("setting", "flag, variable", "kind", "default", "meaning"), rows) + "\n"


def _flags(group: click.Group) -> dict[str, click.Option]:
    """The option that gives each setting; where several commands have one, that of the main job."""
    found: dict[str, click.Option] = {}
    for _, each in sorted(_loaded(group, click.Context(group)), key=lambda pair: pair[0] != _MAIN):
        for option in each.params:
            if isinstance(option, click.Option):
                found.setdefault(option.name or "", option)
    return found


def _flag(option: click.Option | None) -> str:
    return " ".join(f"`{flag}`" for flag in [*option.opts, *option.secondary_opts]) if option is not None else ""


def _variables(option: click.Option | None) -> str:
    named = option.envvar if option is not None else None
    return " ".join(f"`{name}`" for name in ([named] if isinstance(named, str) else named or ()))


def _stated(option: click.Option | None) -> str:
    """The default as the help states it, where no value is one: what is learnt, or found out."""
    found = _STATED.search((option.help or "") if option is not None else "")
    return found[1] if found is not None else "none"


def _meaning(option: click.Option | None) -> str:
    return (option.help or "").split("  [default")[0] if option is not None else ""


def _kind(name: str, field: FieldInfo) -> str:
    named = [kind for kind, names in _KINDS.items() if name in names]
    if named:
        return named[0]
    if get_origin(field.annotation) is tuple:
        return "list of statuses"
    kinds: dict[object, str] = {int: "whole number", bool: "true or false", str: "text", float: "number"}
    choices = get_args(field.annotation)
    for kind, told in kinds.items():
        if field.annotation is kind or kind in choices:
            return told
    return " or ".join(f'"{choice}"' for choice in choices)


def _default(name: str, field: FieldInfo) -> str:
    value: Any = field.get_default()
    if value is None or value in ((), ""):
        return ""
    if isinstance(value, tuple):
        return ", ".join(f"`{each}`" for each in value)
    return f"`{_as_typed(name, value)}`"


def _as_typed(name: str, value: Any) -> str:
    """A value as a person would write it into closeout.toml."""
    if name in SHARES:
        return f"{value:.0%}"
    if name in RATES:
        return f"{value * 60:g}/min"
    if name in DURATIONS:
        unit, length = next((pair for pair in (("h", 3600), ("m", 60)) if value % pair[1] == 0), ("s", 1))
        return f"{value / length:g}{unit}"
    return str(value).lower() if isinstance(value, bool) else str(value)


def columns() -> str:
    """The columns of every export, and of the ledger's view ``results``, in their order."""
    rows = [(f"`{column.name}`", column.kind, column.meaning) for column in DESCRIBED]
    return _table(("column", "kind", "meaning"), rows) + "\n"


def outcomes() -> str:
    """What each outcome means."""
    return _table(("outcome", "meaning"), [(f"`{outcome}`", told) for outcome, told in OUTCOMES.items()]) + "\n"


def exit_codes() -> str:
    """What the exit codes of a command that works on a run mean."""
    return _table(("code", "meaning"), [(str(code), told) for code, told in EXIT_CODES.items()]) + "\n"


def _table(head: Sequence[str], rows: Table) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(map(_cell, line)) + " |" for line in lines)


def _cell(text: str) -> str:
    """A bar within code would be shown with the backslash that keeps it from ending the cell; so it is an entity."""
    in_code = re.sub(r"`([^`]*\|[^`]*)`", lambda found: f"<code>{escape(found[1])}</code>", " ".join(text.split()))
    return in_code.replace("|", "&#124;")


def _text(text: str) -> str:
    """The paragraphs of a docstring; what is indented stays as it is."""
    paragraphs: Iterable[str] = text.strip().split("\n\n")
    shape: Callable[[str], str] = lambda each: each if each.startswith("\b") else " ".join(each.split())  # noqa: E731
    return "\n\n".join(map(shape, paragraphs)).replace("\b\n", "")
