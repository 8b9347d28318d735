"""Commands of closeout as processes of their own, forked from one that has imported it already.

A Python that imports closeout anew needs most of a second of CPU before its first line, several hundred times in a run
of the tests. What is forked differs in nothing else: it has its own id, files, environment, folder and signals, it can
be killed, and ``os.exec`` makes it a Python of its own where just the start is what is tested (``anew``).
"""

import atexit
import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import IO, Any, TextIO, TypeVar, cast

ROOT = Path(__file__).parents[1]
_T = TypeVar("_T")


class Forked:
    """A command at work. As much of ``subprocess.Popen`` as the tests need; output goes to pipes."""

    def __init__(
        self,
        words: Sequence[str],
        *,
        cwd: Path,
        env: Mapping[str, str],
        stdin: int = subprocess.DEVNULL,
        anew: bool = False,
        terminal: int | None = None,
    ) -> None:
        """``stdin`` is DEVNULL, PIPE or a file descriptor; ``terminal`` is one that becomes all three streams, or the
        two others where ``stdin`` is one."""
        self.returncode: int | None = None
        self.stdin: IO[bytes] | None = None
        self.stdout: IO[bytes] | None = None
        self.stderr: IO[bytes] | None = None
        theirs = self._pipes(stdin) if terminal is None else [terminal if stdin < 0 else stdin, terminal, terminal]
        self._told, telling = os.pipe()
        order = {"words": words, "cwd": str(cwd), "env": dict(env), "anew": anew, "terminal": terminal is not None}
        self.pid = _forker().fork(order, [*theirs, telling])
        for each in {telling, *theirs} - {stdin, terminal}:
            os.close(each)

    def _pipes(self, stdin: int) -> list[int]:
        """The child's ends of its three streams; the others are ours."""
        if stdin == subprocess.PIPE:
            stdin, writing = os.pipe()
            self.stdin = os.fdopen(writing, "wb")
        elif stdin == subprocess.DEVNULL:
            stdin = os.open(os.devnull, os.O_RDONLY)
        reading_out, out = os.pipe()
        reading_err, err = os.pipe()
        self.stdout, self.stderr = os.fdopen(reading_out, "rb"), os.fdopen(reading_err, "rb")
        return [stdin, out, err]

    def poll(self) -> int | None:
        """The exit code, or minus the signal that ended it; None while it runs."""
        if self.returncode is None and select.select([self._told], [], [], 0)[0]:
            self._learn()
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end; raises ``TimeoutError`` when that takes longer than so many seconds."""
        if self.returncode is None and not select.select([self._told], [], [], timeout)[0]:
            raise TimeoutError(f"it did not end within {timeout} s")
        return self._learn() if self.returncode is None else self.returncode

    def _learn(self) -> int:
        told = os.read(self._told, 16)
        os.close(self._told)
        self.returncode = int(told or -signal.SIGKILL)
        return self.returncode

    def communicate(self, input: bytes | None = None, timeout: float | None = None) -> tuple[bytes, bytes]:
        """Write this to its standard input, read all that it says, and wait for its end."""
        ends = None if timeout is None else time.monotonic() + timeout
        out, err = self.stdout, self.stderr
        assert out is not None
        assert err is not None
        _in_background(lambda: self._write(input))
        said = [_in_background(out.read), _in_background(err.read)]
        first, second = (each.result(None if ends is None else max(0.0, ends - time.monotonic())) for each in said)
        self.wait(None if ends is None else max(0.0, ends - time.monotonic()))
        return first, second

    def _write(self, input: bytes | None) -> None:
        if self.stdin is not None:
            with suppress(BrokenPipeError), self.stdin:
                self.stdin.write(input or b"")

    def send_signal(self, number: int) -> None:
        """Nothing happens if it has ended."""
        if self.poll() is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def __enter__(self) -> "Forked":
        return self

    def __exit__(self, *_: object) -> None:
        for stream in (self.stdout, self.stderr, self.stdin):
            if stream is not None:
                with suppress(BrokenPipeError):
                    stream.close()
        self.wait()


def _in_background(work: Callable[[], _T]) -> "Future[_T]":
    """Do this in a thread that nobody has to wait for."""
    future: Future[_T] = Future()

    def do() -> None:
        try:
            future.set_result(work())
        except Exception as error:  # it belongs to whoever asks for the result
            future.set_exception(error)

    threading.Thread(target=do, daemon=True).start()
    return future


class _Forker:
    """The process that forks, as it is seen by the tests. One for each process of tests."""

    def __init__(self) -> None:
        self._control, theirs = socket.socketpair()
        self._lock = threading.Lock()
        environment = {"PATH": os.environ.get("PATH", ""), "PYTHONPATH": str(ROOT)}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.forked", str(theirs.fileno())],
            pass_fds=[theirs.fileno()], env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        )  # fmt: skip
        theirs.close()
        atexit.register(self._close)

    def fork(self, order: dict[str, Any], files: list[int]) -> int:
        """Returns the id of the new process, which has these files as its streams; the last is told how it ended."""
        with self._lock:
            socket.send_fds(self._control, [json.dumps(order).encode() + b"\n"], files)
            return int(self._control.recv(16))

    def _close(self) -> None:
        self._control.close()
        self._process.wait()


@cache
def _forker() -> _Forker:
    return _Forker()


@dataclass(frozen=True)
class _Order:
    """What a child is to do: which command, where, seeing what."""

    words: list[str]
    cwd: str
    env: dict[str, str]
    anew: bool
    terminal: bool


def _serve(control: socket.socket) -> _Order:
    """Fork at each order. Returns in a child, with its order; the parent ends when nobody can give orders any more."""
    woken, waking = os.pipe()
    os.set_blocking(waking, False)
    signal.set_wakeup_fd(waking, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.signal(signal.SIGINT, lambda *_: None)  # a Ctrl-C at the tests ends them, and with them this process
    telling: dict[int, int] = {}  # where each child's end is told
    sources: list[socket.socket | int] = [control, woken]
    while True:
        ready = select.select(sources, [], [])[0]
        if woken in ready:
            os.read(woken, 1024)
            _reap(telling)
        if control in ready:
            message, files, _, _ = socket.recv_fds(control, 65_536, 4)
            while message and not message.endswith(b"\n"):
                message += control.recv(65_536)
            if not message:
                sys.exit()
            process = os.fork()
            if process == 0:
                order = _Order(**json.loads(message))
                _settle_in(files[:3], order)
                return order
            telling[process] = files.pop()
            for each in files:
                os.close(each)
            control.send(str(process).encode())


def _reap(telling: dict[int, int]) -> None:
    """Tell how those children ended that have."""
    with suppress(ChildProcessError):
        while (found := os.waitpid(-1, os.WNOHANG))[0]:
            os.write(telling[found[0]], str(os.waitstatus_to_exitcode(found[1])).encode())
            os.close(telling.pop(found[0]))


def _settle_in(streams: list[int], order: _Order) -> None:
    """A child takes its streams, folder and environment, and drops all that is its parent's."""
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    if order.terminal:
        os.login_tty(os.dup(streams[1]))
        os.dup2(streams[0], 0)
    else:
        for ours, theirs in enumerate(streams):
            os.dup2(theirs, ours)
    os.closerange(3, 256)
    os.chdir(order.cwd)
    os.environ.clear()
    os.environ.update(order.env)
    time.tzset()


