"""The command line: which commands there are, and how errors reach a person. Commands are loaded when used."""

import gc
import importlib
import os
import shutil
import sys
import threading
import time
import traceback
from contextlib import suppress
from typing import NoReturn

import click
from click.shell_completion import CompletionItem

from closeout.worker.support.suggestions import did_you_mean

# New objects before the collector looks for cycles. Python's own 700 are fewer than the requests in flight hold: it
# would go through them at each dozen of closes, and now and then through all modules, 28 ms in which nothing is sent.
COLLECT_AFTER = 5_000
_TO_END = 0.5  # seconds
_LEAST_OF_CLICK = 52  # columns

# Name, where it lives, and its line in the help: listing them must not load them, for the sake of a quick --help.
COMMANDS = {
    "demo": (
        "closeout.jobs.commands.demo",
        "Try it all with no key and no network: the sandbox, 1,000 sessions, the report.",
    ),
    "close": ("closeout.jobs.commands.close", "Close the sessions that a file or standard input lists."),
    "work": ("closeout.jobs.commands.work", "Close the sessions that a queue gives, until stopped."),
    "push": ("closeout.jobs.commands.push", "Put the sessions of a file or standard input into a queue."),
    "sweep": ("closeout.jobs.commands.sweep", "Find sessions by the rule of a configured job, and close them."),
    "plan": ("closeout.jobs.commands.plan", "Look everything up, close nothing, and show what closing would do."),
    "apply": ("closeout.jobs.commands.apply", "Close exactly what a plan holds."),
    "schedule": ("closeout.jobs.commands.schedule", "Run the configured jobs at their times, or print units that do."),
    "resume": ("closeout.jobs.commands.resume", "Resume an unfinished run."),
    "retry": ("closeout.jobs.commands.retry", "Attempt the failed, rejected and not-found sessions of a run again."),
    "settle": ("closeout.jobs.commands.settle", "Fetch again the evaluations that were not final."),
    "rate": ("closeout.jobs.commands.control", "Change the rate of a run while it runs."),
    "pause": ("closeout.jobs.commands.control", "Hold a run: send nothing until `go`."),
    "go": ("closeout.jobs.commands.control", "Undo pause and rate."),
    "runs": ("closeout.jobs.commands.runs", "List the runs of the ledger."),
    "show": ("closeout.jobs.commands.show", "Show one run, or what happened to one session of it."),
    "fleet": ("closeout.jobs.commands.fleet", "List the worker processes on the ledger, and the budget they share."),
    "verify": ("closeout.jobs.commands.verify", "Read closed sessions again and compare them with the ledger."),
    "export": ("closeout.jobs.commands.export", "Write the rows of a run as CSV, JSONL or Parquet."),
    "report": (
        "closeout.jobs.commands.report",
        "Report on one run, or compare two, as a page or as markdown.",
    ),
    "serve": ("closeout.jobs.commands.serve", "Show runs live in a browser on this machine."),
    "doctor": ("closeout.jobs.commands.doctor", "Check the key, the host, the clock, the ledger and the settings."),
    "sandbox": ("closeout.jobs.commands.sandbox", "Serve the stand-in for the API on loopback."),
    "completion": ("closeout.jobs.commands.completion", "Print the script that makes bash, zsh or fish complete."),
}
ALIASES = {"enqueue": "push", "unpause": "go", "workers": "fleet"}  # words that a person may try first


def load_command(name: str) -> click.Command:
    """The command of this name, with its help as a person is to see it."""
    from closeout.jobs.help.format import helpful  # noqa: PLC0415  # not for the list of commands

    module = importlib.import_module(COMMANDS[name][0])
    command = getattr(module, name, None) or module.command
    if not isinstance(command, click.Command):
        raise TypeError(f"unknown command {name}")
    return helpful(command)


class LazyGroup(click.Group):
    """Loads a command's module when the command is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  # click's signature
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # click's signature
        cmd_name = ALIASES.get(cmd_name, cmd_name)
        if cmd_name not in COMMANDS:
            return None
        if ctx.resilient_parsing:  # completion alone parses so
            from closeout.jobs.completion.cache import outlined  # noqa: PLC0415  # nothing else wants it

            return outlined(cmd_name, COMMANDS, load_command)
        return load_command(cmd_name)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Without loading each command for its line."""
        if incomplete.startswith("-"):
            return super().shell_complete(ctx, incomplete)
        return [CompletionItem(name, help=line) for name, (_, line) in COMMANDS.items() if name.startswith(incomplete)]

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Suggests the command that was meant."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            meant = did_you_mean(args[0], [*COMMANDS, *ALIASES])
            if not meant:
                raise
            raise click.UsageError(f"No such command {args[0]!r}{meant}", ctx) from error

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002  # click's
        from closeout.jobs.help.format import commands_by_purpose, write_pairs  # noqa: PLC0415  # for a help alone

        for title, pairs in commands_by_purpose({name: line for name, (_, line) in COMMANDS.items()}):
            write_pairs(formatter, title, pairs)


