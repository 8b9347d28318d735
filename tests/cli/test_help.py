"""The list of commands, the help, and completion: quick, whole, and true."""

import shlex
import subprocess
import sys

import click
import pytest
from click.testing import CliRunner

from closeout.jobs.cli import ALIASES, COMMANDS, cli, load_command, narrow_width
from closeout.jobs.help.examples import EXAMPLES, PURPOSES, WORK_ON_RUNS, codes_of
from closeout.worker.sandbox import FAULT_NAMES

HEAVY = ("httpx", "aiohttp", "anyio", "pydantic", "apsw", "rich", "structlog", "zstandard", "asyncio")


def run_python(code: str) -> str:
    """What another interpreter prints."""
    return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout


@pytest.mark.parametrize("arguments", [["--help"], ["-h"], []])
def test_help_loads_nothing_heavy(arguments: list[str]) -> None:
    """A person who asks for help is answered at once."""
    code = (
        f"import sys; sys.argv = ['closeout', *{arguments!r}]\n"
        "from closeout.jobs.cli import main\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert end.code in (None, 0, 2)\n"
        f"print('LOADED', *[name for name in {HEAVY!r} if name in sys.modules])"
    )
    assert run_python(code).splitlines()[-1].split() == ["LOADED"]


def test_the_help_lists_every_command_with_its_line() -> None:
    """Each once, by purpose."""
    result = CliRunner().invoke(cli, ["--help"], terminal_width=200, max_content_width=200)
    assert result.exit_code == 0
    sections = dict.fromkeys([f"{title}:" for title in PURPOSES])
    below = result.output[result.output.index(next(iter(sections))) :].splitlines()
    shown = [line.split(None, 1) for line in below if line.startswith("  ")]
    assert sorted(tuple(parts) for parts in shown) == sorted((name, line) for name, (_, line) in COMMANDS.items())
    assert [line for line in below if line and not line.startswith("  ")] == list(sections)


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_has_a_purpose_and_examples_that_are_true(name: str) -> None:
    """jobs/help/examples.py has both: two to four examples each, that the command's own parser takes."""
    assert [title for title, names in PURPOSES.items() if name in names]
    assert 2 <= len(EXAMPLES[name]) <= 4
    shown = CliRunner().invoke(cli, [name, "--help"], terminal_width=120, max_content_width=120).output
    for line, meaning in EXAMPLES[name]:
        assert f"  # {meaning}\n  {line}\n" in shown
        called = line.split("closeout ", 1)[1].split(" | ")[0].split(" > ")[0].removesuffix(')"')
        command, *words = shlex.split(called)
        parsed = load_command(command)
        with click.Context(parsed, info_name=command) as context:
            parsed.parse_args(context, words)


@pytest.mark.parametrize(
    "name",
    ["close", "sweep", "apply", "resume", "retry", "settle", "plan", "verify", "doctor", "work", "push", "schedule"],
)
def test_exit_codes_are_told_where_they_matter(name: str) -> None:
    """A script has to know them, of each command that may end in more than one way."""
    assert {"work", "push", "schedule", "plan", "verify", "doctor", *WORK_ON_RUNS} == set(filter(codes_of, COMMANDS))
    shown = CliRunner().invoke(cli, [name, "--help"]).output
    assert [int(line.split()[0]) for line in shown.split("Exit codes:\n")[1].splitlines() if line[2:3] != " "] == [
        *codes_of(name)
    ]


@pytest.mark.parametrize("name", ["", *sorted(COMMANDS)])
def test_a_help_fits_a_narrow_terminal_and_has_no_colours(name: str) -> None:
    """40 columns: only what is there to be copied is longer, or a word that is."""
    words = [name, "--help"] if name else ["--help"]
    shown = CliRunner().invoke(cli, words, terminal_width=40, color=True).output
    assert "\x1b" not in shown
    body = shown.split("Examples:")[0].split("Faults:")[0]
    texts = [line for line in body.splitlines() if not line.strip().startswith("closeout ")]
    assert [line for line in texts if len(line) > 40 and " " in line.strip()] == []


