"""Child processes: how they are started, measured and, whatever happens, ended."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
CLOSEOUT = (sys.executable, "-m", "closeout")  # the command `closeout`, installed or not
KEY = "sandbox-key"  # the one that the sandbox takes


@dataclass(frozen=True, slots=True)
class Usage:
    """What a child that has ended took: wall-clock and CPU seconds, peak memory in MiB."""

    code: int
    seconds: float
    cpu: float
    peak: float


class Child:
    """A process in a folder of its own, with its standard output in a file there."""

    def __init__(self, command: Sequence[str], folder: Path) -> None:
        self.output = folder / "output"
        self.began = time.monotonic()
        with self.output.open("wb") as output, (folder / "errors").open("ab") as errors:
            self._popen = subprocess.Popen(  # noqa: S603  # our own commands
                command,
                cwd=folder,
                env=_environment(folder),
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=errors,
                start_new_session=True,
            )

    def interrupt(self) -> None:
        self._popen.send_signal(signal.SIGINT)

    def peak(self) -> float:
        """Its peak memory until now, in MiB."""
        lines = Path(f"/proc/{self._popen.pid}/status").read_text(encoding="utf-8").splitlines()
        return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM:"))

    def finish(self) -> Usage:
        """Wait for its end."""
        _, status, usage = os.wait4(self._popen.pid, 0)
        seconds = time.monotonic() - self.began
        self._popen.returncode = os.waitstatus_to_exitcode(status)
        return Usage(self._popen.returncode, seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)

    def poll(self) -> None:
        """Raise RuntimeError if it has ended."""
        if self._popen.poll() is not None:
            raise RuntimeError(f"{self._popen.args!r} ended early, with code {self._popen.returncode}")

    def end(self) -> None:
        """Kill it unless it has ended."""
        if self._popen.poll() is None:
            self._popen.kill()
        self._popen.wait()
        if self._popen.stdin is not None:
            self._popen.stdin.close()


def _environment(folder: Path) -> dict[str, str]:
    """That of this process without anything that closeout would take as a setting."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("CLOSEOUT_", "FEATHER_"))}
    own = {"CLOSEOUT_API_KEY": KEY, "XDG_CONFIG_HOME": str(folder), "HOME": str(folder), "PYTHONPATH": str(ROOT)}
    return kept | own


@contextmanager
def running(command: Sequence[str], folder: Path) -> Iterator[Child]:
    """A child that does not outlive the block."""
    folder.mkdir(exist_ok=True)
    child = Child(command, folder)
    try:
        yield child
    finally:
        child.end()


def run(command: Sequence[str], folder: Path, accepted: Sequence[int] = (0,)) -> tuple[Usage, str]:
    """Run a child to its end; its usage and its output. Raises RuntimeError for any other exit code."""
    with running(command, folder) as child:
        usage = child.finish()
    if usage.code not in accepted:
        errors = (folder / "errors").read_text(encoding="utf-8", errors="replace")
        raise RuntimeError(f"{' '.join(command)} ended with code {usage.code}: {errors[-2000:]}")
    return usage, child.output.read_text(encoding="utf-8")


def run_module(module: str, folder: Path, *arguments: str) -> Any:  # JSON is of any type
    """Run a module of this package as a child; the JSON that it prints."""
    _, output = run([sys.executable, "-m", f"benchmarks.{module}", *arguments], folder)
    return json.loads(output.splitlines()[-1])


def first_line(child: Child, within: float = 30.0) -> str:
    """The first line of a child's output, as soon as it is there."""
    deadline = time.monotonic() + within
    while time.monotonic() < deadline:
        line, newline, _ = child.output.read_text(encoding="utf-8").partition("\n")
        if newline:
            return line
        child.poll()
        time.sleep(0.01)
    raise RuntimeError(f"no output within {within:g} s")


def sessions_a_second(command: Sequence[str], work: Path, workers: int, sessions: int) -> float:
    """How fast processes of one command take so many sessions, from the first one's beginning to the last one's end.

    Each says a line when it is ready, waits for the file ``go`` in its folder, and prints what it did as JSON.
    """
    with ExitStack() as stack:
        folders = [work / f"worker-{number}" for number in range(workers)]
        children = [stack.enter_context(running(command, folder)) for folder in folders]
        for child in children:
            first_line(child)
        for folder in folders:
            (folder / "go").touch()
        for child in children:
            child.finish()
        ends = [json.loads(child.output.read_text(encoding="utf-8").splitlines()[-1]) for child in children]
    done = sum(end["sessions"] for end in ends)
    if done != sessions:
        raise RuntimeError(f"{done:,} of {sessions:,} sessions came through")
    return float(done / (max(end["ended"] for end in ends) - min(end["began"] for end in ends)))