@click.command(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="closeout")
def cli() -> None:
    """Close conversation sessions in bulk: at a safe pace, nothing twice, with a ledger of how each one ended.

    \b
    First steps:
      closeout demo
      closeout close sessions.csv --reason abandoned
    """


def main() -> None:
    """Run the command line and leave with the exit code of the contract."""
    gc.set_threshold(COLLECT_AFTER)
    _end_variables_with_their_text()
    try:
        code = cli.main(prog_name="closeout", standalone_mode=False, terminal_width=narrow_width())
    except click.ClickException as error:
        click.echo(f"closeout: {in_one_line(error)}", err=True)
        code = error.exit_code
    except click.exceptions.Exit as ended:
        code = ended.exit_code
    except (click.Abort, KeyboardInterrupt):
        code = 130
    except (BrokenPipeError, SystemExit):
        # The reader of our output went away (`| head`), which click turns into SystemExit: nothing is left to say to
        # it, not even at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    except Exception as error:  # the last place where an error can become one line
        if "_CLOSEOUT_COMPLETE" in os.environ:
            sys.exit(0)  # nothing to offer, and no noise in somebody's shell
        code = report(error, show_trace="-vv" in sys.argv)
    except BaseExceptionGroup:  # Ctrl-C within a task group, when the run has ended and is being put away
        code = 130
    leave(code if isinstance(code, int) else 0)


def _end_variables_with_their_text() -> None:
    """A secret that was made from a file ends with the end of its last line, and none of these with one on purpose."""
    for name, value in os.environ.items():
        if name.startswith(("CLOSEOUT_", "FEATHER_")) and value.endswith(("\n", "\r")):
            os.environ[name] = value.rstrip("\r\n")


def narrow_width() -> int | None:
    """Columns for the help where the terminal has fewer than click would take; None where click does well."""
    columns = shutil.get_terminal_size().columns
    return max(columns - 2, 20) if columns < _LEAST_OF_CLICK else None


def leave(code: int) -> NoReturn:
    """End the process, also where a thread still reads a pipe that nobody writes to: Python would wait for it."""
    try:
        if _all_threads_end():
            sys.exit(code)
        with suppress(OSError):
            sys.stdout.flush()
            sys.stderr.flush()
    except KeyboardInterrupt:
        pass
    os._exit(code)


def _all_threads_end() -> bool:
    """Whether Python would find no thread to wait for. What has no more to do is given a moment to end."""
    ends = time.monotonic() + _TO_END
    others = [each for each in threading.enumerate() if each is not threading.current_thread() and not each.daemon]
    for thread in others:
        thread.join(max(0.0, ends - time.monotonic()))
    return not any(thread.is_alive() for thread in others)


def in_one_line(error: click.ClickException) -> str:
    """What was wrong with the words that were typed, and where the right ones stand."""
    text = " ".join(error.format_message().split()).rstrip(".")
    context = error.ctx if isinstance(error, click.UsageError) else None
    if context is None:
        return text
    if isinstance(error, click.NoSuchOption):
        behind = "; options of a command stand behind it" if context.parent is None else ""
        meant = did_you_mean(error.option_name, error.possibilities or (), behind)
        text = f"no such option {error.option_name}{meant}"
    return f"{text[:1].lower()}{text[1:]} (see `{context.command_path} --help`)"


def report(error: BaseException, *, show_trace: bool) -> int:
    """Say in one line what went wrong; returns the exit code."""
    # --help needs nothing of the engine
    from closeout.worker.support.errors import MISTAKES, CloseoutError, plain_words, primary_error  # noqa: PLC0415
    from closeout.worker.support.terminal import printable  # noqa: PLC0415

    error = primary_error(error)
    if show_trace and not isinstance(error, MISTAKES):
        traceback.print_exception(error)
    if isinstance(error, CloseoutError):
        click.echo(f"closeout: {printable(str(error))}", err=True)
        return error.exit_code
    click.echo(
        f"closeout: {plain_words(error)}. What was recorded is in the ledger: `closeout resume last` continues",
        err=True,
    )
    return 3
