"""What the shell is offered for an argument or an option: quick, from what is there, and never an error."""

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem

Completer = Callable[[click.Context, str], list[CompletionItem]]
_FILES = ("source", "output", "export", "config", "ledger", "api_key_file", "cacert", "cert", "cert_key", "csv_path")
_STATUSES = ("protect", "only_status")
_LAST = ("last", "the newest run")


def completer_of(command: str, parameter: str) -> Completer | None:
    """What completes a parameter; None where there is nothing to offer."""
    special: dict[tuple[str, str], Completer] = {
        ("sweep", "name"): _jobs,
        ("resume", "run"): _runs_in("running", "halted", "interrupted"),
        ("apply", "run"): _runs_in("planned"),
        ("rate", "run"): _runs_in("running"),
        ("pause", "run"): _runs_in("running"),
        ("go", "run"): _runs_in("running"),
        ("completion", "shell"): _words("bash", "zsh", "fish"),
    }
    usual: dict[str, Completer] = {
        "run": _runs_in(),
        "runs": _runs_in(),
        "compare": _runs_in(),
        "job": _jobs,
        "profile": _profiles,
        "outcomes": _outcomes,
        "reason": _reasons,
        "evals": _words("success", "partial", "failure", "pending", "none", several=True),
        "row_format": _words("csv", "jsonl", "parquet"),
        "page_format": _words("html", "markdown"),
        "api": _words("1.21", "1.90"),
        "folder": _folders,
        **dict.fromkeys(_FILES, _files),
        **dict.fromkeys(_STATUSES, _statuses),
    }
    return special.get((command, parameter)) or usual.get(parameter)


def _items(pairs: Iterable[tuple[str, str]], incomplete: str) -> list[CompletionItem]:
    return [CompletionItem(word, help=told or None) for word, told in pairs if word.startswith(incomplete)]


def _listed(words: Iterable[str], incomplete: str) -> list[CompletionItem]:
    """The last of several, separated by commas; none twice."""
    before, comma, last = incomplete.rpartition(",")
    taken = set(before.split(","))
    fitting = [word for word in sorted(words) if word.startswith(last) and word not in taken]
    return [CompletionItem(f"{before}{comma}{word}") for word in fitting]


def _words(*words: str, several: bool = False) -> Completer:
    if several:
        return lambda _, incomplete: _listed(words, incomplete)
    return lambda _, incomplete: _items([(word, "") for word in words], incomplete)


def _files(_: click.Context, incomplete: str) -> list[CompletionItem]:
    return [CompletionItem(incomplete, type="file")]


def _folders(_: click.Context, incomplete: str) -> list[CompletionItem]:
    return [CompletionItem(incomplete, type="dir")]


def _runs_in(*states: str) -> Completer:
    def complete(context: click.Context, incomplete: str) -> list[CompletionItem]:
        from closeout.worker.ledger.peek import glance  # noqa: PLC0415  # a database costs others their quick completion

        found = [run for run in glance(_ledger(context)) if not states or run.state in states]
        last = [_LAST] if found else []
        return _items([*last, *((run.name, f"{run.state} · {run.what}") for run in found)], incomplete)

    return complete


def _jobs(context: click.Context, incomplete: str) -> list[CompletionItem]:
    return _items([(name, "") for name in _tables(context, "jobs")], incomplete)


def _profiles(context: click.Context, incomplete: str) -> list[CompletionItem]:
    return _items([(name, "") for name in _tables(context, "profiles")], incomplete)


def _outcomes(_: click.Context, incomplete: str) -> list[CompletionItem]:
    from closeout.worker.domain.item import Outcome  # noqa: PLC0415  # as above

    return _listed([outcome.value for outcome in Outcome], incomplete)


def _statuses(_: click.Context, incomplete: str) -> list[CompletionItem]:
    from closeout.worker.domain.session import LIVE_STATUSES  # noqa: PLC0415  # as above

    return _listed([*LIVE_STATUSES, "none"], incomplete)


def _reasons(context: click.Context, incomplete: str) -> list[CompletionItem]:
    from closeout.worker.config.dialect import KNOWN_REASONS  # noqa: PLC0415  # as above

    known = KNOWN_REASONS.get(context.params.get("api") or "1.21", frozenset())
    return _items([(reason, "") for reason in sorted(known)], incomplete)


def _ledger(context: click.Context) -> str:
    """Flag or environment, then the configuration file, then the default, as for the command itself."""
    said = context.params.get("ledger") or os.environ.get("CLOSEOUT_LEDGER") or _configured(context).get("ledger")
    return said if isinstance(said, str) else "closeout.db"


def _tables(context: click.Context, kind: str) -> list[str]:
    tables = _configured(context).get(kind)
    return sorted(tables) if isinstance(tables, dict) else []


def _configured(context: click.Context) -> dict[str, Any]:
    """What the configuration file holds; nothing where there is none, or none that can be read."""
    import tomllib  # noqa: PLC0415  # as above

    base = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    named = context.params.get("config")
    for path in [Path(named)] if named else [Path("closeout.toml"), base / "closeout" / "closeout.toml"]:
        if path.is_file():
            try:
                return tomllib.loads(path.read_text(encoding="utf-8"))
            except (OSError, ValueError):
                return {}
    return {}