@pytest.mark.parametrize(("columns", "width"), [(40, 38), (10, 20), (51, 49), (52, None), (200, None)])
def test_the_help_is_as_narrow_as_the_terminal(
    columns: int, width: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Click alone would write lines of 50 columns on one of 40, which tears words."""
    monkeypatch.setenv("COLUMNS", str(columns))
    assert narrow_width() == width


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_is_what_the_list_says(name: str) -> None:
    """It can be loaded, bears its name, and has a help of its own."""
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    assert command.name == name
    assert command.help
    result = CliRunner().invoke(cli, [name, "--help"])
    assert result.exit_code == 0
    assert f"cli {name} [OPTIONS]" in result.output


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_a_commands_line_is_one_short_sentence(name: str) -> None:
    """With its full stop, in 80 columns beside the longest name."""
    _, line = COMMANDS[name]
    assert line.endswith(".")
    assert line[0].isupper()
    assert "\n" not in line
    assert len(line) <= 80


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_option_says_what_it_does(name: str) -> None:
    """In its help."""
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    options = [parameter for parameter in command.params if isinstance(parameter, click.Option)]
    assert [option.name for option in options if not option.help] == []


@pytest.mark.parametrize(("name", "offered"), [("close", True), ("resume", True), ("retry", True), ("settle", False)])
def test_settling_can_be_left_out_except_where_there_is_nothing_else(name: str, offered: bool) -> None:
    """``settle --no-settle`` would mean nothing; how to look is an option of all four."""
    shown = CliRunner().invoke(cli, [name, "--help"]).output
    assert ("--no-settle" in shown) == offered
    assert "--settle-for" in shown


def test_the_help_of_the_sandbox_lists_every_fault() -> None:
    """By its name, a line each, with what it does; whoever chooses one need not read the code."""
    shown = CliRunner().invoke(cli, ["sandbox", "--help"]).output
    faults = shown.split("Faults:\n")[1].split("\n\n")[0]
    listed = dict(line.strip().split(None, 1) for line in faults.strip().splitlines())
    assert listed == FAULT_NAMES
    assert all(len(line) <= 80 for line in shown.splitlines())


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_no_option_takes_the_key(name: str) -> None:
    """A process list would show it."""
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    flags = {flag for parameter in command.params for flag in parameter.opts}
    assert not flags & {"--api-key", "--token"}


def test_an_unknown_command_is_a_usage_error() -> None:
    """Exit code 2."""
    assert CliRunner().invoke(cli, ["explode"]).exit_code == 2


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_produced_for_the_usual_shells(shell: str) -> None:
    """A script for the shell, that names the command."""
    result = CliRunner().invoke(cli, prog_name="closeout", env={"_CLOSEOUT_COMPLETE": f"{shell}_source"})
    assert result.exit_code == 0
    assert "_CLOSEOUT_COMPLETE" in result.output
    assert "closeout" in result.output


def test_completion_knows_the_commands() -> None:
    """By their beginnings."""
    env = {"_CLOSEOUT_COMPLETE": "bash_complete", "COMP_WORDS": "closeout re", "COMP_CWORD": "1"}
    result = CliRunner().invoke(cli, prog_name="closeout", env=env)
    assert sorted(line.split(",")[1] for line in result.output.split()) == ["report", "resume", "retry"]


@pytest.mark.parametrize(("alias", "name"), ALIASES.items())
def test_an_alias_is_the_command_itself(alias: str, name: str) -> None:
    """With the same help; it is not listed beside it."""
    told, own = (CliRunner().invoke(cli, [word, "--help"]).output for word in (alias, name))
    assert told.replace(f"cli {alias}", f"cli {name}") == own
    assert alias not in CliRunner().invoke(cli, ["--help"]).output.split()


def test_a_command_that_does_not_exist_suggests_the_one_that_was_meant() -> None:
    """In one line."""
    done = CliRunner().invoke(cli, ["clsoe", "sessions.csv"])
    assert done.exit_code == 2
    assert "No such command 'clsoe'; did you mean close?" in done.output