def _work(order: _Order) -> None:
    """What ``python -m closeout`` does, from its first line to the end of the process."""
    if order.anew:
        os.execve(sys.executable, [sys.executable, "-m", "closeout", *order.words], order.env)  # noqa: S606  # no shell
    sys.stdin, sys.stdout, sys.stderr = (_reopened(each) for each in (sys.stdin, sys.stdout, sys.stderr))
    sys.argv[:] = ["closeout", *order.words]
    runpy.run_module("closeout", run_name="__main__", alter_sys=True)


def _reopened(stream: TextIO) -> TextIO:
    """As a Python opens it at its start, now that its file is another one: pipe, terminal and file are told apart."""
    file, mode, lines = stream.fileno(), stream.mode, 1 if stream is sys.stderr else -1
    options: dict[str, Any] = {"encoding": stream.encoding, "errors": stream.errors, "closefd": False}
    reopened = open(file, mode, lines, **options)  # noqa: SIM115  # it stays open as long as the process
    return cast(TextIO, reopened)


def _main() -> None:
    from closeout.jobs.cli import COMMANDS  # noqa: PLC0415  # the process of the tests must not load this for its own use

    for module in sorted({module for module, _ in COMMANDS.values()}):
        importlib.import_module(module)
    gc.freeze()  # so that a child's first collection does not copy what it shares with its parent
    _work(_serve(socket.socket(fileno=int(sys.argv[1]))))


if __name__ == "__main__":
    _main()
