"""What talks with the person at the terminal: lines on standard error, and questions."""

import io
import os
import sys
import termios
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TextIO

import anyio

from closeout.worker.runtime.context import Context
from closeout.worker.support.terminal import Screen, printable


def say(text: str) -> None:
    """A line for the person, on standard error."""
    if sys.stderr is not None:  # print() would take standard output for none
        # click's echo would go past a display that is on there, onto its last line, and be painted over.
        print(_line(text), file=sys.stderr, flush=True)


def _line(text: str) -> str:
    return f"closeout: {printable(text)}"


def somebody_is_there() -> bool:
    """Whether a person at a terminal can be asked, wherever standard error goes: to a log, through `tee`."""
    return _at_a_terminal(sys.stdin)


@contextmanager
def keyboard(*, stdin_is_read: bool) -> Iterator[int | None]:
    """The descriptor on which a person at a terminal types; None where nobody can be asked.

    ``stdin_is_read``: standard input is a list of sessions, and no answer. The terminal itself is asked then.
    """
    if not stdin_is_read:
        yield sys.stdin.fileno() if somebody_is_there() else None
        return
    terminal = _opened_terminal() if _at_a_terminal(sys.stderr) else None
    try:
        yield terminal
    finally:
        if terminal is not None:
            os.close(terminal)


def _opened_terminal() -> int | None:
    """The terminal at which standard error is seen, to read; it may be no terminal of this process's session."""
    for path_of in (os.ctermid, lambda: os.ttyname(sys.stderr.fileno())):  # that of this process first
        with suppress(OSError):
            return os.open(path_of(), os.O_RDONLY | os.O_CLOEXEC | os.O_NOCTTY)
    return None


def _at_a_terminal(stream: TextIO | None) -> bool:
    return stream is not None and not stream.closed and stream.isatty()


async def approve(context: Context, told: str, *, asks: bool) -> bool:
    """Show what came of the canary; ask a person on a terminal whether to go on, else go on."""
    if asks and somebody_is_there():
        return await ask("Go on with the rest?", told, screen=context.screen)
    say(told)
    return True


async def confirm(context: Context, *told: str, yes: bool) -> bool:
    """Show what is not as usual; ask a person on a terminal whether to go on, else do so only where ``yes`` says so."""
    if not yes and somebody_is_there():
        return await ask("Close them anyway?", *told, screen=context.screen)
    for each in told:
        say(each)
    return yes


async def ask(
    question: str,
    *facts: str,
    number: int | None = None,
    screen: Screen | None = None,
    typed_at: int | None = None,
) -> bool:
    """Ask a person who is there, below the facts that the answer depends on; whether the person agrees.

    ``y`` and ``yes`` agree, or, where a ``number`` is given, only that number typed back. All else is a no: an empty
    line, the end of the input, a terminal that is gone. What was typed before the question stands does not answer it.

    ``screen`` is that of the run, if one is at work: its display is gone while the question stands. What others write
    to standard error meanwhile appears after the answer. ``typed_at`` is the descriptor of ``keyboard``, standard
    input's where there is none. The caller's cancellation, as by Ctrl-C, ends the question.
    """
    prompt = f"{question} [y/N]: " if number is None else f"{question}: "
    async with (screen or Screen()).cleared():
        descriptor = sys.stdin.fileno() if typed_at is None else typed_at
        try:
            with _held_back() as held, _shown_beside(held, descriptor) as terminal:
                _forget_what_was_typed(descriptor)
                print(*map(_line, facts), prompt, sep="\n", end="", file=terminal, flush=True)
                answer = await _typed(descriptor, terminal)
        except OSError:
            return False  # the terminal is gone
    return _agrees(answer, number)


def _agrees(answer: str, number: int | None) -> bool:
    answer = answer.strip()
    if number is None:
        return answer.lower() in {"y", "yes"}
    return answer.replace(",", "") == str(number)


async def _typed(keyboard: int, terminal: TextIO) -> str:
    """The line that the person types; nothing where the input ends before the line does."""
    typed = b""
    try:
        while not typed.endswith(b"\n"):
            # Not in a thread: one that still waited for a line after Ctrl-C would keep the process from ending. Not by
            # readline(): it would hold up all else where a line comes in pieces.
            await anyio.wait_readable(keyboard)
            piece = os.read(keyboard, 4096)
            if not piece:
                return ""
            typed += piece
    finally:
        if not typed.endswith(b"\n"):  # the cursor is still behind the question
            with suppress(OSError):
                print(file=terminal, flush=True)
    return typed.decode(errors="replace")


def _forget_what_was_typed(keyboard: int) -> None:
    if _in_front(keyboard):  # a process in the background would be stopped
        with suppress(termios.error):
            termios.tcflush(keyboard, termios.TCIFLUSH)


def _in_front(keyboard: int) -> bool:
    """Whether the terminal is typed at for this process. One of another session stops nobody in the background."""
    try:
        return os.tcgetpgrp(keyboard) == os.getpgrp()
    except OSError:  # `su -c`, `setsid`: the terminal belongs to another session
        return True


@contextmanager
def _shown_beside(stream: TextIO | None, keyboard: int) -> Iterator[TextIO]:
    """Standard error where it is a terminal, else the terminal that is typed at: a question in a log asks nobody."""
    if stream is not None and _at_a_terminal(stream):
        yield stream
        return
    path = os.ttyname(keyboard)
    with open(os.open(path, os.O_WRONLY | os.O_CLOEXEC | os.O_NOCTTY), "w", encoding="utf-8") as terminal:
        yield terminal


class _Held(io.StringIO):
    """What is written to standard error while a question stands."""

    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


@contextmanager
def _held_back() -> Iterator[TextIO | None]:
    """Only who has what is yielded writes to the terminal; what others write appears at the end."""
    terminal, held = sys.stderr, _Held()
    sys.stderr = held
    try:
        yield terminal
    finally:
        sys.stderr = terminal
        if terminal is not None:
            with suppress(OSError):
                terminal.write(held.getvalue())
                terminal.flush()
