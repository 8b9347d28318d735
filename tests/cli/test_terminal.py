"""What is said to a person: one line on standard error, whatever it tells of."""

import contextlib
import io
import unicodedata

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from rich.live import Live

from closeout.jobs.runner.terminal import say
from closeout.worker.support.terminal import Screen


@given(st.text())
def test_what_is_said_is_one_line_that_moves_no_cursor(text: str) -> None:
    out = io.StringIO()
    with contextlib.redirect_stderr(out):
        say(text)
    line = out.getvalue()
    assert line.startswith("closeout: ")
    assert line.endswith("\n")
    assert not {unicodedata.category(each) for each in line[:-1]} & {"Cc", "Cs", "Zl", "Zp"}
    assert len(line) == len("closeout: ") + len(text) + 1


def test_what_is_said_beside_a_display_is_said_by_it() -> None:
    """Past it, it would stand on the display's last line, and be painted over."""
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=80, color_system=None, _environ={})
    with contextlib.redirect_stderr(io.StringIO()) as past, Live("display", console=console, auto_refresh=False):
        say("canary: 5 closed")
    assert "closeout: canary: 5 closed\n" in out.getvalue()
    assert past.getvalue() == ""


def test_without_standard_error_nothing_is_said(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Standard output is the result's."""
    monkeypatch.setattr("sys.stderr", None)
    say("here")
    assert capsys.readouterr().out == ""


def test_questions_have_their_turns_before_a_display_comes_back() -> None:
    """In the order in which they were asked."""
    screen, turns = Screen(), list[str]()

    async def display() -> None:
        while True:
            async with screen.turn:
                turns.append("display")
                while not await screen.wanted(60):
                    pass

    async def question(name: str) -> None:
        async with screen.cleared():
            turns.append(name)
            await anyio.wait_all_tasks_blocked()

    async def run() -> None:
        with anyio.fail_after(60):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(display)
                await anyio.wait_all_tasks_blocked()
                async with anyio.create_task_group() as questions:
                    for name in ("first", "second", "third"):
                        questions.start_soon(question, name)
                await anyio.wait_all_tasks_blocked()
                tasks.cancel_scope.cancel()

    anyio.run(run)
    assert turns == ["display", "first", "second", "third", "display"]
