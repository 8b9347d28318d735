"""How the help looks: options by purpose, examples, exit codes; in any width."""

from collections.abc import Iterable, Sequence

import click

from closeout.jobs.help.examples import EXAMPLES, MORE, PURPOSES, codes_of

# Options by purpose; what stands nowhere here comes first, as the command's own.
_SECTIONS: dict[str, tuple[str, ...]] = {
    "What is closed": (
        "id_column",
        "lenient_ids",
        "allow_empty",
        "reason",
        "allow_unknown_reason",
        "limit",
        "canary",
        "yes",
    ),
    "What is left alone": ("protect", "only_status", "idle_for", "expired", "state_max_age"),
    "Host and key": (
        "base_url",
        "api",
        "api_key_file",
        "api_key_command",
        "proxy",
        "cacert",
        "cert",
        "cert_key",
        "profile",
        "config",
        "organisation",
    ),
    "Pace": ("rate", "share", "org_limit", "concurrency", "timeout", "quiet_hours", "timezone"),
    "Failures": ("max_attempts", "give_up_after", "max_failures", "deadline"),
    "Verdicts": ("settle", "settle_for", "first_look", "none_grace"),
    "Output": ("ledger", "as_json", "export", "listen", "progress", "log_format", "verbosity", "help"),
}
_OWN = "Options"
_NARROW = 60
Pairs = Sequence[tuple[str, str]]


class HelpfulCommand(click.Command):
    """A command whose help is told as above. It takes the place of the one that a module defines."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for title, options in options_by_purpose(self, ctx):
            rows = [record for option in options if (record := option.get_help_record(ctx)) is not None]
            write_pairs(formatter, title, rows)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        super().format_epilog(ctx, formatter)
        name = self.name or ""
        with formatter.section("Examples"):
            for line, meaning in EXAMPLES.get(name, ()):
                formatter.write_text(f"\b\n# {meaning}\n{line}")
        write_pairs(formatter, "Exit codes", [(str(code), meaning) for code, meaning in codes_of(name).items()])


def helpful(command: click.Command) -> HelpfulCommand:
    """The same command with such a help."""
    return HelpfulCommand(
        command.name,
        callback=command.callback,
        params=command.params,
        help=command.help,
        epilog=command.epilog,
        context_settings=command.context_settings,
        add_help_option=command.add_help_option,
    )


def options_by_purpose(command: click.Command, context: click.Context) -> list[tuple[str, list[click.Option]]]:
    """The options of a command, section by section, those without any left out."""
    options = [each for each in command.get_params(context) if isinstance(each, click.Option)]
    section_of = {name: title for title, names in _SECTIONS.items() for name in names}
    ordered = {title: [each for each in options if section_of.get(each.name or "", _OWN) == title]
               for title in (_OWN, *_SECTIONS)}  # fmt: skip
    return [(title, found) for title, found in ordered.items() if found]


def commands_by_purpose(lines: dict[str, str]) -> list[tuple[str, Pairs]]:
    """Commands with their lines, section by section."""
    known = {name for names in PURPOSES.values() for name in names}
    sections = {title: [(name, lines[name]) for name in names if name in lines] for title, names in PURPOSES.items()}
    sections[MORE] = [(name, line) for name, line in lines.items() if name not in known]
    return [(title, pairs) for title, pairs in sections.items() if pairs]


def write_pairs(formatter: click.HelpFormatter, title: str, pairs: Iterable[tuple[str, str]]) -> None:
    """A section of two columns, or on a narrow terminal of one below the other."""
    pairs = list(pairs)
    if not pairs:
        return
    with formatter.section(title):
        if formatter.width >= _NARROW:
            formatter.write_dl(pairs)
            return
        for first, second in pairs:
            formatter.write_text(first)
            with formatter.indentation():
                formatter.write_text(second)
