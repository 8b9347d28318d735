"""Each shell block of the tutorial does what the text around it says, line by line, in a real shell."""

import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs import killed
from tests.services import program

ROOT = Path(__file__).parents[2]
TUTORIAL = ROOT / "docs" / "tutorial.md"
_BLOCK = re.compile(r"^```console\n(.*?)^```$", re.M | re.S)
_PORT = "8750"


def commands() -> list[str]:
    """All lines that a reader types, in order."""
    lines = [line for block in _BLOCK.findall(TUTORIAL.read_text(encoding="utf-8")) for line in block.splitlines()]
    assert all(line.startswith("$ ") for line in lines), "a block holds more than what is typed"
    return [line.removeprefix("$ ") for line in lines]


def free_port() -> str:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return str(found.getsockname()[1])


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A shell in an empty folder, where the command is `closeout`."""
    killer = tmp_path / "bin" / "timeout"
    killer.parent.mkdir()
    killer.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{Path(killed.__file__)}" "$@"\n', encoding="utf-8")
    killer.chmod(0o755)
    path = f"{killer.parent}:{Path(sys.executable).parent}:/usr/bin:/bin"
    environment = {"PATH": path, "HOME": str(tmp_path), "LC_ALL": "C.UTF-8"}
    with subprocess.Popen(
        [program("bash"), "--noprofile", "--norc"],
        cwd=tmp_path,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as started:
        yield started
        started.kill()


def typed(shell: subprocess.Popen[str], command: str) -> tuple[str, int]:
    """What a command prints, and its exit code."""
    assert shell.stdin is not None
    assert shell.stdout is not None
    shell.stdin.write(f'{command}\necho "<<<$?"\n')
    shell.stdin.flush()
    said = ""
    while (ended := re.search(r"<<<(\d+)\n\Z", said)) is None:
        line = shell.stdout.readline()
        assert line, f"the shell ended at {command!r}: {said}"
        said += line
    return said[: ended.start()], int(ended[1])


def beside_a_server(
    server: list[str], port: str, shell: subprocess.Popen[str], rest: list[str], folder: Path
) -> dict[str, tuple[str, int]]:
    """What each command says while the server is there."""
    with subprocess.Popen(server, cwd=folder, stdout=subprocess.PIPE, text=True) as started:
        try:
            assert started.stdout is not None
            assert port in started.stdout.readline()
            return {command: typed(shell, command) for command in rest}
        finally:
            started.kill()


def test_every_block_of_the_tutorial_runs(shell: subprocess.Popen[str], tmp_path: Path) -> None:
    """The sandbox is in a terminal of its own; everything else succeeds, and ends as the text says."""
    port = free_port()
    first, *rest = [command.replace(_PORT, port) for command in commands()]
    assert first.startswith("closeout sandbox")
    told = beside_a_server(
        [str(Path(sys.executable).parent / "closeout"), *first.split()[1:]], port, shell, rest, tmp_path
    )
    assert {command: said for command, (said, code) in told.items() if code != 0} == {}
    by_verb = {command.split()[1]: said for command, (said, _) in told.items() if command.startswith("closeout ")}
    assert "200 active" in by_verb["plan"]
    assert re.search(r"would close +200", by_verb["plan"])
    assert "killed" in next(said for command, (said, _) in told.items() if "--signal=KILL" in command)
    assert "interrupted" in by_verb["runs"]
    assert re.search(r"\bfinished\b", by_verb["resume"])
    assert "0 of 200 checked disagree" in by_verb["verify"]
    assert re.search(r"already closed +200", by_verb["close"])
    assert "abandoned" not in (tmp_path / "report.html").read_text(encoding="utf-8").split("<body")[0]
    assert len((tmp_path / "results.csv").read_text(encoding="utf-8").splitlines()) == 201
