"""Completion: what each shell is offered, from what is there; nothing is made, and nothing goes wrong aloud."""

import os
import pty
import select
import subprocess
import sys
import time
from pathlib import Path

import anyio
import click
import pytest
from click.shell_completion import CompletionItem, ShellComplete
from click.testing import CliRunner

from closeout.jobs.cli import COMMANDS, cli, load_command, main
from closeout.jobs.completion.cache import outlined
from closeout.worker.ledger.membership import RunEnd
from closeout.worker.ledger.sqlite.ledger import SqliteLedger
from tests.cli.support import write_config
from tests.ledger.support import NOW, a_run
from tests.services import program

CONFIG = '[profiles.production]\nshare = "30%"\n[profiles.staging]\n[jobs.stale]\n[jobs.tests]\n'
VENV = str(Path(sys.executable).parent)
BASH = """
eval "$(closeout completion bash)"
COMP_WORDS=({words}); COMP_CWORD={at}; COMP_LINE="{line}"; COMP_POINT=${{#COMP_LINE}}
_closeout_completion closeout
printf '%s\\n' "${{COMPREPLY[@]}}"
"""


def offered(*words: str) -> list[CompletionItem]:
    """What is offered for the last of the words, which may be empty."""
    return ShellComplete(cli, {}, "closeout", "_CLOSEOUT_COMPLETE").get_completions(list(words[:-1]), words[-1])


def values(*words: str) -> list[str]:
    return [str(item.value) for item in offered(*words)]


async def _fill() -> list[str]:
    async with SqliteLedger.open(Path("closeout.db"), create=True) as ledger:
        runs = [await a_run(ledger, [number], source=f"{number}.csv") for number in range(3)]
        await ledger.end_run(runs[0], RunEnd("finished", None, 1.0), NOW)
        await ledger.end_run(runs[1], RunEnd("planned", None, 1.0), NOW)
    return [run.name for run in runs]


@pytest.fixture
def runs() -> list[str]:
    """A finished run, a plan, and one that is unfinished."""
    return anyio.run(_fill)


def test_runs_are_offered_where_they_make_sense(runs: list[str]) -> None:
    """The newest first, ``last`` before all; unfinished ones to ``resume``, plans to ``apply``; by their beginning."""
    finished, planned, unfinished = runs
    before = sorted(path.name for path in Path().iterdir())
    assert values("show", "") == ["last", unfinished, planned, finished]
    assert values("resume", "") == ["last", unfinished]
    assert values("apply", "") == ["last", planned]
    assert values("export", finished[:7]) == [finished]
    assert [item.help for item in offered("apply", planned)] == ["planned · 1.csv"]
    assert values("show", "--ledger", "other.db", "") == []
    assert sorted(path.name for path in Path().iterdir()) == before


def test_words_of_the_domain_are_offered() -> None:
    """Outcomes, statuses and verdicts also in lists, none twice; reasons of the dialect; jobs and profiles."""
    write_config(CONFIG)
    assert values("export", "last", "--outcome", "failed,re") == ["failed,rejected"]
    assert values("export", "last", "--outcome", "rejected,re") == []
    assert values("close", "a.csv", "--protect", "wait") == ["waiting_for_human"]
    assert values("close", "a.csv", "--reason", "aband") == ["abandoned"]
    assert values("close", "a.csv", "--reason", "call_e") == []
    assert values("close", "a.csv", "--api", "1.90", "--reason", "call_e") == ["call_ended"]
    assert values("sweep", "") == ["stale", "tests"]
    assert values("plan", "--job", "t") == ["tests"]
    assert values("doctor", "--profile", "") == ["production", "staging"]
    assert values("export", "last", "--format", "") == ["csv", "jsonl", "parquet"]
    assert [(item.type, item.value) for item in offered("close", "sess")] == [("file", "sess")]
    assert values("comp") == ["completion"]
    assert values("export", "--out") == ["--output", "--outcome"]


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_option_of_every_command_is_offered(name: str) -> None:
    """From the outline that is kept as from the command itself."""
    first, kept = (outlined(name, COMMANDS, load_command) for _ in range(2))
    real = load_command(name)
    context = click.Context(real, info_name=name)
    for outline in (first, kept):
        shown = {item.value for item in outline.shell_complete(click.Context(outline), "--")}
        assert shown == {item.value for item in real.shell_complete(context, "--")}


@pytest.mark.parametrize("trouble", ["nothing there", "no database", "no configuration", "no cache"])
def test_nothing_is_made_and_nothing_fails(trouble: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is nothing to offer, nothing is."""
    if trouble == "no database":
        Path("closeout.db").write_text("this is no database", encoding="utf-8")
    if trouble == "no configuration":
        write_config("[jobs.stale")
    if trouble == "no cache":
        monkeypatch.setenv("XDG_CACHE_HOME", "/dev/null")
    before = sorted(path.name for path in Path().iterdir())
    assert values("show", "") == values("sweep", "") == values("close", "a.csv", "--profile", "") == []
    assert sorted(path.name for path in Path().iterdir()) == before


def test_no_trouble_is_loud(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    """Whatever breaks while a person presses TAB."""
    monkeypatch.setenv("_CLOSEOUT_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_WORDS", "closeout show ")
    monkeypatch.setenv("COMP_CWORD", "2")
    monkeypatch.setattr("closeout.jobs.completion.cache.outlined", None)
    with pytest.raises(SystemExit) as ended:
        main()
    assert (ended.value.code, capfd.readouterr()) == (0, ("", ""))


def test_the_script_says_how_to_install_it() -> None:
    """For each shell; another one is refused."""
    for shell in ("bash", "zsh", "fish"):
        done = CliRunner().invoke(cli, ["completion", shell], prog_name="closeout")
        assert done.exit_code == 0
        assert done.stdout.startswith("# For ")
        assert "_CLOSEOUT_COMPLETE" in done.stdout
    assert CliRunner().invoke(cli, ["completion", "tcsh"]).exit_code == 2


def environment() -> dict[str, str]:
    return {**os.environ, "PATH": f"{VENV}:{os.environ['PATH']}", "TERM": "xterm"}


def test_bash_completes(runs: list[str]) -> None:
    """Commands, runs, lists and options, in the real shell."""
    for words, at, expected in (("closeout resu", 1, "resume"), (f"closeout show {runs[0][:6]}", 2, runs[0])):
        script = BASH.format(words=words, at=at, line=words)
        done = subprocess.run(
            [program("bash"), "-c", script], env=environment(), capture_output=True, text=True, check=True
        )
        assert (done.stdout.split(), done.stderr) == ([expected], "")


def test_fish_completes(runs: list[str]) -> None:
    """With what is told of each."""
    script = 'closeout completion fish | source; complete -C "closeout resume "; complete -C "closeout verif"'
    done = subprocess.run(
        [program("fish"), "-c", script], env=environment(), capture_output=True, text=True, check=True
    )
    offers = dict(line.split("\t") for line in done.stdout.splitlines())  # fish has an order of its own
    assert set(offers) == {"last", runs[2], "verify"}
    assert offers[runs[2]] == "running · 2.csv"


def test_zsh_completes(runs: list[str]) -> None:
    """As a person sees it: typed, TAB, and the word is there."""
    zsh, seen = program("zsh"), environment()
    child, master = pty.fork()
    if child == 0:
        os.execve(zsh, ["zsh", "-f", "-i"], seen)  # noqa: S606  # a shell is what is tested
    try:
        set_up = 'autoload -Uz compinit; compinit -u -D; eval "$(closeout completion zsh)"; PS1="rea""dy> "\n'
        os.write(master, set_up.encode())
        _read_until(master, "ready> ")
        os.write(master, f"closeout export {runs[1][:6]}\t".encode())
        _read_until(master, f"closeout export {runs[1]}")
    finally:
        os.kill(child, 9)
        os.waitpid(child, 0)
        os.close(master)


def _read_until(master: int, wanted: str) -> None:
    seen, ends = "", time.monotonic() + 60
    while wanted not in seen:
        assert time.monotonic() < ends, seen
        if select.select([master], [], [], 0.1)[0]:
            seen += os.read(master, 65_536).decode(errors="replace")
